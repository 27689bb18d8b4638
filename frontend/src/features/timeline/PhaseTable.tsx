import { phaseStatus } from '@/lib/states';
import { Instant, StatusMark } from '@/ui';
import { factsOf } from './describe';
import type { Row } from './geometry';
import classes from './Timeline.module.css';

/** The chart's data as a table: for screen readers always, for others on request. */
export function PhaseTable({ rows, now }: { rows: readonly Row[]; now: number }) {
  return (
    <div className={classes.tableScroll} tabIndex={0} role="region" aria-label="Phases as a table">
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col">Phase</th>
            <th scope="col">Attempt</th>
            <th scope="col">Status</th>
            <th scope="col">Entered</th>
            <th scope="col">Waited</th>
            <th scope="col">Ran</th>
            <th scope="col">Typical</th>
            <th scope="col">Deadline</th>
          </tr>
        </thead>
        <tbody>
          {rows.flatMap((row) => {
            const bars = row.lanes.flatMap((lane) => lane.bars);
            if (bars.length === 0) {
              return [
                <tr key={row.phaseKey}>
                  <th scope="row">{row.label}</th>
                  <td>–</td>
                  <td colSpan={6} className={classes.todo}>
                    not reached
                  </td>
                </tr>,
              ];
            }
            return bars.map((bar) => {
              const facts = factsOf(bar, now);
              return (
                <tr key={bar.run.key}>
                  <th scope="row">{row.label}</th>
                  <td>{bar.run.attempt}</td>
                  <td>
                    <StatusMark kind={phaseStatus(bar.run.status).kind} word={facts.word} />
                  </td>
                  <td>
                    <Instant at={bar.run.enteredAt} />
                  </td>
                  <td>{facts.waited ?? '–'}</td>
                  <td>{facts.ran ?? '–'}</td>
                  <td>{facts.typical ?? '–'}</td>
                  <td>{facts.deadline ?? '–'}</td>
                </tr>
              );
            });
          })}
        </tbody>
      </table>
    </div>
  );
}
