import type { BareMetalNodeFilter, FleetGroup, FleetRowFragment, Phase } from '@/gql/generated/graphql';
import { allPhases, phaseOrder } from '@/lib/phases';
import { rowKind, type StatusKind } from '@/lib/states';

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

const asked: Record<Group, FleetGroup> = {
  failed: 'FAILED',
  stalled: 'STALLED',
  late: 'LATE',
  running: 'RUNNING',
  queued: 'QUEUED',
  deployed: 'DEPLOYED',
  canceled: 'CANCELED',
  cleaned: 'CLEANED',
  registered: 'REGISTERED',
};

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
  /** Words, each a part of a name, address, MAC address, serial number, profile, cluster, phase or failure. */
  q?: string;
  /** Groups to show, separated by commas; all when left out. */
  show?: string;
  /** Phases of the current deployment, separated by commas. */
  phase?: string;
  /** Phases that it failed in, separated by commas. */
  failure_phase?: string;
  /** Codes that it failed with, separated by commas. */
  failure_code?: string;
  /** Profiles. */
  profile?: string[];
  /** Names of clusters. */
  cluster?: string[];
  /** Labels that it must have, all of them: "key=value". */
  label?: string[];
  /** What to sort by; "attention" when left out. */
  sort?: SortKey;
  /** Sorted the other way round. */
  desc?: boolean;
  /** Columns to show, separated by commas; the usual ones when left out. */
  cols?: string;
}

/** The longest text that the server takes. */
export const longest = 200;
/** The most entries of a list that it takes. */
const mostEntries = 200;

const listed = (text: string): string[] => [...new Set(text.split(',').map((word) => word.trim()))].filter((word) => word !== '').slice(0, mostEntries);

function namedPhases(raw: unknown): Phase[] {
  const named = new Set(typeof raw === 'string' ? listed(raw.toUpperCase()) : []);
  return allPhases.filter((phase) => named.has(phase));
}

/** Texts of a parameter that may be one or a list. */
function texts(raw: unknown): string[] {
  const list: unknown[] = Array.isArray(raw) ? raw : [raw];
  return [...new Set(list.filter((each) => typeof each === 'string' || typeof each === 'number').map(String))].filter((each) => each !== '').slice(0, mostEntries);
}

/** Reads the URL; what makes no sense is left out rather than refused. */
export function parseSearch(raw: Record<string, unknown>): FleetSearch {
  const search: FleetSearch = {};
  const q = typeof raw.q === 'string' || typeof raw.q === 'number' ? String(raw.q) : '';
  if (q !== '') search.q = q.slice(0, longest);
  const show = typeof raw.show === 'string' ? shownGroups(raw.show) : [];
  if (show.length > 0) search.show = show.join(',');
  for (const name of ['phase', 'failure_phase'] as const) {
    const phases = namedPhases(raw[name]);
    if (phases.length > 0) search[name] = phases.join(',');
  }
  const codes = typeof raw.failure_code === 'string' ? listed(raw.failure_code) : [];
  if (codes.length > 0) search.failure_code = codes.join(',');
  for (const name of ['profile', 'cluster', 'label'] as const) {
    const values = texts(raw[name]).filter((value) => name !== 'label' || value.indexOf('=') > 0);
    if (values.length > 0) search[name] = values;
  }
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

/** The URL's value with one column more, or one less. */
export function withColumn(cols: string | undefined, id: ColumnId, on: boolean): string | undefined {
  const chosen = chosenColumns(cols);
  return colsParameter(columnIds.filter((each) => (each === id ? on : chosen.includes(each))));
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

/** A word that may be a part of a MAC address. */
const macPart = /^[0-9a-f:-]+$/;

// The same fields as the server looks at, so that what is exported, copied or
// acted on is what is shown.
function matchesText(row: FleetRowFragment, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const card = row.currentDeployment;
  const text = [row.name, row.managementIp, row.workloadIp, row.serial, row.serverProfile, row.clusterName, card?.phaseKey, card?.failure?.phaseKey, card?.failure?.code].join('\n').toLowerCase();
  return words.every((word) => text.includes(word) || (macPart.test(word) && row.macAddresses.some((mac) => mac.includes(word.replaceAll('-', ':')))));
}

/** The question of a page, for the server; everything left out is not narrowed. */
export function fleetFilter(search: FleetSearch): BareMetalNodeFilter {
  const groupsShown = shownGroups(search.show).map((group) => asked[group]);
  const phases = namedPhases(search.phase);
  const failurePhases = namedPhases(search.failure_phase);
  return {
    ...(search.q === undefined ? {} : { text: search.q }),
    ...(groupsShown.length === 0 ? {} : { groups: groupsShown }),
    ...(phases.length === 0 ? {} : { phases }),
    ...(failurePhases.length === 0 ? {} : { failurePhases }),
    ...(search.failure_code === undefined ? {} : { failureCodes: listed(search.failure_code) }),
    ...(search.profile === undefined ? {} : { serverProfiles: search.profile }),
    ...(search.cluster === undefined ? {} : { clusterNames: search.cluster }),
    ...(search.label === undefined ? {} : { labels: search.label.map(labelOf) }),
  };
}

function labelOf(text: string): { key: string; value: string } {
  const at = text.indexOf('=');
  return { key: text.slice(0, at), value: text.slice(at + 1) };
}

/** Whether a page asks for less than everything. */
export function isNarrowed(search: FleetSearch): boolean {
  return Object.keys(fleetFilter(search)).length > 0;
}

/** Whether a row has what was asked for besides its group: all parts must match, any entry of a list may. */
function matcher(search: FleetSearch): (row: FleetRowFragment) => boolean {
  const { phases, failurePhases, failureCodes, serverProfiles, clusterNames, labels } = fleetFilter(search);
  const words = (search.q ?? '').toLowerCase().split(/\s+/).filter((word) => word !== '');
  const any = (list: readonly string[] | null | undefined, value: string | null | undefined): boolean => list == null || (value != null && list.includes(value));
  return (row) => {
    const card = row.currentDeployment;
    return (
      any(phases, card === null ? 'PENDING' : card.phase) &&
      any(failurePhases, card?.failure?.phase) &&
      any(failureCodes, card?.failure?.code) &&
      any(serverProfiles, row.serverProfile) &&
      any(clusterNames, row.clusterName) &&
      (labels ?? []).every(({ key, value }) => row.labels.some((label) => label.key === key && label.value === value)) &&
      matchesText(row, words)
    );
  };
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
  const matches = matcher(search);
  const value = sortValue[search.sort ?? 'attention'];
  const keyed: { row: FleetRowFragment; key: string | number; name: string }[] = [];
  for (const row of rows) {
    if (shown.size > 0 && !shown.has(groupOf[rowKind(row)])) continue;
    if (!matches(row)) continue;
    keyed.push({ row, key: value(row), name: naturalKey(row.name) });
  }
  const direction = search.desc ? -1 : 1;
  keyed.sort((a, b) => {
    if (a.key !== b.key) return a.key < b.key ? -direction : direction;
    return a.name < b.name ? -1 : a.name > b.name ? 1 : a.row.id < b.row.id ? -1 : 1;
  });
  return keyed.map(({ row }) => row);
}
