import { useQuery } from '@apollo/client/react';
import { Link } from '@tanstack/react-router';

import { EndedDeploymentsDocument } from '@/gql/generated/graphql';
import { problemsOf } from '@/gql/client/ask';
import { formatDuration, formatPercent, plural } from '@/lib/format';
import { Button, EmptyState, Instant, Panel, Problems, StatusMark } from '@/ui';
import classes from './charts.module.css';
import { DurationChart } from './DurationChart';
import { points, profileRates, type ProfileRate } from './series';

/** Deployments that the charts look back on. */
const first = 200;

/** How deployments went lately: how long they took, and how many succeeded by profile. */
export function Trends() {
  const { data, error, loading, refetch } = useQuery(EndedDeploymentsDocument, { variables: { first }, fetchPolicy: 'cache-and-network', nextFetchPolicy: 'cache-first' });
  const ended = data?.deployments.nodes ?? [];
  const all = points(ended);
  if (data === undefined && error) {
    return (
      <div className={classes.space}>
        <Problems title="The charts could not be drawn" problems={problemsOf(error)} />
      </div>
    );
  }
  const refresh = (
    <Button size="compact-xs" variant="default" disabled={loading} onClick={() => void refetch()}>
      Refresh
    </Button>
  );
  return (
    <div className={classes.columns}>
      <Panel title={data?.deployments.pageInfo.hasNextPage ? `Durations of the newest ${first}` : 'Durations'} actions={<><Key />{refresh}</>} flush>
        {all.length === 0 ? (
          data === undefined ? (
            <div className={classes.place} role="status" aria-label="Loading the durations" />
          ) : (
            <EmptyState title="Nothing has ended yet">
              <p>Each deployment that ends appears here with how long it took.</p>
            </EmptyState>
          )
        ) : (
          <>
            <DurationChart points={all} />
            <details className={classes.details}>
              <summary>As a table</summary>
              <div className={classes.scroll} tabIndex={0} role="region" aria-label="Durations as a table">
                <table className={classes.table}>
                  <thead>
                    <tr>
                      <th scope="col">Deployment</th>
                      <th scope="col">Ended</th>
                      <th scope="col">How</th>
                      <th scope="col">Took</th>
                    </tr>
                  </thead>
                  <tbody>
                    {all.toReversed().map((point) => (
                      <tr key={point.id}>
                        <th scope="row">
                          <Link to="/deployments/$deploymentId" params={{ deploymentId: point.id }}>
                            {point.name} #{point.number}
                          </Link>
                        </th>
                        <td>
                          <Instant at={new Date(point.at).toISOString()} />
                        </td>
                        <td>
                          <StatusMark kind={point.succeeded ? 'succeeded' : 'failed'} />
                        </td>
                        <td>{formatDuration(point.took)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            </details>
          </>
        )}
      </Panel>
      <Panel title="Success by profile" flush>
        {ended.length === 0 ? (
          data === undefined ? <div className={classes.place} role="status" aria-label="Loading the profiles" /> : <EmptyState title="Nothing has ended yet" />
        ) : (
          <Rates rates={profileRates(ended)} />
        )}
      </Panel>
    </div>
  );
}

function Key() {
  return (
    <ul className={classes.key} aria-hidden="true">
      <li className={classes.good}>
        <svg width="10" height="10">
          <circle cx="5" cy="5" r="3.5" />
        </svg>
        <span>deployed</span>
      </li>
      <li className={classes.bad}>
        <svg width="10" height="10">
          <path d="M1 1l8 8m0-8l-8 8" />
        </svg>
        <span>failed</span>
      </li>
    </ul>
  );
}

function Rates({ rates }: { rates: readonly ProfileRate[] }) {
  return (
    <div className={classes.scroll} tabIndex={0} role="region" aria-label="Success by profile, as a table">
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col">Profile</th>
            <th scope="col" className={classes.wide}>
              Succeeded
            </th>
            <th scope="col">Median</th>
          </tr>
        </thead>
        <tbody>
          {rates.map(({ profile, succeeded, total, median }) => (
            <tr key={profile}>
              <th scope="row">{profile === '' ? <span className={classes.quiet}>without a profile</span> : profile}</th>
              <td>
                <span className={classes.rate}>
                  <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                    <rect width="100" height="8" className={classes.rest} />
                    <rect width={(succeeded / total) * 100} height="8" className={classes.done} />
                  </svg>
                  <span title={plural(total - succeeded, 'failure')}>
                    {formatPercent(succeeded / total)} <span className={classes.quiet}>of {total.toLocaleString('en')}</span>
                  </span>
                </span>
              </td>
              <td>{formatDuration(median)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
