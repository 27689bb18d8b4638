import type { Role } from '@/gql/generated/graphql';

/** What a role may do, in words. */
export const roleMeaning: Record<Role, string> = {
  VIEWER: 'may look at everything',
  OPERATOR: 'may deploy and change machines',
  ADMIN: 'may do everything, and manage access',
};

export const roles: readonly Role[] = ['VIEWER', 'OPERATOR', 'ADMIN'];

/** Who made something, in words; who is at the server's host may have no name. */
export const makerName = (name: string): string => (name === '' ? 'the server’s host' : name === 'command line' ? 'the command line' : name);

/** As scripts and people write it. */
export const roleWord = (role: Role): string => role.toLowerCase();
