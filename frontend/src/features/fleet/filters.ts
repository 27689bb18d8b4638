import type { DeploymentState, FleetRowFragment } from '@/gql/generated/graphql';
import { phaseLabel, phaseOrder } from '@/lib/phases';
import { rowKind, statusWords, type StatusKind } from '@/lib/states';

/** The counts above the table; each is a filter. */
export const groups = ['failed', 'stalled', 'late', 'running', 'queued', 'deployed', 'canceled', 'cleaned', 'registered'] as const;
export type Group = (typeof groups)[number];

const groupOf: Record<StatusKind, Group> = {
  failed: 'failed',
  stalled: 'stalled',
  late: 'late',
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

/** States of the server that a group has; a group that is not a state of its own is among those under way. */
const statesOf: Record<Group, readonly DeploymentState[]> = {
  failed: ['FAILED'],
  stalled: ['RUNNING'],
  late: ['RUNNING'],
  running: ['RUNNING'],
  queued: ['QUEUED'],
  deployed: ['SUCCEEDED'],
  canceled: ['CANCELING', 'CANCELED'],
  cleaned: ['CLEANING_UP', 'CLEANED_UP'],
  registered: [],
};

/** The server's states of some groups, each once. */
export function groupStates(shown: readonly Group[]): DeploymentState[] {
  return [...new Set(shown.flatMap((group) => statesOf[group]))];
}

export const groupWords: Record<Group, { word: string; kind: StatusKind }> = {
  failed: { word: 'Failed', kind: 'failed' },
  stalled: { word: 'Stalled', kind: 'stalled' },
  late: { word: 'Late', kind: 'late' },
  running: { word: 'Running', kind: 'running' },
  queued: { word: 'Queued', kind: 'queued' },
  deployed: { word: 'Deployed', kind: 'succeeded' },
  canceled: { word: 'Canceled', kind: 'canceled' },
  cleaned: { word: 'Cleaned up', kind: 'cleaned' },
  registered: { word: 'Registered', kind: 'registered' },
};

export const sortKeys = ['attention', 'name', 'profile', 'ip', 'phase', 'progress', 'eta', 'attempt', 'server', 'provider', 'created', 'seen'] as const;
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
  /** Columns to show, separated by commas; the usual ones when left out. */
  cols?: string;
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
  const cols = typeof raw.cols === 'string' ? colsParameter(chosenColumns(raw.cols)) : undefined;
  if (cols !== undefined) search.cols = cols;
  return search;
}

/** Every column, in the order of the table. */
export const columnIds = ['state', 'name', 'profile', 'ip', 'phase', 'progress', 'eta', 'attempt', 'server', 'provider', 'created', 'seen'] as const;
export type ColumnId = (typeof columnIds)[number];

/** Columns that are always there: how it stands, and who it is. */
export const fixedColumns: ReadonlySet<ColumnId> = new Set(['state', 'name']);

const usual: ReadonlySet<ColumnId> = new Set(['state', 'name', 'profile', 'ip', 'phase', 'progress', 'eta', 'seen']);

/** The columns that the URL asks for, in the order of the table. */
export function chosenColumns(cols: string | undefined): ColumnId[] {
  const named = cols === undefined ? usual : new Set(cols.split(',').map((word) => word.trim()));
  return columnIds.filter((id) => fixedColumns.has(id) || named.has(id));
}

/** The URL's value for a choice; undefined for the usual one. */
export function colsParameter(chosen: readonly ColumnId[]): string | undefined {
  if (chosen.length === usual.size && chosen.every((id) => usual.has(id))) return undefined;
  return chosen.filter((id) => !fixedColumns.has(id)).join(',') || 'name';
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
    card?.failure ? `${card.failure.code} ${phaseLabel(card.failure.phase, card.failure.phaseKey)} ${card.failure.phaseKey}` : '',
  ]
    .join('\n')
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

const attention: Record<StatusKind, number> = {
  failed: 0,
  stalled: 1,
  late: 2,
  canceling: 3,
  cleaning: 4,
  running: 5,
  waiting: 5,
  queued: 6,
  unknown: 7,
  registered: 8,
  canceled: 9,
  cleaned: 10,
  succeeded: 11,
  skipped: 11,
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
  // Those without an estimate last.
  eta: (row) => (row.state === 'RUNNING' ? (row.currentDeployment?.estimatedFinishAt ?? '~') : '~~'),
  attempt: (row) => row.currentDeployment?.attempt ?? 0,
  server: (row) => row.serverStatus ?? '~',
  provider: (row) => row.provider,
  created: (row) => row.createdAt,
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
