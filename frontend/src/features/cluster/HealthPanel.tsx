import { announce } from '@/app/announcer';
import { useMay } from '@/app/session';
import { useVerb } from '@/gql/client/ask';
import { CheckClusterHealthDocument, type ClusterLiveFragment } from '@/gql/generated/graphql';
import { Button, Instant, Panel, Problems, StatusMark } from '@/ui';
import classes from './ClusterPage.module.css';
import { checkLabel, healthMark, isReleased, type Health } from './words';

/** What the last look at the cluster found, check by check, with what that rests on. */
export function HealthPanel({ cluster }: { cluster: ClusterLiveFragment }) {
  const { health, formedAt } = cluster;
  const may = useMay('operator');
  const verb = useVerb(CheckClusterHealthDocument);
  const looks = may && formedAt !== null && !isReleased(cluster.state);
  const look = async (): Promise<void> => {
    const answer = await verb.run({ input: { id: cluster.id } });
    if (answer !== null) announce('The cluster was looked at');
  };
  return (
    <Panel
      title="Health"
      flush
      tone={health !== null && !health.ok ? 'failed' : 'plain'}
      actions={
        <>
          {health === null ? null : (
            <>
              <StatusMark {...healthMark(health)} />
              <Instant at={health.at} className={classes.quiet} />
            </>
          )}
          {looks ? (
            <Button size="compact-xs" variant="default" loading={verb.busy} onClick={() => void look()}>
              Check again
            </Button>
          ) : null}
        </>
      }
    >
      {verb.problems.length === 0 ? null : (
        <div className={classes.pad}>
          <Problems title="It could not be looked at" problems={verb.problems} />
        </div>
      )}
      {health === null ? (
        <p className={classes.none}>{formedAt === null ? 'It is looked at when the cluster is formed: every controller VM, its services, Prism, and what the members say of each other.' : 'It was not looked at yet.'}</p>
      ) : (
        <Checks health={health} />
      )}
    </Panel>
  );
}

function Checks({ health }: { health: Health }) {
  // What is wrong is first; the order is otherwise the server's.
  const sorted = health.checks.toSorted((a, b) => Number(a.ok) - Number(b.ok));
  return (
    <ul className={classes.checks} aria-label="Checks of the cluster’s health">
      {sorted.map((check) => (
        <li key={`${check.name} ${check.address ?? ''}`}>
          <StatusMark kind={check.ok ? 'succeeded' : 'failed'} word={check.ok ? 'Passed' : 'Failed'} />
          <div>
            <h3>{checkLabel(check.name)}</h3>
            <p>
              {check.message}
              {check.class === null ? null : (
                <>
                  {' '}
                  <code className={classes.code}>{check.class}</code>
                </>
              )}
            </p>
            {check.hint === null || check.ok ? null : (
              <p>
                <strong>What to do:</strong> {check.hint}
              </p>
            )}
            {check.evidence.length === 0 ? null : (
              <details className={classes.evidence}>
                <summary>Evidence</summary>
                <pre tabIndex={0} role="region" aria-label={`Evidence: ${checkLabel(check.name)} ${check.nodeName ?? check.address ?? ''}`}>
                  {check.evidence.join('\n')}
                </pre>
              </details>
            )}
          </div>
          <span className={classes.quiet}>{check.nodeName ?? check.address ?? 'all'}</span>
        </li>
      ))}
    </ul>
  );
}
