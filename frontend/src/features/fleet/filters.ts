import type { FleetRowFragment } from '@/gql/generated/graphql';
import { phaseLabel, phaseOrder } from '@/lib/phases';
import { rowKind, statusWords, type StatusKind } from '@/lib/states';

/** The counts above the table; each is a filter. */
export const groups = ['failed', 'stalled', 'running', 'queued', 'deployed', 'canceled', 'cleaned', 'registered'] as const;
export type Group = (typeof groups)[number];

const groupOf: Record<StatusKind, Group> = {
  failed: 'failed',
  stalled: 'stalled',
  running: 'running',
  waiting: 'running',
  queued: 'queued',
  succeeded: 'deployed',
  canceling: 'canceled',
  canceled: 'canceled',
  cleaning: 'cleaned',
  cleaned: 'cleaned',
  registered: 'registered',
  skipped: 'registered',
  unknown: 'registered',
};

export const groupWords: Record<Group, { word: string; kind: StatusKind }> = {
  failed: { word: 'Failed', kind: 'failed' },
  stalled: { word: 'Stalled', kind: 'stalled' },
  running: { word: 'Running', kind: 'running' },
  queued: { word: 'Queued', kind: 'queued' },
  deployed: { word: 'Deployed', kind: 'succeeded' },
  canceled: { word: 'Canceled', kind: 'canceled' },
  cleaned: { word: 'Cleaned up', kind: 'cleaned' },
  registered: { word: 'Registered', kind: 'registered' },
};

export const sortKeys = ['attention', 'name', 'profile', 'ip', 'phase', 'progress', 'attempt', 'seen'] as const;
export type SortKey = (typeof sortKeys)[number];

/** What the URL of the fleet page says. Everything left out has its default. */
export interface FleetSearch {
  /** Part of a name, address, profile or phase. */
  q?: string;
  /** Groups to show, separated by commas; all when left out. */
  show?: string;
  /** What to sort by; "attention" when left out. */
  sort?: SortKey;
  /** Sorted the other way round. */
  desc?: boolean;
}

/** Reads the URL; what makes no sense is left out rather than refused. */
export function parseSearch(raw: Record<string, unknown>): FleetSearch {
  const search: FleetSearch = {};
  const q = typeof raw.q === 'string' || typeof raw.q === 'number' ? String(raw.q) : '';
  if (q !== '') search.q = q;
  const show = typeof raw.show === 'string' ? shownGroups(raw.show) : [];
  if (show.length > 0) search.show = show.join(',');
  const sort = sortKeys.find((key) => key === raw.sort);
  if (sort && sort !== 'attention') search.sort = sort;
  if (raw.desc === true || raw.desc === 'true') search.desc = true;
  return search;
}

/** The groups named in the URL, in the order of the page, each once. */
export function shownGroups(show: string | undefined): Group[] {
  const named = new Set((show ?? '').split(',').map((word) => word.trim()));
  return groups.filter((group) => named.has(group));
}

/** The URL's value after a click on a count. */
export function toggleGroup(show: string | undefined, group: Group): string | undefined {
  const shown = shownGroups(show);
  const next = shown.includes(group) ? shown.filter((each) => each !== group) : groups.filter((each) => each === group || shown.includes(each));
  return next.length === 0 ? undefined : next.join(',');
}

/** How many rows each group has. */
export function countGroups(rows: Iterable<FleetRowFragment>): Record<Group, number> {
  const counts = Object.fromEntries(groups.map((group) => [group, 0])) as Record<Group, number>;
  for (const row of rows) counts[groupOf[rowKind(row)]] += 1;
  return counts;
}

function matchesText(row: FleetRowFragment, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const card = row.currentDeployment;
  const text = [
    row.name,
    row.managementIp ?? '',
    row.serverProfile,
    statusWords[rowKind(row)],
    card ? `${phaseLabel(card.phase, card.phaseKey)} ${card.phaseKey}` : '',
    card?.failure?.code ?? '',
  ]
    .join('\n')
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

const attention: Record<StatusKind, number> = {
  failed: 0,
  stalled: 1,
  canceling: 2,
  cleaning: 3,
  running: 4,
  waiting: 4,
  queued: 5,
  unknown: 6,
  registered: 7,
  canceled: 8,
  cleaned: 9,
  succeeded: 10,
  skipped: 10,
};

const naturalKeys = new Map<string, string>();

/** A key whose plain order is the natural one: metal-2 before metal-10. Kept, as sorting asks for it often. */
function naturalKey(text: string): string {
  let key = naturalKeys.get(text);
  if (key === undefined) {
    key = text.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, '0'));
    naturalKeys.set(text, key);
  }
  return key;
}

function phaseIndex(row: FleetRowFragment): number {
  const card = row.currentDeployment;
  if (!card) return -1;
  if (card.state === 'SUCCEEDED') return 99;
  return phaseOrder(card.provider).indexOf(card.failure?.phase ?? card.phase);
}

const sortValue: Record<SortKey, (row: FleetRowFragment) => string | number> = {
  attention: (row) => attention[rowKind(row)],
  name: (row) => naturalKey(row.name),
  profile: (row) => naturalKey(row.serverProfile),
  ip: (row) => naturalKey(row.managementIp ?? '~'),
  phase: phaseIndex,
  progress: (row) => row.currentDeployment?.progress ?? -1,
  attempt: (row) => row.currentDeployment?.attempt ?? 0,
  // The longest silent one first.
  seen: (row) => row.lastSeenAt ?? '',
};

/** The rows to show, in order. Equal rows are ordered by name, so that the order never depends on arrival. */
export function selectRows(rows: Iterable<FleetRowFragment>, search: FleetSearch): FleetRowFragment[] {
  const shown = new Set<Group>(shownGroups(search.show));
  const words = (search.q ?? '').toLowerCase().split(/\s+/).filter((word) => word !== '');
  const value = sortValue[search.sort ?? 'attention'];
  const keyed: { row: FleetRowFragment; key: string | number; name: string }[] = [];
  for (const row of rows) {
    if (shown.size > 0 && !shown.has(groupOf[rowKind(row)])) continue;
    if (!matchesText(row, words)) continue;
    keyed.push({ row, key: value(row), name: naturalKey(row.name) });
  }
  const direction = search.desc ? -1 : 1;
  keyed.sort((a, b) => {
    if (a.key !== b.key) return a.key < b.key ? -direction : direction;
    return a.name < b.name ? -1 : a.name > b.name ? 1 : a.row.id < b.row.id ? -1 : 1;
  });
  return keyed.map(({ row }) => row);
}
