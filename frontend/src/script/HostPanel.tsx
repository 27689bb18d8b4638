import { Link } from '@tanstack/react-router';

import { useMay } from '@/app/session';
import type { ProbeNowFragment } from '@/gql/generated/graphql';
import { useNow } from '@/lib/clock';
import { formatDuration } from '@/lib/format';
import { phaseLabel } from '@/lib/phases';
import { isOver, stateKind } from '@/lib/states';
import { Button, Instant, Progress, StatusMark } from '@/ui';
import { HostActions } from './HostActions';
import { errorClass, hostSteps, probeWords, runKind, runNumber } from './hostState';
import classes from './HostPanel.module.css';
import { useHostDeployment, useRunNow, type HostDeployment } from './useHost';

export interface HostPanelProps {
  deploymentId: string;
  /** The page offers cancel and retry somewhere else. */
  ownVerbsOnly?: boolean;
  /** The page is about this run: no link to it. */
  runId?: string;
  /** The page says elsewhere how it stands and why it failed. */
  stepsOnly?: boolean;
}

/** A host on its way back: its steps, the attempts to reach it, why it failed, and what may be done. */
export function HostPanel({ deploymentId, ownVerbsOnly = false, runId, stepsOnly = false }: HostPanelProps) {
  const { deployment, error, refetch } = useHostDeployment(deploymentId);
  if (deployment === null) {
    return (
      <div className={classes.waiting} role="status" data-steps={stepsOnly || undefined}>
        {error ? (
          <>
            How this node stands could not be read.{' '}
            <Button size="compact-xs" variant="default" onClick={() => void refetch().catch(() => undefined)}>
              Try again
            </Button>
          </>
        ) : (
          'Reading how this node stands …'
        )}
      </div>
    );
  }
  return <Loaded deployment={deployment} ownVerbsOnly={ownVerbsOnly} runId={runId} stepsOnly={stepsOnly} />;
}

function Loaded({ deployment, ownVerbsOnly, runId, stepsOnly }: { deployment: HostDeployment; ownVerbsOnly: boolean; runId: string | undefined; stepsOnly: boolean }) {
  const over = isOver(deployment.state);
  const now = useNow(!over);
  const may = useMay('operator');
  const kind = stateKind(deployment.state);
  return (
    <div className={classes.host} data-kind={kind} data-steps={stepsOnly || undefined}>
      {stepsOnly ? null : (
        <div className={classes.head}>
          <StatusMark kind={kind} live />
          <Progress value={deployment.progress} kind={kind} label={`Progress of ${deployment.node.name}`} />
          <span className={classes.quiet}>
            Deployment {deployment.number}, attempt {deployment.attempt}
          </span>
          {deployment.scriptRun && deployment.scriptRun.id !== runId ? <RunLink run={deployment.scriptRun} /> : null}
        </div>
      )}
      <ol className={classes.steps} aria-label={`Steps of ${deployment.node.name}`}>
        {hostSteps(deployment, now).map((step) => (
          <li key={step.key} className={classes.step} data-here={step.here || undefined} aria-current={step.here ? 'step' : undefined}>
            <StatusMark kind={step.kind} word={step.word} live={step.here && step.kind === 'running'} />
            <span className={classes.label}>{step.label}</span>
            <span className={classes.took}>{step.took === null ? '' : formatDuration(step.took)}</span>
            {step.detail === null ? null : <span className={classes.detail}>{step.detail}</span>}
          </li>
        ))}
      </ol>
      {deployment.sshProbe ? <ProbeState probe={deployment.sshProbe} polling={!over} now={now} /> : null}
      {deployment.failure && !stepsOnly ? <Failure failure={deployment.failure} /> : null}
      {may ? <HostActions deployment={deployment} ownVerbsOnly={ownVerbsOnly} /> : null}
    </div>
  );
}

function RunLink({ run }: { run: NonNullable<HostDeployment['scriptRun']> }) {
  const { word } = runKind(useRunNow(run));
  return (
    <Link to="/apply/runs/$runId" params={{ runId: run.id }}>
      Run {runNumber(run.id)}, {word.toLowerCase()}
    </Link>
  );
}

function ProbeState({ probe, polling, now }: { probe: ProbeNowFragment; polling: boolean; now: number }) {
  const words = probeWords(probe, polling, now);
  return (
    <dl className={classes.probe} aria-label="Attempts to reach it">
      <div>
        <dt>Target</dt>
        <dd>
          <code>{probe.target}</code>
        </dd>
      </div>
      <div>
        <dt>Attempts</dt>
        <dd>{words.attempts}</dd>
      </div>
      {words.next === null ? null : (
        <div>
          <dt>Next</dt>
          <dd className={classes.number}>{words.next}</dd>
        </div>
      )}
      {words.last === null ? null : (
        <div className={classes.wide}>
          <dt>Last attempt</dt>
          <dd>
            <Instant at={probe.lastAttemptAt} className={classes.quiet} /> <strong>{words.last}</strong>
            {probe.lastMessage === null || probe.lastMessage === '' || probe.lastMessage === errorClass(probe.lastErrorClass ?? '') ? null : <span className={classes.message}> {probe.lastMessage}</span>}
          </dd>
        </div>
      )}
    </dl>
  );
}

function Failure({ failure }: { failure: NonNullable<HostDeployment['failure']> }) {
  return (
    <div className={classes.failure}>
      <p className={classes.failed}>
        <StatusMark kind="failed" word={`Failed in ${phaseLabel(failure.phase, failure.phaseKey)}`} /> <code>{failure.code}</code> <Instant at={failure.at} className={classes.quiet} />
      </p>
      <p className={classes.why}>{failure.message}</p>
      {failure.hint === null || failure.hint === '' ? null : (
        <p>
          <strong>What to do:</strong> {failure.hint}
        </p>
      )}
      {failure.logTail == null || failure.logTail === '' ? null : (
        <details>
          <summary>Last lines of the log</summary>
          <pre className={classes.tail} tabIndex={0} role="region" aria-label="Last lines of the log">
            {failure.logTail.trimEnd()}
          </pre>
        </details>
      )}
    </div>
  );
}
