import type { Role } from '@/gql/generated/graphql';
import { Choices, TextInput } from '@/ui';
import { roleMeaning, roles, roleWord } from './roles';
import classes from './SettingsPage.module.css';

export interface WhoFieldsProps {
  label: string;
  description: string;
  name: string;
  error: string | null;
  onName: (name: string) => void;
  role: Role;
  onRole: (role: Role) => void;
}

/** Longest name that the server takes, in bytes. */
const nameMax = 100;

/** What the server would refuse in a name; null when nothing. */
export function checkName(name: string): string | null {
  if (name.trim() === '') return 'A name is required.';
  return new TextEncoder().encode(name.trim()).length > nameMax ? 'At most 100 bytes.' : null;
}

/** A name and a role. */
export function WhoFields({ label, description, name, error, onName, role, onRole }: WhoFieldsProps) {
  return (
    <div className={classes.fields}>
      <TextInput label={label} description={description} value={name} error={error} autoComplete="off" autoCapitalize="off" spellCheck={false} data-autofocus onChange={(event) => onName(event.currentTarget.value)} />
      <Choices legend="Role" value={role} onChange={onRole} choices={roles.map((value) => ({ value, label: roleWord(value), description: roleMeaning[value] }))} />
    </div>
  );
}
