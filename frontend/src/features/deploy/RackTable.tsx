import { useMemo } from 'react';

import { plural } from '@/lib/format';
import { TextArea } from '@/ui';
import classes from './DeployPage.module.css';
import { linesOf, type Order } from './order';
import { mostLines } from './rackTable';
import { told } from './told';

export interface RackTableProps {
  order: Pick<Order, 'rows' | 'power'>;
  set: (change: Partial<Order>) => void;
  wrong: (...path: string[]) => string | undefined;
}

/** Several machines of one’s own, a line each, with what is wrong at the line. */
export function RackTable({ order, set, wrong }: RackTableProps) {
  const { rows, power } = order;
  const lines = useMemo(() => linesOf({ rows, power }), [rows, power]);
  const findings = lines.map(({ line, wrong: own }) => own ?? wrong('rows', String(line)));
  const bad = findings.filter((finding) => finding !== undefined).length;
  const summary = bad > 0 ? `${plural(bad, 'line')} of ${lines.length.toLocaleString('en')} cannot be ordered like this.` : lines.length === 0 ? wrong('rows') : undefined;
  return (
    <>
      <TextArea
        label="Table"
        {...told(`A line each: ${power.byController ? 'name, MAC address or serial number, management IP, controller' : 'name, MAC address or serial number, management IP'}; apart by tabs, commas or spaces, at most ${mostLines}`, summary)}
        placeholder={power.byController ? 'rack-1  52:54:00:12:34:56  10.0.8.21  https://10.0.9.21' : 'rack-1  52:54:00:12:34:56  10.0.8.21\nrack-2  7CX1Y23  10.0.8.22'}
        rows={6}
        spellCheck={false}
        autoComplete="off"
        classNames={{ input: classes.typed ?? '' }}
        value={rows}
        onChange={(event) => set({ rows: event.currentTarget.value })}
      />
      {lines.length === 0 ? null : (
        // It scrolls by itself, also by keyboard.
        <div className={classes.lines} tabIndex={0} role="region" aria-label="Machines of the table">
          <table>
            <thead>
              <tr>
                <th scope="col">Line</th>
                <th scope="col">Machine</th>
                <th scope="col">MAC or serial</th>
                <th scope="col">Address</th>
                {power.byController ? <th scope="col">Controller</th> : null}
              </tr>
            </thead>
            {lines.map(({ line, name, mac, serial, managementIp, controller }, i) => (
              <tbody key={line}>
                <tr>
                  <th scope="row">{line}</th>
                  <td>{name}</td>
                  <td>{mac === '' ? serial : mac}</td>
                  <td>{managementIp}</td>
                  {power.byController ? <td>{controller}</td> : null}
                </tr>
                {findings[i] === undefined ? null : (
                  <tr>
                    <td />
                    <td colSpan={power.byController ? 4 : 3} className={classes.wrong}>
                      {findings[i]}
                    </td>
                  </tr>
                )}
              </tbody>
            ))}
          </table>
        </div>
      )}
    </>
  );
}
