import { useState } from 'react';

import { announce } from '@/app/announcer';
import { useVerb } from '@/gql/client/ask';
import { AcceptKeyDocument, CancelDocument, ProbeDocument, RetryDocument, SkipDocument, type DeploymentAction } from '@/gql/generated/graphql';
import { Button, Problems, TextInput } from '@/ui';
import { CancelDialog } from '@/verbs/CancelDialog';
import { RetryDialog } from '@/verbs/RetryDialog';
import { ActionDialog, Effects, type Asking } from '@/verbs/shared';
import classes from './HostPanel.module.css';
import type { HostDeployment } from './useHost';

const labels: Partial<Record<DeploymentAction, string>> = {
  PROBE_NOW: 'Ask it now',
  SKIP_POLLING: 'Skip the proof…',
  ACCEPT_HOST_KEY: 'Accept its new key…',
  RETRY: 'Retry…',
  RETRY_FROM_PHASE: 'Retry from…',
  CANCEL: 'Cancel…',
};
const order = Object.keys(labels) as DeploymentAction[];
const elsewhere: readonly DeploymentAction[] = ['RETRY', 'RETRY_FROM_PHASE', 'CANCEL'];

/** What may be asked of a host now: the server says which buttons there are. */
export function HostActions({ deployment, ownVerbsOnly }: { deployment: HostDeployment; ownVerbsOnly: boolean }) {
  const [opened, setOpened] = useState<DeploymentAction | null>(null);
  const verbs = { probe: useVerb(ProbeDocument), skip: useVerb(SkipDocument), accept: useVerb(AcceptKeyDocument), retry: useVerb(RetryDocument), cancel: useVerb(CancelDocument) };
  const all = Object.values(verbs);
  const busy = all.some((verb) => verb.busy);
  const actions = order.filter((action) => deployment.allowedActions.includes(action) && !(ownVerbsOnly && elsewhere.includes(action)));
  const refused = all.flatMap(({ problems }) => problems);
  if (actions.length === 0 && refused.length === 0 && opened === null) return null;
  const { id, node, sshProbe: probe } = deployment;
  const close = (): void => setOpened(null);
  const after = (said: string) => (answer: unknown) => {
    if (answer === null) return;
    announce(`${node.name}: ${said}`);
    close();
  };
  const open = (action: DeploymentAction): void => {
    for (const verb of all) verb.forget();
    if (action === 'PROBE_NOW') void verbs.probe.run({ input: { id } }).then(after('it is being asked'));
    else setOpened(action);
  };
  return (
    <div className={classes.actions}>
      <div role="group" aria-label={`Actions for ${node.name}`} className={classes.actions}>
        {actions.map((action) => (
          <Button key={action} size="compact-sm" variant="default" disabled={busy} onClick={() => open(action)}>
            {labels[action]}
          </Button>
        ))}
      </div>
      <span role="status" className={`${classes.pending ?? ''} ${classes.quiet ?? ''}`}>
        {busy ? 'Asking …' : ''}
      </span>
      {opened === null ? <Problems title="It was not done" problems={refused} /> : null}
      {opened === 'SKIP_POLLING' ? <SkipDialog name={node.name} verb={verbs.skip} onClose={close} run={(reason) => void verbs.skip.run({ input: { id, reason } }).then(after('the proof is skipped'))} /> : null}
      {opened === 'ACCEPT_HOST_KEY' && probe?.offeredHostKey != null ? (
        <AcceptDialog
          name={node.name}
          known={probe.knownFingerprint ?? node.hostKeyFingerprint}
          offered={probe.offeredFingerprint}
          verb={verbs.accept}
          onClose={close}
          run={() => void verbs.accept.run({ input: { nodeId: node.id, hostKey: probe.offeredHostKey ?? '' } }).then(after('the new key is trusted'))}
        />
      ) : null}
      {opened === 'CANCEL' ? <CancelDialog deployment={deployment} verb={verbs.cancel} onClose={close} run={(input) => void verbs.cancel.run({ input }).then(after('cancel accepted'))} /> : null}
      {opened === 'RETRY' || opened === 'RETRY_FROM_PHASE' ? (
        <RetryDialog deployment={deployment} choose={opened === 'RETRY_FROM_PHASE'} verb={verbs.retry} onClose={close} run={(input) => void verbs.retry.run({ input }).then(after('retry accepted'))} />
      ) : null}
    </div>
  );
}

/** A person vouches for a host that could not be reached. */
export function SkipDialog({ name, verb, run, onClose }: { name: string; verb: Asking; run: (reason: string) => void; onClose: () => void }) {
  const [reason, setReason] = useState('');
  return (
    <ActionDialog title={`Skip the proof for ${name}`} verb={verb} does="Skip, and count it as deployed" leave="Go on asking" blocked={reason.trim() === ''} onDo={() => run(reason.trim())} onClose={onClose}>
      <Effects>
        <li>Nobody has proved that {name} is back. It counts as deployed because you say so.</li>
        <li>Your name and the reason are kept in its history.</li>
      </Effects>
      <TextInput label="Why (kept in the history)" data-autofocus required withAsterisk={false} mt="md" maxLength={400} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
    </ActionDialog>
  );
}

/** Both keys of a host side by side, before the new one is trusted. */
export function AcceptDialog({ name, known, offered, verb, run, onClose }: { name: string; known: string | null; offered: string | null; verb: Asking; run: () => void; onClose: () => void }) {
  return (
    <ActionDialog title={`Another host key for ${name}`} verb={verb} does="Trust the new key" leave="Do not trust it" destroys onDo={run} onClose={onClose}>
      <p>Whoever answers there is not the machine that was known, or the machine has a new key. A new key is normal after an installation; otherwise it may be somebody else.</p>
      <dl className={classes.keys}>
        <div>
          <dt>Known until now</dt>
          <dd>{known ?? 'none'}</dd>
        </div>
        <div>
          <dt>Offered when it was last asked</dt>
          <dd>{offered ?? 'unknown'}</dd>
        </div>
      </dl>
      <Effects>
        <li>
          Compare with what the machine’s console says: <code>ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub</code>
        </li>
      </Effects>
    </ActionDialog>
  );
}
