import { problemsOf } from '@/gql/client/ask';
import { formatDuration, plural, type TimeMode } from '@/lib/format';
import { phaseLabel } from '@/lib/phases';
import { Button, EmptyState, Panel, Problems } from '@/ui';
import { bucketLabel } from './axis';
import classes from './Charts.module.css';
import { DurationChart, DurationKey } from './DurationChart';
import { phaseOf, type InsightsSearch } from './search';
import { spanLength, type DurationBucket, type Range } from './series';

export interface DurationPanelProps {
  buckets: readonly DurationBucket[] | undefined;
  error: unknown;
  onAgain: () => void;
  /** Newer numbers are on their way. */
  behind: boolean;
  range: Range;
  mode: TimeMode;
  search: InsightsSearch;
}

/** How long what succeeded took. */
export function DurationPanel({ buckets, error, onAgain, behind, range, mode, search }: DurationPanelProps) {
  const phase = phaseOf(search);
  const what = phase === null ? 'Whole deployments' : phaseLabel(phase, phase.toLowerCase());
  const { word, each } = spanLength[search.span ?? '7d'];
  const ends = buckets?.reduce((sum, { count }) => sum + count, 0) ?? 0;
  return (
    <Panel title={`How long: ${what.toLowerCase()}`} actions={<DurationKey />} flush>
      <div aria-busy={behind} className={`${classes.body ?? ''} ${classes.tall ?? ''}`}>
        {error ? (
          <div className={classes.inside}>
            <Problems title="The durations could not be read" problems={problemsOf(error)} />
            <Button size="xs" variant="default" className={classes.again} onClick={onAgain}>
              Try again
            </Button>
          </div>
        ) : buckets === undefined ? (
          <div className={classes.place} role="status" aria-label="Loading the durations" />
        ) : ends === 0 ? (
          <EmptyState title={`Nothing succeeded in the last ${word}`}>
            <p>What ends well appears here with how long it took. Look further back, or at another profile.</p>
          </EmptyState>
        ) : (
          <>
            <DurationChart buckets={buckets} bucket={range.bucket} mode={mode} label={`${what} over the last ${word}: ${plural(ends, 'end')}, by ${each}. The table below has each number.`} />
            <Table buckets={buckets} range={range} mode={mode} />
          </>
        )}
      </div>
    </Panel>
  );
}

function Table({ buckets, range, mode }: { buckets: readonly DurationBucket[]; range: Range; mode: TimeMode }) {
  const name = bucketLabel(range.bucket, mode);
  return (
    <details className={classes.details}>
      <summary>As a table</summary>
      <div className={classes.scroll} tabIndex={0} role="region" aria-label="Durations as a table">
        <table className={classes.table}>
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">Ended</th>
              <th scope="col">Median</th>
              <th scope="col">95 of 100 within</th>
            </tr>
          </thead>
          <tbody>
            {buckets.toReversed().map(({ start, count, p50, p95 }) => (
              <tr key={start}>
                <th scope="row">{name(start)}</th>
                <td>{count.toLocaleString('en')}</td>
                <td>{formatDuration(p50)}</td>
                <td>{formatDuration(p95)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
