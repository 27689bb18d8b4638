import { lazy, Suspense } from 'react';

import { Panel } from '@/ui';
import classes from './LazyTimeline.module.css';
import type { TimelinePanelProps } from './TimelinePanel';

const Loaded = lazy(() => import('./TimelinePanel').then(({ TimelinePanel }) => ({ default: TimelinePanel })));

/** The timeline, in a chunk of its own; its place is held until it is there. */
export function Timeline(props: TimelinePanelProps) {
  const rows = Math.max(props.known.length, 1);
  return (
    <Suspense
      fallback={
        <div className={classes.space}>
          <Panel title="Phases" flush>
            <div role="status" aria-label="Loading the timeline" style={{ height: 24 + rows * 28 + 64 }} />
          </Panel>
        </div>
      }
    >
      <Loaded {...props} />
    </Suspense>
  );
}
