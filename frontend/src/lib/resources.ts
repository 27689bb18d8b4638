import type { CleanupStepRowFragment, ResourceState } from '@/gql/generated/graphql';
import { phaseStatus, type StatusKind } from './states';

const kinds: Record<string, string> = {
  server: 'Server',
  vni: 'Network interface',
  reserved_ip: 'Reserved address',
  dns_a: 'DNS record (A)',
  dns_ptr: 'DNS record (PTR)',
  power: 'Power action',
};

const roles: Record<string, string> = {
  ahv: 'hypervisor',
  cvm: 'controller VM',
};

/** What a thing at a provider is, for people; a kind that this app does not know by its own name. */
export function resourceKind(kind: string, role: string | null = null): string {
  const word = kinds[kind] ?? kind.replaceAll('_', ' ');
  return role === null || role === '' ? word : `${word}, ${roles[role] ?? role.replaceAll('_', ' ')}`;
}

const states: Record<ResourceState, { kind: StatusKind; word: string }> = {
  INTENT: { kind: 'queued', word: 'Intended' },
  DOUBTFUL: { kind: 'stalled', word: 'Doubtful' },
  PRESENT: { kind: 'succeeded', word: 'Present' },
  RELEASING: { kind: 'cleaning', word: 'Being released' },
  GONE: { kind: 'cleaned', word: 'Gone' },
};

/** Kind and word of how a thing at a provider stands. */
export function resourceState(state: ResourceState): { kind: StatusKind; word: string } {
  return (states as Partial<Record<string, { kind: StatusKind; word: string }>>)[state] ?? { kind: 'unknown', word: state.toLowerCase() };
}

/** Kind and word of a step of a release. */
export function releaseStatus(status: CleanupStepRowFragment['status']): { kind: StatusKind; word: string } {
  switch (status) {
    case 'SUCCEEDED':
      return { kind: 'cleaned', word: 'Gone' };
    case 'IN_PROGRESS':
      return { kind: 'cleaning', word: 'Releasing' };
    case 'SKIPPED':
      return { kind: 'skipped', word: 'Stays' };
    default:
      return phaseStatus(status);
  }
}
