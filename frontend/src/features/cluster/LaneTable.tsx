import { factsOf } from '@/features/timeline/describe';
import { formatDuration } from '@/lib/format';
import { phaseStatus } from '@/lib/states';
import { Instant, StatusMark } from '@/ui';
import type { Lanes, Step } from './lanes';
import classes from './LanesPanel.module.css';

const stepWords: Record<Step['kind'], string> = { running: 'Running', succeeded: 'Done', failed: 'Failed' };

/** Where the barrier stands, as a sentence. */
export function barrierText({ is, ready, total }: Lanes['barrier']): string {
  const counted = `${ready} of ${total} ready`;
  if (is === 'reached') return `The barrier was reached: ${counted}, at `;
  return is === 'expected' ? `The barrier is not reached: ${counted}. The slowest node is expected there at ` : `The barrier is not reached: ${counted}; when it will be cannot be told.`;
}

/** The chart's data as a table: for screen readers always, for others on request. */
export function LaneTable({ lanes, now }: { lanes: Lanes; now: number }) {
  const { barrier, steps } = lanes;
  return (
    <div className={classes.scroll} tabIndex={0} role="region" aria-label="Nodes in time as a table">
      <table className={classes.table}>
        <caption>
          {barrierText(barrier)}
          {barrier.is === 'open' ? null : <Instant at={new Date(barrier.at).toISOString()} />}
        </caption>
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col">Phase</th>
            <th scope="col">Attempt</th>
            <th scope="col">Status</th>
            <th scope="col">Entered</th>
            <th scope="col">Waited</th>
            <th scope="col">Ran</th>
          </tr>
        </thead>
        <tbody>
          {lanes.lanes.flatMap(({ member, bars, key }) =>
            bars.length === 0
              ? [
                  <tr key={key}>
                    <th scope="row">{member.node.name}</th>
                    <td colSpan={6}>nothing since the cluster was asked for</td>
                  </tr>,
                ]
              : bars.map((bar) => {
                  const facts = factsOf(bar, now);
                  return (
                    <tr key={bar.run.key}>
                      <th scope="row">{member.node.name}</th>
                      <td>{bar.run.label}</td>
                      <td>{bar.run.attempt}</td>
                      <td>{bar.held ? <StatusMark kind="waiting" word="Waits for the others" /> : <StatusMark kind={phaseStatus(bar.run.status).kind} word={facts.word} />}</td>
                      <td>
                        <Instant at={bar.run.enteredAt} />
                      </td>
                      <td>{facts.waited ?? '–'}</td>
                      <td>{facts.ran ?? '–'}</td>
                    </tr>
                  );
                }),
          )}
          {steps.map(({ key, label, kind, span }) => (
            <tr key={key}>
              <th scope="row">The cluster</th>
              <td>{label}</td>
              <td>–</td>
              <td>
                <StatusMark kind={kind} word={stepWords[kind]} />
              </td>
              <td>
                <Instant at={new Date(span.from).toISOString()} />
              </td>
              <td>–</td>
              <td>{formatDuration(span.to - span.from)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
