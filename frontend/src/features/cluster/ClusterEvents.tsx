import { useMemo } from 'react';

import { Who } from '@/features/history/Who';
import { useHistory } from '@/features/history/useHistory';
import { EventItem } from '@/features/node/EventItem';
import { problemsOf } from '@/gql/client/ask';
import { Button, Panel, Problems } from '@/ui';
import classes from './ClusterPage.module.css';

/** What happened to any node of the cluster, the newest first; what happens now comes on top. */
export function ClusterEvents({ clusterId }: { clusterId: string }) {
  const filter = useMemo(() => ({ clusterId, includeRefused: true }), [clusterId]);
  const { events, loaded, more, busy, error, older, again } = useHistory(filter, true);
  return (
    <div className={classes.space}>
      <Panel title="Events of all nodes" flush>
        {error === null ? null : (
          <div className={classes.pad}>
            <Problems title="The events could not be read" problems={problemsOf(error)} />
            <Button size="xs" variant="default" onClick={again}>
              Try again
            </Button>
          </div>
        )}
        <div className={classes.eventBox} tabIndex={0} role="region" aria-label="Events of all nodes, the newest first" aria-busy={!loaded}>
          {loaded && events.length === 0 ? <p className={classes.none}>Nothing has happened yet.</p> : null}
          <ol className={classes.events}>
            {events.map((event) => (
              <EventItem key={event.id} event={event} who={<Who event={event} />} />
            ))}
          </ol>
          {more ? (
            <div className={classes.older}>
              <Button size="compact-xs" variant="default" disabled={busy} onClick={older}>
                {busy ? 'Reading …' : 'Show older events'}
              </Button>
            </div>
          ) : null}
        </div>
      </Panel>
    </div>
  );
}
