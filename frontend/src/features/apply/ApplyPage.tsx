import { useQuery } from '@apollo/client/react';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';

import { useEffect } from 'react';

import { useMay } from '@/app/session';
import { useTitle } from '@/app/useTitle';
import { problemsOf } from '@/gql/client/ask';
import { HostDocument, type HostQuery } from '@/gql/generated/graphql';
import { useNow } from '@/lib/clock';
import { isActive } from '@/script/hostState';
import { NoticeList, Toasts } from '@/script/Notices';
import { Button, Command, EmptyState, Problems } from '@/ui';
import classes from './ApplyPage.module.css';
import { Cards } from './Cards';

/** How often the host is looked at while something is in the way, in ms. */
const lookAgain = 15_000;

/** A run is of interest to whoever opens the page for this long, in ms: its hosts may still be on their way. */
const recently = 30 * 60_000;

const inTheWay = (data: HostQuery | undefined): boolean => data?.scriptHost != null && (data.scriptHost.obstacle !== null || data.scriptHost.marker.present);

/** The cards of nodes, one button, and then how each of them comes back. */
export function ApplyPage() {
  useTitle('Apply changes');
  const search = useSearch({ from: '/apply' });
  const navigate = useNavigate({ from: '/apply' });
  const may = useMay('operator');
  const query = useQuery(HostDocument, { fetchPolicy: 'cache-and-network', nextFetchPolicy: 'cache-first' });
  const { data, error, refetch, startPolling, stopPolling } = query;
  const looking = inTheWay(data);
  useEffect(() => {
    if (!looking) return;
    startPolling(lookAgain);
    return stopPolling;
  }, [looking, startPolling, stopPolling]);
  const now = useNow(false);

  const host = data?.scriptHost ?? null;
  // What runs now, or ran last, is what another browser wants to see as well.
  const newest = host?.activeRun ?? data?.scriptRuns.nodes[0];
  const fresh = newest !== undefined && (isActive(newest) || now - Date.parse(newest.createdAt) < recently);
  const runId = search.run ?? (fresh ? newest.id : undefined);
  return (
    <>
      <nav aria-label="Breadcrumb" className={classes.crumbs}>
        <Link to="/">Fleet</Link>
        <span aria-hidden="true">/</span>
        <span aria-current="page">Apply changes</span>
        <span aria-hidden="true">·</span>
        <Link to="/apply/runs">All runs</Link>
      </nav>
      <div className={classes.page}>
        <h1 className={classes.title}>Apply changes</h1>
        {!may ? (
          <EmptyState title="You need the operator role to apply changes">
            <p>Whoever made your sign-in link can make one with that role.</p>
            <Link to="/apply/runs">See the runs</Link>
          </EmptyState>
        ) : data === undefined ? (
          error ? (
            <div>
              <Problems title="The host of the deployment script could not be asked" problems={problemsOf(error)} />
              <Button mt="sm" size="xs" variant="default" onClick={() => void refetch().catch(() => undefined)}>
                Try again
              </Button>
            </div>
          ) : (
            <div className={classes.loading} role="status" aria-label="Reading how the host stands" />
          )
        ) : host === null ? (
          <EmptyState title="This server runs no deployment script">
            <p>Apply changes writes configurations on the host of a server and starts the deployment script there. It is turned on with the work directory of that script:</p>
            <Command label="Setting that turns the deployment script on">slipway serve --script-work-dir=/home/pinakasupport/.pinaka_wd</Command>
          </EmptyState>
        ) : (
          <Cards host={host} runId={runId} onRun={(run) => void navigate({ search: { run }, replace: true })} onChanged={() => void refetch().catch(() => undefined)} />
        )}
        <NoticeList />
      </div>
      <Toasts />
    </>
  );
}
