import { CheckLine, rankOf } from '@/features/deploy/CheckPanel';
import checkClasses from '@/features/deploy/DeployPage.module.css';
import type { Problem } from '@/gql/client/ask';
import type { CheckRowFragment } from '@/gql/generated/graphql';
import { formatRough, plural } from '@/lib/format';
import { Button, Command, Panel, Problems } from '@/ui';
import { readable } from './form';
import classes from './NewClusterPage.module.css';
import type { Plan, Planned } from './usePlan';

export interface PlanPanelProps extends Planned {
  /** What is still to be filled in. */
  missing: readonly string[];
  /** The form says something that the server cannot read. */
  wrong: boolean;
  /** Nodes join a cluster that is there: none is made. */
  joins: boolean;
  ordering: boolean;
  /** Why the order was refused. */
  refused: readonly Problem[];
  /** What the button says. */
  does: string;
  onOrder: () => void;
}

/** What would become of the cluster, node by node, and the button that orders it. */
export function PlanPanel({ plan, fresh, busy, problems, again, missing, wrong, joins, ordering, refused, does, onOrder }: PlanPanelProps) {
  const shown = missing.length > 0 && plan === null ? null : plan;
  return (
    <Panel title="What would become of it" flush>
      <div className={classes.head}>
        <p className={classes.verdict} role="status">
          {missing.length > 0 ? `To be filled in: ${missing.join(', ')}.` : wrong ? 'It cannot be deployed like this.' : busy || plan === null ? (problems.length > 0 ? 'It could not be looked at.' : 'The server is looking …') : verdict(plan)}
        </p>
        <Problems title="It was not ordered" problems={refused} />
        <Button size="sm" disabled={!fresh || busy || missing.length > 0 || wrong || plan?.ok !== true} loading={ordering} onClick={onOrder}>
          {does}
        </Button>
      </div>
      <div className={classes.list} aria-busy={busy} data-old={(shown !== null && (!fresh || missing.length > 0 || wrong)) || undefined}>
        {problems.length > 0 ? (
          <div className={classes.pad}>
            <Problems title="It could not be looked at" problems={problems} />
            <Button size="xs" variant="default" onClick={again}>
              Look again
            </Button>
          </div>
        ) : null}
        {shown === null ? <p className={classes.empty}>As soon as the form says enough, the cluster and each of its nodes are checked here by themselves: rules, quota, names, addresses, network and artifacts. Nothing is ordered by that, and it costs nothing.</p> : <Checks plan={shown} joins={joins} />}
      </div>
    </Panel>
  );
}

function verdict(plan: Plan): string {
  if (!plan.ok) return 'It cannot be deployed like this.';
  const warnings = [...plan.checks, ...plan.nodes.flatMap(({ checks }) => checks)].filter(({ passed, severity }) => !passed && severity === 'WARNING').length;
  const takes = plan.estimatedDuration === null ? '' : ` Its slowest node takes about ${formatRough(plan.estimatedDuration)}.`;
  return `${warnings > 0 ? `It can be deployed, with ${plural(warnings, 'warning')}.` : 'Nothing stands in the way.'}${takes}`;
}

function Checks({ plan, joins }: { plan: Plan; joins: boolean }) {
  return (
    <>
      {plan.errors.length > 0 ? (
        <div className={classes.pad}>
          <Problems title="The form is not acceptable" problems={plan.errors.map(({ code, message, field }) => ({ code, message, field, requestId: null }))} />
        </div>
      ) : null}
      {plan.checks.length > 0 ? <Part title="The cluster" checks={plan.checks.map(readable)} /> : null}
      {plan.nodes.map(({ name, checks }, i) => (
        <Part key={`${i} ${name}`} title={name === '' ? `Node ${i + 1}` : name} checks={checks} />
      ))}
      {plan.command === null && (joins || !plan.ok) ? null : (
        <section className={classes.command} aria-label="Command that makes the cluster">
          <h3>The command on the first node’s controller VM</h3>
          {plan.command === null ? <p className={classes.quiet}>It names the addresses of all controller VMs. Those that are left empty are chosen when the servers are ordered; the page of the cluster then shows it.</p> : <Command label="Command on the controller VM">{plan.command}</Command>}
        </section>
      )}
    </>
  );
}

/** What needs attention is shown; what passed is counted, and there to look at. */
function Part({ title, checks }: { title: string; checks: readonly CheckRowFragment[] }) {
  const sorted = [...checks].sort((a, b) => rankOf(a) - rankOf(b));
  const wrong = sorted.filter(({ passed }) => !passed);
  const passed = sorted.filter((check) => check.passed);
  return (
    <section className={classes.part} aria-label={`Checks of ${title}`}>
      <h3>{title}</h3>
      {wrong.length === 0 ? null : (
        <ul className={checkClasses.checks}>
          {wrong.map((check) => (
            <CheckLine key={`${check.key} ${check.message}`} check={check} />
          ))}
        </ul>
      )}
      {passed.length === 1 && wrong.length === 0 && passed[0] !== undefined ? (
        <ul className={checkClasses.checks}>
          <CheckLine check={passed[0]} />
        </ul>
      ) : passed.length === 0 ? null : (
        <details className={classes.passed}>
          <summary>{plural(passed.length, 'check')} passed</summary>
          <ul className={checkClasses.checks}>
            {passed.map((check) => (
              <CheckLine key={`${check.key} ${check.message}`} check={check} />
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
