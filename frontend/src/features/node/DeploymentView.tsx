import type { ReactNode } from 'react';

import { Timeline } from '@/features/timeline/LazyTimeline';
import { EmptyState, Panel } from '@/ui';
import { CleanupPanel } from './CleanupPanel';
import classes from './DeploymentView.module.css';
import { EventList } from './EventList';
import { FailureCard } from './FailureCard';
import type { DeploymentSearch } from './search';
import { isLate, StuckCard } from './StuckCard';
import type { DeploymentDetails, useDeployment } from './useNode';

export interface DeploymentViewProps {
  deployment: DeploymentDetails;
  /** Its machine has been silent for too long. */
  silent: boolean;
  known: readonly { key: string; label: string }[];
  search: DeploymentSearch;
  change: (next: DeploymentSearch) => void;
  fetchMore: ReturnType<typeof useDeployment>['fetchMore'];
  /** Beside the events. */
  aside: ReactNode;
}

/** A deployment: what went wrong first, then its phases in time, then its events. */
export function DeploymentView({ deployment, silent, known, search, change, fetchMore, aside }: DeploymentViewProps) {
  const { phase, ...withoutPhase } = search;
  const { view: _, ...withoutView } = search;
  const older = deployment.events.pageInfo;
  return (
    <>
      {deployment.failure ? <FailureCard failure={deployment.failure} deploymentId={deployment.id} /> : null}
      {deployment.stuckReason && !deployment.failure && isLate(deployment.stuckReason, silent) ? <StuckCard reason={deployment.stuckReason} /> : null}
      <CleanupPanel deployment={deployment} />
      {deployment.kind === 'ADOPT' && deployment.phases.every(({ phase: reached }) => reached === 'DEPLOYED') ? (
        <div className={classes.space}>
          <Panel title="Phases">
            <EmptyState title="Adopted, not installed">
              <p>The machine existed and was taken into care as it was: there was no phase to go through.</p>
            </EmptyState>
          </Panel>
        </div>
      ) : (
        <Timeline
          deployment={deployment}
          known={known}
          asTable={search.view === 'table'}
          onAsTable={(asTable) => change(asTable ? { ...search, view: 'table' } : withoutView)}
          selectedPhase={phase ?? null}
          onSelectPhase={(key) => change(phase === key ? withoutPhase : { ...search, phase: key })}
        />
      )}
      <div className={classes.columns}>
        <EventList
          key={deployment.id}
          events={deployment.events.nodes}
          phase={phase ?? null}
          onClearPhase={() => change(withoutPhase)}
          hasOlder={older.hasPreviousPage}
          onOlder={() => fetchMore({ variables: { before: older.startCursor } })}
        />
        <div className={classes.aside}>{aside}</div>
      </div>
    </>
  );
}
