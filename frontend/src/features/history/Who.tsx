import { Link } from '@tanstack/react-router';

import type { HistoryRowFragment } from '@/gql/generated/graphql';
import classes from './HistoryPage.module.css';

/** Whose event it is. */
export function Who({ event }: { event: HistoryRowFragment }) {
  return (
    <span className={classes.who}>
      <Link to="/nodes/$nodeId" params={{ nodeId: event.bareMetalNode.id }}>
        {event.bareMetalNode.name}
      </Link>{' '}
      <Link to="/deployments/$deploymentId" params={{ deploymentId: event.deployment.id }} className={classes.number} aria-label={`Deployment ${event.deployment.number} of ${event.bareMetalNode.name}`}>
        #{event.deployment.number}
      </Link>
    </span>
  );
}
