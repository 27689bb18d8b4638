import { useState } from 'react';

import { useMay } from '@/app/session';
import { useVerb } from '@/gql/client/ask';
import { CancelRunDocument, type RunLiveFragment } from '@/gql/generated/graphql';
import { useNow } from '@/lib/clock';
import { formatDuration, plural } from '@/lib/format';
import { Button, Instant, Panel, StatusMark, TextInput, Tick } from '@/ui';
import { ActionDialog, Effects } from '@/verbs/shared';
import { isActive, runEnd, runKind, runNumber } from './hostState';
import { notify } from './notices';
import classes from './RunPanel.module.css';
import { useRunNow } from './useHost';

/** A run of the deployment script: how it stands, who asked for it, how it ended. */
export function RunPanel({ run: read }: { run: RunLiveFragment }) {
  const run = useRunNow(read);
  const may = useMay('operator');
  const [ending, setEnding] = useState(false);
  const active = isActive(run);
  const now = useNow(active);
  const { kind, word } = runKind(run);
  const end = runEnd(run);
  const took = run.duration ?? (run.startedAt === null ? null : now - Date.parse(run.startedAt));
  const tone = run.state === 'FAILED' || run.state === 'LOST' ? 'failed' : 'plain';
  const actions =
    active && may ? (
      <Button size="compact-sm" variant="default" onClick={() => setEnding(true)}>
        Cancel the run…
      </Button>
    ) : null;
  return (
    <Panel title={`Run ${runNumber(run.id)} of the deployment script`} tone={tone} actions={actions}>
      <div className={classes.head}>
        <StatusMark kind={kind} word={word} live={active} />
        {end === null ? null : <span className={classes.end}>{end}</span>}
        <span className={classes.took}>{took === null ? '' : formatDuration(took)}</span>
      </div>
      {run.problem === null || run.problem === '' ? null : <p className={classes.problem}>{run.problem}</p>}
      {run.cancelRequestedAt === null ? null : (
        <p>
          {run.cancelRequestedBy ?? 'Somebody'} asked for its end <Instant at={run.cancelRequestedAt} />
          {run.cancelReason === null || run.cancelReason === '' ? '' : `: ${run.cancelReason}`}
        </p>
      )}
      <dl className={classes.facts}>
        <Fact name="Nodes">{plural(run.nodeCount, 'node')}</Fact>
        <Fact name="Requested by">
          {run.requestedBy.name} <span className={classes.quiet}>({run.requestedBy.kind.toLowerCase()})</span>
        </Fact>
        <Fact name="Host">{run.host}</Fact>
        <Fact name="Accepted">
          <Instant at={run.createdAt} />
        </Fact>
        <Fact name="Started">
          <Instant at={run.startedAt} />
        </Fact>
        <Fact name="Ended">
          <Instant at={run.endedAt} />
        </Fact>
        <Fact name="Process">{run.pid ?? '–'}</Fact>
      </dl>
      {ending ? <CancelRunDialog run={run} onClose={() => setEnding(false)} /> : null}
    </Panel>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function CancelRunDialog({ run, onClose }: { run: RunLiveFragment; onClose: () => void }) {
  const verb = useVerb(CancelRunDocument);
  const [reason, setReason] = useState('');
  const [force, setForce] = useState(run.cancelRequestedAt !== null);
  const end = (): void => {
    void verb.run({ input: { id: run.id, reason: reason.trim() === '' ? null : reason.trim(), force } }).then((answer) => {
      if (answer === null) return;
      notify('told', `Run ${runNumber(run.id)} is being ended`, { runId: run.id });
      onClose();
    });
  };
  return (
    <ActionDialog title={`Cancel run ${runNumber(run.id)}`} verb={verb} does="End the script" leave="Let it run" destroys onDo={end} onClose={onClose}>
      <Effects>
        <li>The script is asked to end, and made to if it does not in time. What it has done already stays done.</li>
        <li>{run.nodeCount === 1 ? 'The deployment of its node is canceled.' : `The deployments of all its ${run.nodeCount} nodes are canceled.`}</li>
      </Effects>
      <Tick label="End it at once" description="It gets no time to put things in order." checked={force} onChange={setForce} />
      <TextInput label="Why (kept in the history)" maxLength={400} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
    </ActionDialog>
  );
}
