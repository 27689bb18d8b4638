import type { DeploymentCardFragment, Phase, Provider } from '@/gql/generated/graphql';

/** A step of a provider's way from ordered to deployed, in order. */
export interface Step {
  phase: Phase;
  label: string;
}

const labels: Partial<Record<Phase, string>> = {
  PENDING: 'Queued',
  SERVER_REQUESTED: 'Server ordered',
  MONITORING_START: 'Waiting for boot',
  IPXE_BOOT: 'Network boot',
  CONFIG_DOWNLOAD: 'Configuration',
  FOUNDATION_START: 'Installer start',
  NETWORK_CONFIG: 'Network setup',
  STORAGE_DISCOVERY: 'Disk discovery',
  IMAGE_DOWNLOAD: 'Image download',
  INSTALLATION: 'Installation',
  POST_INSTALL: 'Post-install',
  CONFIG_STORED: 'Configuration stored',
  SCRIPT_STARTED: 'Script run',
  REBOOT_WAIT: 'Restart wait',
  SSH_POLLING: 'SSH polling',
  CLUSTER_FORMATION: 'Cluster formation',
  DNS_REGISTRATION: 'DNS records',
  HEALTH_VALIDATION: 'Health check',
  DEPLOYED: 'Deployed',
  FAILED: 'Failed',
  CANCELED: 'Canceled',
  CLEANUP: 'Cleanup',
  CLEANUP_COMPLETED: 'Cleaned up',
};

const tail: Phase[] = ['CLUSTER_FORMATION', 'DNS_REGISTRATION', 'HEALTH_VALIDATION'];
const machine: Phase[] = [
  'MONITORING_START',
  'IPXE_BOOT',
  'CONFIG_DOWNLOAD',
  'FOUNDATION_START',
  'NETWORK_CONFIG',
  'STORAGE_DISCOVERY',
  'IMAGE_DOWNLOAD',
  'INSTALLATION',
  'POST_INSTALL',
];

const orders: Record<Provider, Phase[]> = {
  IBM_VPC: ['PENDING', 'SERVER_REQUESTED', ...machine, ...tail],
  RACK: ['PENDING', ...machine, ...tail],
  SCRIPT: ['PENDING', 'CONFIG_STORED', 'SCRIPT_STARTED', 'REBOOT_WAIT', 'SSH_POLLING', 'HEALTH_VALIDATION'],
};

/** The phases a deployment of this provider goes through, final ones left out. */
export function phaseOrder(provider: Provider): readonly Phase[] {
  return orders[provider];
}

/** Every phase that this app knows, in order, final ones last. */
export const allPhases: readonly Phase[] = [
  ...new Set<Phase>([...orders.IBM_VPC, ...orders.RACK, ...orders.SCRIPT, 'DEPLOYED', 'FAILED', 'CANCELED', 'CLEANUP', 'CLEANUP_COMPLETED']),
];

/** A short name to show. A phase that this app does not know is shown by its key. */
export function phaseLabel(phase: Phase, phaseKey: string): string {
  return labels[phase] ?? humanKey(phaseKey);
}

function humanKey(key: string): string {
  const words = key.replaceAll('_', ' ').trim();
  return words === '' ? 'Unknown step' : words.charAt(0).toUpperCase() + words.slice(1);
}

/** What the mini strip of a row shows for one step. */
export type StripStep = 'done' | 'now' | 'failed' | 'stopped' | 'todo';

/** The strip of a row: a state for each step, and where it stands in words. */
export interface Strip {
  steps: StripStep[];
  /** Index of the step it stands at; null when it stands at none. */
  at: number | null;
}

/**
 * Derives the mini strip from what a row carries. A row has no list of its
 * phase runs (for ten thousand rows that would be the larger part of every
 * message), so a step before the current one counts as passed, done or skipped.
 */
export function phaseStrip(card: Pick<DeploymentCardFragment, 'provider' | 'phase' | 'state' | 'failure'>): Strip {
  const order = phaseOrder(card.provider);
  const fill = (state: StripStep): StripStep[] => order.map(() => state);
  if (card.state === 'SUCCEEDED') return { steps: fill('done'), at: null };
  if (card.state === 'CLEANING_UP' || card.state === 'CLEANED_UP') return { steps: fill('stopped'), at: null };

  const phase = card.failure?.phase ?? card.phase;
  const index = order.indexOf(phase);
  if (index < 0) return { steps: fill(card.state === 'CANCELED' || card.state === 'CANCELING' ? 'stopped' : 'todo'), at: null };
  const here: StripStep =
    card.state === 'FAILED' ? 'failed' : card.state === 'CANCELED' || card.state === 'CANCELING' ? 'stopped' : 'now';
  return { steps: order.map((_, i) => (i < index ? 'done' : i === index ? here : 'todo')), at: index };
}
