import { problemsOf } from '@/gql/client/ask';
import { formatPercent, plural, type TimeMode } from '@/lib/format';
import { providerName } from '@/lib/providers';
import { Button, EmptyState, Panel, Problems } from '@/ui';
import { bucketLabel } from './axis';
import classes from './Charts.module.css';
import type { InsightsSearch } from './search';
import { endsOf, rateOf, spanLength, type Range, type SuccessSeries } from './series';
import { SuccessChart } from './SuccessChart';

export interface SuccessPanelProps {
  series: readonly SuccessSeries[] | undefined;
  error: unknown;
  onAgain: () => void;
  behind: boolean;
  range: Range;
  mode: TimeMode;
  search: InsightsSearch;
  onProfile: (profile: string) => void;
}

const nameOf = ({ serverProfile }: SuccessSeries): string => (serverProfile === '' ? 'without a profile' : serverProfile);

/** How attempts ended, by profile. */
export function SuccessPanel({ series, error, onAgain, behind, range, mode, search, onProfile }: SuccessPanelProps) {
  const { word } = spanLength[search.span ?? '7d'];
  return (
    <div className={classes.space}>
      <Panel title="Success by profile" actions={<Key />} flush>
        <div aria-busy={behind} className={classes.body}>
          {error ? (
            <div className={classes.inside}>
              <Problems title="The results could not be read" problems={problemsOf(error)} />
              <Button size="xs" variant="default" className={classes.again} onClick={onAgain}>
                Try again
              </Button>
            </div>
          ) : series === undefined ? (
            <div className={classes.place} role="status" aria-label="Loading the results" />
          ) : series.length === 0 ? (
            <EmptyState title={`No attempts ended in the last ${word}`}>
              <p>Each attempt that is deployed, fails or is canceled counts here.</p>
            </EmptyState>
          ) : (
            <>
              <Profiles series={series} range={range} mode={mode} search={search} onProfile={onProfile} />
              <Table series={series} range={range} mode={mode} />
            </>
          )}
        </div>
      </Panel>
    </div>
  );
}

function Key() {
  return (
    <ul className={classes.key} aria-hidden="true">
      <li>
        <svg width="12" height="12">
          <rect x="2" y="4" width="8" height="8" className={classes.good} />
        </svg>
        deployed, from below
      </li>
      <li>
        <svg width="12" height="12">
          <rect x="2" y="0" width="8" height="8" className={classes.bad} />
        </svg>
        failed, from above
      </li>
    </ul>
  );
}

function Profiles({ series, range, mode, search, onProfile }: Pick<SuccessPanelProps, 'range' | 'mode' | 'search' | 'onProfile'> & { series: readonly SuccessSeries[] }) {
  return (
    <div className={classes.scrollWide} tabIndex={0} role="region" aria-label="Each profile">
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col">Profile</th>
            <th scope="col">Succeeded</th>
            <th scope="col">Attempts</th>
            <th scope="col" className={classes.wide}>
              Over time
            </th>
          </tr>
        </thead>
        <tbody>
          {series.map((one) => {
            const ends = endsOf(one);
            const rate = rateOf(ends);
            return (
              <tr key={`${one.provider} ${one.serverProfile}`} data-chosen={search.profile === one.serverProfile || undefined}>
                <th scope="row">
                  {one.serverProfile === '' ? (
                    nameOf(one)
                  ) : (
                    <button type="button" className={classes.pick} aria-pressed={search.profile === one.serverProfile} title="Only this profile in the chart above" onClick={() => onProfile(one.serverProfile)}>
                      {one.serverProfile}
                    </button>
                  )}
                  <span className={classes.quiet}> {providerName(one.provider)}</span>
                </th>
                <td className={classes.rate}>{rate === null ? '–' : formatPercent(rate)}</td>
                <td className={classes.quiet}>
                  {ends.succeeded.toLocaleString('en')} deployed · {ends.failed.toLocaleString('en')} failed · {ends.canceled.toLocaleString('en')} canceled
                </td>
                <td>
                  <SuccessChart series={one} bucket={range.bucket} mode={mode} label={`${nameOf(one)}: ${ends.succeeded} deployed, ${plural(ends.failed, 'failure')}. The table below has each number.`} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Table({ series, range, mode }: { series: readonly SuccessSeries[]; range: Range; mode: TimeMode }) {
  const name = bucketLabel(range.bucket, mode);
  return (
    <details className={classes.details}>
      <summary>As a table</summary>
      <div className={classes.scroll} tabIndex={0} role="region" aria-label="Results as a table">
        <table className={classes.table}>
          <thead>
            <tr>
              <th scope="col">Profile</th>
              <th scope="col">Time</th>
              <th scope="col">Deployed</th>
              <th scope="col">Failed</th>
              <th scope="col">Canceled</th>
            </tr>
          </thead>
          <tbody>
            {series.flatMap((one) =>
              one.buckets
                .filter(({ succeeded, failed, canceled }) => succeeded + failed + canceled > 0)
                .toReversed()
                .map(({ start, succeeded, failed, canceled }) => (
                  <tr key={`${one.provider} ${one.serverProfile} ${start}`}>
                    <th scope="row">{nameOf(one)}</th>
                    <td>{name(start)}</td>
                    <td>{succeeded.toLocaleString('en')}</td>
                    <td>{failed.toLocaleString('en')}</td>
                    <td>{canceled.toLocaleString('en')}</td>
                  </tr>
                )),
            )}
          </tbody>
        </table>
      </div>
    </details>
  );
}
