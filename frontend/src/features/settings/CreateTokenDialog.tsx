import { useState } from 'react';

import { announce } from '@/app/announcer';
import { useVerb } from '@/gql/client/ask';
import { CreateApiTokenDocument, type Role } from '@/gql/generated/graphql';
import { NativeSelect } from '@/ui';
import { ActionDialog } from '@/verbs/shared';
import { OnceDialog } from './OnceDialog';
import { roleWord } from './roles';
import classes from './SettingsPage.module.css';
import { checkName, WhoFields } from './WhoFields';

/** How long a token may hold, by days. */
const spans = [
  { value: '30', label: '30 days' },
  { value: '90', label: '90 days' },
  { value: '365', label: 'a year' },
  { value: '', label: 'until it is revoked' },
];

/** Makes an API token; its secret is shown once. */
export function CreateTokenDialog({ onClose, onCreated }: { onClose: () => void; onCreated: () => void }) {
  const verb = useVerb(CreateApiTokenDocument);
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('VIEWER');
  const [days, setDays] = useState('90');
  const [tried, setTried] = useState(false);
  const [made, setMade] = useState<{ name: string; role: Role; secret: string } | null>(null);
  const error = checkName(name);
  const create = async (): Promise<void> => {
    setTried(true);
    if (error !== null) return;
    const answer = await verb.run({ input: { name: name.trim(), role, ...(days === '' ? {} : { days: Number(days) }) } });
    if (!answer?.secret) return;
    announce(`Token ${name.trim()} was made`);
    setMade({ name: name.trim(), role, secret: answer.secret });
    onCreated();
  };
  if (made !== null) {
    return (
      <OnceDialog title={`Token ${made.name}`} label="The token" secret={made.secret} onClose={onClose}>
        <p>
          Whoever has it is <strong>{roleWord(made.role)}</strong>. Programs send it as <code>Authorization: Bearer …</code>; the command line takes it from <code>SLIPWAY_TOKEN</code>.
        </p>
      </OnceDialog>
    );
  }
  return (
    <ActionDialog title="New API token" verb={verb} does="Make the token" onDo={() => void create()} onClose={onClose}>
      <WhoFields label="Name" description="The history names its user so, for example ci or backup-site." name={name} error={tried ? error : null} onName={setName} role={role} onRole={setRole} />
      <div className={classes.field}>
        <NativeSelect label="Holds" data={spans} value={days} onChange={(event) => setDays(event.currentTarget.value)} />
      </div>
    </ActionDialog>
  );
}
