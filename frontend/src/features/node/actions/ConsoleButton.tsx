import { useState } from 'react';

import { useMay } from '@/app/session';
import { useVerb } from '@/gql/client/ask';
import { OpenConsoleDocument, type ConsoleType, type OpenConsoleMutation } from '@/gql/generated/graphql';
import { Button, Choices, Command, Dialog, DialogButtons, Instant, Problems, Tick } from '@/ui';
import classes from '@/verbs/verbs.module.css';
import type { NodeDetails } from '../useNode';

/** The way to a machine's console, where its provider has one. */
export function ConsoleButton({ node }: { node: Pick<NodeDetails, 'id' | 'name' | 'provider' | 'state'> }) {
  const may = useMay('operator');
  const [opened, setOpened] = useState(false);
  // Without a server there is no console.
  if (!may || node.provider !== 'IBM_VPC' || node.state === null || node.state === 'QUEUED' || node.state === 'CLEANED_UP') return null;
  return (
    <>
      <Button size="compact-sm" variant="default" onClick={() => setOpened(true)}>
        Console…
      </Button>
      {opened ? <ConsoleDialog node={node} onClose={() => setOpened(false)} /> : null}
    </>
  );
}

type Access = NonNullable<OpenConsoleMutation['answer']['console']>;

function ConsoleDialog({ node, onClose }: { node: { id: string; name: string }; onClose: () => void }) {
  const verb = useVerb(OpenConsoleDocument);
  const [type, setType] = useState<ConsoleType>('SERIAL');
  const [force, setForce] = useState(false);
  const [access, setAccess] = useState<Access | null>(null);
  const open = async (): Promise<void> => {
    const answer = await verb.run({ input: { id: node.id, type, force: type === 'SERIAL' && force } });
    setAccess(answer?.console ?? null);
  };
  return (
    <Dialog opened onClose={onClose} title={`Console of ${node.name}`}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void open();
        }}
      >
        <Choices
          legend="Which"
          value={type}
          onChange={(next) => {
            setType(next);
            setAccess(null);
            verb.forget();
          }}
          choices={[
            { value: 'SERIAL', label: 'Text', description: 'What the machine writes to its serial port.' },
            { value: 'VNC', label: 'Screen', description: 'Its screen, for a VNC client (RFC 6143).' },
          ]}
        />
        {type === 'SERIAL' ? <Tick label="End somebody else’s session" description="If there is one, it is cut." checked={force} onChange={setForce} /> : null}
        <Problems title="It was not opened" problems={verb.problems} />
        {access === null ? null : (
          <div className={classes.field}>
            <p>
              Good for one use, until <Instant at={access.expiresAt} />. It contains a secret: do not share it.{access.forced ? ' Somebody else’s session was ended for it.' : ''}
            </p>
            <Command label="Address of the console">{access.url}</Command>
          </div>
        )}
        <DialogButtons>
          <Button size="sm" variant="default" onClick={onClose}>
            Close
          </Button>
          <Button type="submit" size="sm" loading={verb.busy}>
            {access === null ? 'Open a way to it' : 'Open another way'}
          </Button>
        </DialogButtons>
      </form>
    </Dialog>
  );
}
