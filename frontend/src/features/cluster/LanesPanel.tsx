import { useMemo, useState } from 'react';

import { Inspector } from '@/features/timeline/Inspector';
import type { ClusterLiveFragment } from '@/gql/generated/graphql';
import { useNow } from '@/lib/clock';
import { Panel, SegmentedControl, VisuallyHidden } from '@/ui';
import { LaneChart } from './LaneChart';
import { lanesOf, type Lanes, type Typical } from './lanes';
import { LaneTable } from './LaneTable';
import classes from './LanesPanel.module.css';

export interface LanesPanelProps {
  cluster: ClusterLiveFragment;
  typical: Typical;
  asTable: boolean;
  onAsTable: (asTable: boolean) => void;
  selected: string | null;
  onSelect: (nodeId: string) => void;
}

/** The nodes of a cluster on one axis of time, as a chart and as a table. */
export function LanesPanel({ cluster, typical, asTable, onAsTable, selected, onSelect }: LanesPanelProps) {
  const moving = cluster.state !== 'DEPLOYED' && cluster.state !== 'CLEANED_UP' && cluster.state !== 'CANCELED';
  const now = useNow(moving);
  const [width, setWidth] = useState(0);
  const [pointed, setPointed] = useState<string | null>(null);
  const lanes = useMemo(() => lanesOf(cluster, typical, now, Math.max(2, Math.floor(width / 90))), [cluster, typical, now, width]);
  const table = <LaneTable lanes={lanes} now={now} />;
  return (
    <div className={classes.space}>
      <Panel
        title="Nodes in time"
        flush
        actions={
          <>
            {asTable ? null : <Legend />}
            <SegmentedControl
              size="xs"
              aria-label="Show the nodes as"
              value={asTable ? 'table' : 'chart'}
              onChange={(value) => onAsTable(value === 'table')}
              data={[
                { value: 'chart', label: 'Chart' },
                { value: 'table', label: 'Table' },
              ]}
            />
          </>
        }
      >
        {asTable ? (
          table
        ) : (
          <>
            <LaneChart lanes={lanes} now={now} width={width} onWidth={setWidth} selected={selected} onSelect={onSelect} onPoint={setPointed} />
            <Inspector bar={inspected(lanes, pointed, selected)} now={now} />
            <VisuallyHidden>{table}</VisuallyHidden>
          </>
        )}
      </Panel>
    </div>
  );
}

/** What is pointed at, else the present bar of the selected node, else that of the slowest. */
function inspected({ lanes }: Lanes, pointed: string | null, selected: string | null) {
  const named = lanes.flatMap(({ member, bars }) => bars.map((bar) => ({ bar: { ...bar, run: { ...bar.run, label: `${member.node.name} · ${bar.run.label}` } }, nodeId: member.node.id })));
  const of = selected === null ? named : named.filter(({ nodeId }) => nodeId === selected);
  const found = named.find(({ bar }) => bar.run.key === pointed) ?? of.find(({ bar }) => bar.open && !bar.held) ?? of.find(({ bar }) => bar.open) ?? of.filter(({ bar }) => !bar.skipped).at(-1);
  return found?.bar ?? null;
}

function Legend() {
  return (
    <ul className={classes.legend} aria-hidden="true">
      <li>
        <i data-sample="waiting" /> waiting
      </li>
      <li>
        <i data-sample="running" /> running
      </li>
      <li>
        <i data-sample="done" /> done
      </li>
      <li>
        <i data-sample="barrier" /> barrier: all wait for each other
      </li>
    </ul>
  );
}
