import { useApolloClient } from '@apollo/client/react';
import { Link } from '@tanstack/react-router';
import { useEffect, useState } from 'react';

import { announce } from '@/app/announcer';
import { useMay } from '@/app/session';
import { useVerb } from '@/gql/client/ask';
import { CancelDocument, CleanupDocument, ProtectDocument, ReinitializeDocument, RetryDocument, type DeploymentAction } from '@/gql/generated/graphql';
import { uniqueKey } from '@/lib/key';
import { markPending, takeBack } from '@/lib/pending';
import { Button, Problems } from '@/ui';
import type { DeploymentDetails, NodeDetails } from '../useNode';
import classes from '@/verbs/verbs.module.css';
import { CancelDialog } from '@/verbs/CancelDialog';
import { isBehind } from '@/verbs/shared';
import { CleanupDialog } from './CleanupDialog';
import { ProtectDialog } from './ProtectDialog';
import { ReinitializeDialog } from './ReinitializeDialog';
import { RetryDialog } from '@/verbs/RetryDialog';

type Opened = DeploymentAction | 'PROTECT';

// What is asked of a host that is being polled has its place where that is shown.
const buttons: Partial<Record<DeploymentAction, { label: string; destroys?: true }>> = {
  CANCEL: { label: 'Cancel…' },
  RETRY: { label: 'Retry…' },
  RETRY_FROM_PHASE: { label: 'Retry from…' },
  REINITIALIZE: { label: 'Reinitialize…', destroys: true },
  CLEANUP: { label: 'Clean up…', destroys: true },
};

/** What is going on at the moment, by verb. */
const asked = { cancel: 'Asking to cancel …', retry: 'Asking for another attempt …', reinitialize: 'Asking to reinitialize …', cleanup: 'Asking to clean up …', protect: 'Changing the protection …' };

export interface ActionBarProps {
  node: NodeDetails;
  /** The node's current deployment. */
  deployment: DeploymentDetails;
}

/** What may be asked of a machine now. The server says which buttons there are; a viewer has none. */
export function ActionBar({ node, deployment }: ActionBarProps) {
  const may = useMay('operator');
  const [opened, setOpened] = useState<Opened | null>(null);
  const cancel = useVerb(CancelDocument);
  const retry = useVerb(RetryDocument);
  const reinitialize = useVerb(ReinitializeDocument);
  const cleanup = useVerb(CleanupDocument);
  const protect = useVerb(ProtectDocument);
  const verbs = { cancel, retry, reinitialize, cleanup, protect };
  const names = Object.keys(verbs) as (keyof typeof verbs)[];
  const refused = names.flatMap((name) => verbs[name].problems);
  // The page was behind the server: it is read anew, so that the buttons are those of now.
  const client = useApolloClient();
  const behind = refused.some(isBehind);
  useEffect(() => {
    if (behind) void client.refetchQueries({ include: 'active' }).catch(() => undefined);
  }, [behind, client]);
  if (!may) return null;

  // There is nothing left, or soon will be, that a protection could keep.
  const released = deployment.state === 'CLEANING_UP' || deployment.state === 'CLEANED_UP';
  const pending = names.find((name) => verbs[name].busy);
  const open = (which: Opened): void => {
    for (const name of names) verbs[name].forget();
    setOpened(which);
  };
  const close = (): void => setOpened(null);
  /** Shown by the machine's row at once; taken back with a refusal, or when nothing had to change. */
  const mark = (word: string, asked: Promise<{ deployment: { id: string; version: number } | null } | null>): typeof asked => {
    const key = uniqueKey();
    markPending([node], word, key);
    void asked.then((answer) => {
      const now = answer?.deployment ?? null;
      if (now === null || (now.id === deployment.id && now.version <= deployment.version)) takeBack(key);
    });
    return asked;
  };
  // A dialog stays open while it is being asked for, and when the answer is no.
  const after = (said: string) => (answer: unknown) => {
    if (answer === null) return;
    announce(said);
    close();
  };

  return (
    <div className={classes.bar}>
      <div role="group" aria-label="Actions" className={classes.buttons}>
        {deployment.allowedActions
          .filter((action) => action in buttons)
          .map((action) => (
            <Button key={action} size="compact-sm" variant="default" disabled={pending !== undefined} className={buttons[action]?.destroys ? classes.destroys : undefined} onClick={() => open(action)}>
              {buttons[action]?.label}
            </Button>
          ))}
        {released ? null : (
          <Button size="compact-sm" variant="default" disabled={pending !== undefined} onClick={() => open('PROTECT')}>
            {node.protected ? 'Unprotect…' : 'Protect…'}
          </Button>
        )}
        {deployment.state === 'CLEANED_UP' && node.provider !== 'SCRIPT' ? (
          <Link to="/deploy" search={{ name: node.name, on: node.provider === 'RACK' ? 'rack' : 'ibm-vpc' }} className={classes.again}>
            Deploy again
          </Link>
        ) : null}
      </div>
      <span role="status" className={classes.pending}>
        {pending === undefined ? '' : asked[pending]}
      </span>
      {/* In the dialog while it is open; here when it was closed before the answer came. */}
      {opened === null ? <Problems title="It was not done" problems={refused} /> : null}

      {opened === 'CANCEL' ? <CancelDialog deployment={deployment} verb={cancel} onClose={close} run={(input) => void mark('Cancel asked', cancel.run({ input })).then(after('Cancel accepted'))} /> : null}
      {opened === 'RETRY' || opened === 'RETRY_FROM_PHASE' ? (
        <RetryDialog deployment={deployment} choose={opened === 'RETRY_FROM_PHASE'} verb={retry} onClose={close} run={(input) => void mark('Retry asked', retry.run({ input })).then(after('Retry accepted'))} />
      ) : null}
      {opened === 'REINITIALIZE' ? (
        <ReinitializeDialog node={node} deployment={deployment} verb={reinitialize} onClose={close} run={(input) => void mark('Reinit. asked', reinitialize.run({ input })).then(after('Reinitialize accepted'))} />
      ) : null}
      {opened === 'CLEANUP' ? (
        <CleanupDialog node={node} deployment={deployment} verb={cleanup} onClose={close} run={(variables) => void mark('Cleanup asked', cleanup.run(variables)).then(after('Cleanup accepted'))} />
      ) : null}
      {opened === 'PROTECT' ? (
        <ProtectDialog node={node} verb={protect} onClose={close} run={(input) => void protect.run({ input }).then(after(input.protected ? 'Protected' : 'Protection taken away'))} />
      ) : null}
    </div>
  );
}
