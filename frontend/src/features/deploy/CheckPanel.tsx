import type { Problem } from '@/gql/client/ask';
import type { CheckRowFragment } from '@/gql/generated/graphql';
import { formatRough, plural } from '@/lib/format';
import type { StatusKind } from '@/lib/states';
import { Button, Panel, Problems, StatusMark } from '@/ui';
import { Link } from '@tanstack/react-router';
import type { Checked } from './check';
import classes from './DeployPage.module.css';
import type { Taken } from './usePlace';

export interface CheckPanelProps {
  checked: Checked | null;
  /** It is about the form as it stands. */
  fresh: boolean;
  checking: boolean;
  deploying: boolean;
  /** How many machines it is about. */
  count?: number;
  /** What was taken of a batch although some were refused. */
  taken?: Taken | null;
  /** Why the order was refused. */
  problems: readonly Problem[];
  onDeploy: () => void;
}

/** What was found, line by line, and the button that orders. */
export function CheckPanel({ checked, fresh, checking, deploying, count = 1, taken = null, problems, onDeploy }: CheckPanelProps) {
  const result = checked?.result ?? null;
  const ready = fresh && !checking && result !== null && result.ok;
  return (
    <Panel title="Check" flush>
      <div className={classes.head}>
        <p className={classes.verdict}>
          {result === null ? (
            checked === null ? 'Not checked yet.' : 'It could not be checked.'
          ) : !fresh ? (
            'The form has changed since: check again.'
          ) : (
            <>
              {verdict(result)}
              {!result.ok || result.estimatedDuration === null ? null : ` Takes about ${formatRough(result.estimatedDuration)}.`}
              {result.ok && result.ahead > 0 ? ` Waits for ${plural(result.ahead, 'deployment')} before it.` : ''}
            </>
          )}
        </p>
        {taken === null ? null : (
          <p role="status" className={classes.taken}>
            {taken.taken.toLocaleString('en')} of {taken.of.toLocaleString('en')} were ordered: <Link to="/batches/$batchId" params={{ batchId: taken.batchId }}>follow the batch</Link>. The form is as it was.
          </p>
        )}
        <Problems title={taken === null ? 'It was not ordered' : 'These were not ordered'} problems={problems} />
        <Button size="sm" disabled={!ready} loading={deploying} onClick={onDeploy}>
          {count === 1 ? 'Deploy' : `Deploy ${count.toLocaleString('en')}`}
        </Button>
      </div>
      <div className={classes.list} aria-busy={checking} data-old={(checked !== null && !fresh) || undefined}>
        {checked === null ? <p className={classes.pad}>Fill in the form and check it: quota, names, addresses, network, artifacts and the queue are looked at. Only then it can be ordered.</p> : null}
        {checked !== null && checked.problems.length > 0 ? (
          <div className={classes.pad}>
            <Problems title="The check was not done" problems={checked.problems} />
          </div>
        ) : null}
        {result !== null && result.errors.length > 0 ? (
          <div className={classes.pad}>
            <Problems title="The form is not acceptable" problems={result.errors.map(({ code, message, field }) => ({ code, message, field, requestId: checked?.requestId ?? null }))} />
          </div>
        ) : null}
        {result === null ? null : (
          <ul aria-label="Checks" className={classes.checks}>
            {[...result.checks].sort((a, b) => rankOf(a) - rankOf(b)).map((check) => (
              <CheckLine key={`${check.key} ${check.message}`} check={check} />
            ))}
          </ul>
        )}
      </div>
    </Panel>
  );
}

function verdict({ ok, checks }: NonNullable<Checked['result']>): string {
  const warnings = checks.filter(({ passed, severity }) => !passed && severity === 'WARNING').length;
  if (!ok) return 'It cannot be deployed like this.';
  return warnings > 0 ? `It can be deployed, with ${plural(warnings, 'warning')}.` : 'Nothing stands in the way.';
}

const ranks = { ERROR: 0, WARNING: 1, INFO: 2 } as const;

/** What needs attention is first; the order is otherwise the server's. */
export function rankOf({ passed, severity }: CheckRowFragment): number {
  return passed ? 3 : ranks[severity];
}

/** Checks that only tell something: nothing can be wrong with them. */
const told: ReadonlySet<string> = new Set(['slots', 'duration']);

function markOf({ key, passed, severity }: CheckRowFragment): { kind: StatusKind; word: string } {
  if (told.has(key) || (!passed && severity === 'INFO')) return { kind: 'queued', word: 'Note' };
  if (passed) return { kind: 'succeeded', word: 'Passed' };
  return severity === 'ERROR' ? { kind: 'failed', word: 'Failed' } : { kind: 'stalled', word: 'Warning' };
}

/** What was looked at, and what was found. */
export function CheckLine({ check }: { check: CheckRowFragment }) {
  const { kind, word } = markOf(check);
  return (
    <li className={classes.check} data-kind={kind}>
      <StatusMark kind={kind} word={word} />
      <div>
        <p className={classes.checkLabel}>{check.label}</p>
        <p className={classes.found}>{check.message}</p>
        {check.passed || check.hint === null ? null : (
          <p className={classes.found}>
            <strong>What to do:</strong> {check.hint}
          </p>
        )}
      </div>
    </li>
  );
}
