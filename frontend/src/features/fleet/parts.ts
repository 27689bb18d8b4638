import type { FleetRowFragment } from '@/gql/generated/graphql';
import { parseSearch, type FleetSearch } from './filters';

export type { FleetSearch } from './filters';

/** What the fleet can be narrowed by besides words and groups, by the names of the URL. */
export const partNames = ['phase', 'failure_phase', 'failure_code', 'profile', 'cluster', 'label'] as const;
export type PartName = (typeof partNames)[number];

export const partWords: Record<PartName, string> = {
  phase: 'Phase',
  failure_phase: 'Failed in',
  failure_code: 'Failure',
  profile: 'Profile',
  cluster: 'Cluster',
  label: 'Label',
};

function valuesOf(search: FleetSearch, name: PartName): string[] {
  const value = search[name];
  return Array.isArray(value) ? value : (value ?? '').split(',').filter((each) => each !== '');
}

/** Everything that a question narrows by. */
export function chosenParts(search: FleetSearch): { name: PartName; value: string }[] {
  return partNames.flatMap((name) => valuesOf(search, name).map((value) => ({ name, value })));
}

/** The question with one more, or one less. */
export function withPart(search: FleetSearch, name: PartName, value: string, on: boolean): FleetSearch {
  const rest = valuesOf(search, name).filter((each) => each !== value);
  const next = on ? [...rest, value] : rest;
  const inText = name === 'phase' || name === 'failure_phase' || name === 'failure_code';
  return parseSearch({ ...search, [name]: inText ? next.join(',') : next });
}

function partsOf(row: FleetRowFragment): Record<PartName, readonly string[]> {
  const { currentDeployment: card } = row;
  const failure = card?.failure ?? null;
  return {
    phase: [card?.phase ?? 'PENDING'],
    failure_phase: failure === null ? [] : [failure.phase],
    failure_code: failure === null ? [] : [failure.code],
    profile: [row.serverProfile],
    cluster: row.clusterName === null ? [] : [row.clusterName],
    label: row.labels.map(({ key, value }) => `${key}=${value}`),
  };
}

/** Choices of one kind that are worth showing: a list of thousands is no choice. */
const mostOffered = 200;

/** What there is to choose from, by the rows, with how many have it; what was chosen is not offered again. */
export function offered(rows: Iterable<FleetRowFragment>, search: FleetSearch): Record<PartName, { value: string; count: number }[]> {
  const counts = Object.fromEntries(partNames.map((name) => [name, new Map<string, number>()])) as Record<PartName, Map<string, number>>;
  for (const row of rows) {
    const parts = partsOf(row);
    for (const name of partNames) for (const value of parts[name]) counts[name].set(value, (counts[name].get(value) ?? 0) + 1);
  }
  const list = (name: PartName): { value: string; count: number }[] => {
    const chosen = new Set(valuesOf(search, name));
    return [...counts[name]]
      .filter(([value]) => value !== '' && !chosen.has(value))
      .map(([value, count]) => ({ value, count }))
      .sort((a, b) => b.count - a.count || a.value.localeCompare(b.value, 'en', { numeric: true }))
      .slice(0, mostOffered);
  };
  return Object.fromEntries(partNames.map((name) => [name, list(name)])) as Record<PartName, { value: string; count: number }[]>;
}
