import type { Role } from '@/gql/generated/graphql';

/** What a role may do, in words. */
export const roleMeaning: Record<Role, string> = {
  VIEWER: 'may look at everything',
  OPERATOR: 'may deploy and change machines',
  ADMIN: 'may do everything, and manage access',
};

export const roles: readonly Role[] = ['VIEWER', 'OPERATOR', 'ADMIN'];

/** As scripts and people write it. */
export const roleWord = (role: Role): string => role.toLowerCase();
