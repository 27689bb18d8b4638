import { useMemo, useState } from 'react';

import type { DeploymentLiveFragment } from '@/gql/generated/graphql';
import { useNow } from '@/lib/clock';
import { Panel, SegmentedControl, VisuallyHidden } from '@/ui';
import { layout, type KnownPhase } from './geometry';
import { Inspector } from './Inspector';
import { PhaseTable } from './PhaseTable';
import { TimelineChart } from './TimelineChart';
import classes from './Timeline.module.css';

export interface TimelinePanelProps {
  deployment: Pick<DeploymentLiveFragment, 'phases' | 'createdAt'>;
  known: readonly KnownPhase[];
  asTable: boolean;
  onAsTable: (asTable: boolean) => void;
  selectedPhase: string | null;
  onSelectPhase: (key: string) => void;
}

/** The phases of a deployment in time: as a chart, and the same as a table. */
export function TimelinePanel({ deployment, known, asTable, onAsTable, selectedPhase, onSelectPhase }: TimelinePanelProps) {
  const open = deployment.phases.some(({ finishedAt, status }) => finishedAt === null && status !== 'SKIPPED');
  const now = useNow(open);
  const begin = Date.parse(deployment.createdAt);
  const [width, setWidth] = useState(0);
  const timeline = useMemo(() => layout(deployment.phases, known, begin, now, Math.max(2, Math.floor(width / 90))), [deployment.phases, known, begin, now, width]);
  const [pointed, setPointed] = useState<string | null>(null);
  const bars = timeline.rows.flatMap(({ lanes }) => lanes.flatMap((lane) => lane.bars));
  const inspected = bars.find(({ run }) => run.key === pointed) ?? bars.find((bar) => bar.open) ?? bars.filter(({ skipped }) => !skipped).at(-1) ?? null;
  const table = <PhaseTable rows={timeline.rows} now={now} />;

  return (
    <div className={classes.space}>
      <Panel
        title="Phases"
        flush
        actions={
          <>
            {asTable ? null : <Legend />}
            <SegmentedControl
              size="xs"
              aria-label="Show the phases as"
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
            <TimelineChart
              timeline={timeline}
              now={open ? now : null}
              width={width}
              onWidth={setWidth}
              selectedPhase={selectedPhase}
              onSelectPhase={onSelectPhase}
              onPoint={setPointed}
            />
            <Inspector bar={inspected} now={now} />
            <VisuallyHidden>{table}</VisuallyHidden>
          </>
        )}
      </Panel>
    </div>
  );
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
        <i data-sample="typical" /> typical
      </li>
      <li>
        <i data-sample="deadline" /> deadline
      </li>
    </ul>
  );
}
