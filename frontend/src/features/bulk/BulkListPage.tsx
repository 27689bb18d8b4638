import { useQuery } from '@apollo/client/react';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';

import { ErrorPage } from '@/app/ErrorPage';
import { useTitle } from '@/app/useTitle';
import { BulkOperationsDocument, type BulkLiveFragment } from '@/gql/generated/graphql';
import { Button, EmptyState, Instant, Panel, Progress, StatusMark } from '@/ui';
import classes from './Bulk.module.css';
import { actionLabel, bulkKind, bulkProgress, countList, itemWords } from './words';

/** Operations of a page; each click on "more" asks for as many again. */
const pageSize = 50;
const most = 200;

/** Everything that was asked of many deployments, the newest first. */
export function BulkListPage() {
  useTitle('Bulk operations');
  const [first, setFirst] = useState(pageSize);
  const { data, previousData, error, loading, refetch } = useQuery(BulkOperationsDocument, { variables: { first }, fetchPolicy: 'cache-and-network' });
  const page = (data ?? previousData)?.bulkOperations;
  if (page === undefined) return error ? <ErrorPage error={error} retry={() => void refetch().catch(() => undefined)} /> : <div role="status" aria-label="Loading the operations" className={classes.loading} />;
  return (
    <>
      <div className={classes.head}>
        <h1 className={classes.name}>Bulk operations</h1>
        <Button size="compact-sm" variant="default" disabled={loading} onClick={() => void refetch().catch(() => undefined)}>
          Refresh
        </Button>
      </div>
      <Panel title="The newest first" flush>
        {page.nodes.length === 0 ? (
          <EmptyState title="No bulk operations yet">
            <p>Select nodes on the fleet page to retry, cancel, clean up or reinitialize many of them together; each such operation is kept here with its results.</p>
            <Link to="/">Go to the fleet</Link>
          </EmptyState>
        ) : (
          <div className={classes.scroll} tabIndex={0} role="region" aria-label="Bulk operations, as a table">
            <table className={classes.table}>
              <thead>
                <tr>
                  <th scope="col">State</th>
                  <th scope="col">What</th>
                  <th scope="col">Progress</th>
                  <th scope="col">Results</th>
                  <th scope="col">Asked by</th>
                  <th scope="col">When</th>
                </tr>
              </thead>
              <tbody>
                {page.nodes.map((operation) => (
                  <Operation key={operation.id} operation={operation} />
                ))}
              </tbody>
            </table>
          </div>
        )}
        {page.pageInfo.hasNextPage ? (
          <div className={classes.more}>
            {first < most ? (
              <Button size="xs" variant="default" loading={loading} onClick={() => setFirst(Math.min(most, first + pageSize))}>
                Show more
              </Button>
            ) : (
              <p className={classes.quiet}>Older ones can be read by GraphQL: <code>bulkOperations</code>.</p>
            )}
          </div>
        ) : null}
      </Panel>
    </>
  );
}

function Operation({ operation }: { operation: BulkLiveFragment }) {
  const { word, kind } = bulkKind(operation);
  return (
    <tr>
      <td>
        <StatusMark kind={kind} word={word} />
      </td>
      <th scope="row">
        <Link to="/bulk/$bulkId" params={{ bulkId: operation.id }}>
          {actionLabel(operation.action)} {operation.total.toLocaleString('en')}
        </Link>
      </th>
      <td className={classes.barCell}>
        <Progress value={bulkProgress(operation)} kind={kind === 'canceling' ? 'running' : kind} label={`Progress of ${actionLabel(operation.action)} ${operation.total}`} />
      </td>
      <td className={classes.what}>
        {countList(operation)
          .map(({ state, count }) => `${itemWords[state].word.toLowerCase()} ${count.toLocaleString('en')}`)
          .join(' · ')}
      </td>
      <td>{operation.requestedBy.name}</td>
      <td className={classes.took}>
        <Instant at={operation.createdAt} />
      </td>
    </tr>
  );
}
