import { useState } from 'react';

import { announce } from '@/app/announcer';
import { useVerb } from '@/gql/client/ask';
import { CreateSignInDocument, type Role } from '@/gql/generated/graphql';
import { ActionDialog } from '@/verbs/shared';
import { OnceDialog } from './OnceDialog';
import { roleWord } from './roles';
import { checkName, WhoFields } from './WhoFields';

/** The link that a code is handed over in: in its fragment, which browsers do not send. */
export const signInLink = (origin: string, code: string): string => `${origin}/monitoring#signin=${encodeURIComponent(code)}`;

/** Makes a link that signs somebody in, once. */
export function SignInDialog({ onClose }: { onClose: () => void }) {
  const verb = useVerb(CreateSignInDocument);
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('VIEWER');
  const [tried, setTried] = useState(false);
  const [code, setCode] = useState<string | null>(null);
  const error = checkName(name);
  const create = async (): Promise<void> => {
    setTried(true);
    if (error !== null) return;
    const answer = await verb.run({ input: { name: name.trim(), role } });
    if (!answer?.code) return;
    announce('The link was made');
    setCode(answer.code);
  };
  if (code !== null) {
    return (
      <OnceDialog title={`Link for ${name.trim()}`} label="The sign-in link" secret={signInLink(globalThis.location.origin, code)} onClose={onClose}>
        <p>
          Whoever opens it first, within ten minutes, is signed in as <strong>{name.trim()}</strong>, {roleWord(role)}. Opened in this browser it would end your own session.
        </p>
      </OnceDialog>
    );
  }
  return (
    <ActionDialog title="Sign-in link" verb={verb} does="Make the link" onDo={() => void create()} onClose={onClose}>
      <WhoFields label="Who" description="The history names them so." name={name} error={tried ? error : null} onName={setName} role={role} onRole={setRole} />
    </ActionDialog>
  );
}
