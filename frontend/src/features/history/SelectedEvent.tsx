import { useQuery } from '@apollo/client/react';

import { EventItem } from '@/features/node/EventItem';
import { problemsOf } from '@/gql/client/ask';
import { EventByIdDocument } from '@/gql/generated/graphql';
import { Button, EmptyState, Panel, Problems } from '@/ui';
import classes from './HistoryPage.module.css';
import { Who } from './Who';

/** The event that the address names, when it is not among those that are listed: older, or of another filter. */
export function SelectedEvent({ id, onClose }: { id: string; onClose: () => void }) {
  const { data, error, loading, refetch } = useQuery(EventByIdDocument, { variables: { id }, fetchPolicy: 'no-cache', notifyOnNetworkStatusChange: true });
  const event = data?.node?.__typename === 'DeploymentEvent' ? data.node : null;
  return (
    <div className={classes.one}>
      <Panel
        title="Selected event"
        flush
        actions={
          <Button size="compact-xs" variant="default" onClick={onClose}>
            Select none
          </Button>
        }
      >
        {loading ? <div role="status" aria-label="Reading the event" className={classes.reading} /> : null}
        {!loading && error ? (
          <div className={classes.problems}>
            <Problems title="The event could not be read" problems={problemsOf(error)} />
            <Button size="xs" variant="default" onClick={() => void refetch().catch(() => undefined)}>
              Try again
            </Button>
          </div>
        ) : null}
        {event === null ? null : (
          <ol className={classes.list} aria-label="The selected event">
            <EventItem event={event} selected who={<Who event={event} />} />
          </ol>
        )}
        {data !== undefined && event === null ? (
          <EmptyState title="There is no such event">
            <p>
              Nothing has the id <code>{id}</code>. It may have been removed with its node.
            </p>
          </EmptyState>
        ) : null}
      </Panel>
    </div>
  );
}
