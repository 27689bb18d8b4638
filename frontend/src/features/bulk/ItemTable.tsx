import { Link } from '@tanstack/react-router';

import type { BulkItemRowFragment } from '@/gql/generated/graphql';
import { formatDuration } from '@/lib/format';
import { phaseLabel } from '@/lib/phases';
import { stateKind, statusWords } from '@/lib/states';
import { StatusMark } from '@/ui';
import classes from './Bulk.module.css';
import { itemWords } from './words';

/** What became of each deployment. */
export function ItemTable({ items }: { items: readonly BulkItemRowFragment[] }) {
  return (
    <div className={classes.scroll} tabIndex={0} role="region" aria-label="Results of the operation">
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col" className={classes.number}>
              Turn
            </th>
            <th scope="col">Result</th>
            <th scope="col">Deployment</th>
            <th scope="col">What happened</th>
            <th scope="col">Took</th>
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <Item key={item.number} item={item} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Item({ item }: { item: BulkItemRowFragment }) {
  const { number, state, code, message, startedAt, finishedAt, bareMetalNode, deployment, newDeployment } = item;
  const { word, kind } = (itemWords as Partial<typeof itemWords>)[state] ?? { word: state, kind: 'unknown' as const };
  const followed = newDeployment ?? deployment;
  const name = bareMetalNode?.name ?? 'a removed node';
  return (
    <tr>
      <td className={classes.number}>{number.toLocaleString('en')}</td>
      <td>
        <StatusMark kind={kind} word={word} />
      </td>
      <th scope="row">
        {followed === null ? (
          name
        ) : (
          <Link to="/deployments/$deploymentId" params={{ deploymentId: followed.id }}>
            {name} #{followed.number}
          </Link>
        )}
        {newDeployment !== null && deployment !== null ? (
          <span className={classes.quiet}>
            {' '}
            after{' '}
            <Link to="/deployments/$deploymentId" params={{ deploymentId: deployment.id }}>
              #{deployment.number}
            </Link>
          </span>
        ) : null}
      </th>
      <td className={classes.what}>
        {code === null ? null : <code className={classes.code}>{code}</code>} {message ?? (state === 'RUNNING' && followed !== null ? `${statusWords[stateKind(followed.state)]}: ${phaseLabel(followed.phase, followed.phaseKey)}` : '')}
      </td>
      <td className={classes.took}>{startedAt !== null && finishedAt !== null ? formatDuration(Date.parse(finishedAt) - Date.parse(startedAt)) : '–'}</td>
    </tr>
  );
}
