import { Suspense } from 'react';

import { Panel, lazyPart } from '@/ui';
import classes from './LazyTimeline.module.css';
import type { TimelinePanelProps } from './TimelinePanel';

const Loaded = lazyPart(() => import('./TimelinePanel').then(({ TimelinePanel }) => TimelinePanel));

/** The timeline, in a chunk of its own; its place is held until it is there. */
export function Timeline(props: TimelinePanelProps) {
  const rows = new Set([...props.known.map(({ key }) => key), ...props.deployment.phases.map(({ phaseKey }) => phaseKey)]).size;
  const again = props.deployment.phases.length - new Set(props.deployment.phases.map(({ phaseKey }) => phaseKey)).size;
  return (
    <Suspense
      fallback={
        <div className={classes.space}>
          <Panel title="Phases" flush>
            <div role="status" aria-label="Loading the timeline" style={{ height: 24 + Math.max(rows, 1) * 28 + again * 16 + 68 }} />
          </Panel>
        </div>
      }
    >
      <Loaded {...props} />
    </Suspense>
  );
}
