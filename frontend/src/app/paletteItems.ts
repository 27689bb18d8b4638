import type { FleetRowFragment } from '@/gql/generated/graphql';
import { rowKind, statusWords, type StatusKind } from '@/lib/states';

/** Somewhere to go, or something to do. */
export type PaletteItem =
  | { kind: 'page'; key: string; label: string; hint: string; to: '/overview' | '/' | '/history' | '/insights' | '/clusters' | '/clusters/new' | '/deploy' | '/apply' | '/apply/runs' | '/bulk' | '/artifacts' | '/resources' | '/settings' }
  | { kind: 'id'; key: string; label: string; hint: string; of: 'deployment' | 'batch' | 'bulk' | 'cluster' | 'event'; id: string }
  | { kind: 'filter'; key: string; label: string; hint: string; show: string }
  | { kind: 'action'; key: string; label: string; hint: string; action: 'theme' | 'time' | 'shortcuts' | 'sign-out' }
  | { kind: 'node'; key: string; label: string; hint: string; nodeId: string; status: StatusKind };

/** Rows of nodes that are offered at once. */
const mostNodes = 12;

const fixed: readonly (Exclude<PaletteItem, { kind: 'node' | 'id' }> & { role?: 'operator' | 'admin' })[] = [
  { kind: 'page', key: 'overview', label: 'Overview', hint: 'g o', to: '/overview' },
  { kind: 'page', key: 'fleet', label: 'Fleet', hint: 'g f', to: '/' },
  { kind: 'page', key: 'clusters', label: 'Clusters', hint: 'g c', to: '/clusters' },
  { kind: 'page', key: 'history', label: 'History', hint: 'g h', to: '/history' },
  { kind: 'page', key: 'insights', label: 'Insights: durations and success rates', hint: 'g i', to: '/insights' },
  { kind: 'page', key: 'deploy', label: 'Deploy a node', hint: 'g d', to: '/deploy', role: 'operator' },
  { kind: 'page', key: 'new-cluster', label: 'Deploy a cluster', hint: '', to: '/clusters/new', role: 'operator' },
  { kind: 'page', key: 'apply', label: 'Apply changes', hint: 'g p', to: '/apply', role: 'operator' },
  { kind: 'page', key: 'runs', label: 'Runs of the deployment script', hint: 'g r', to: '/apply/runs' },
  { kind: 'page', key: 'bulk', label: 'Bulk operations', hint: 'g b', to: '/bulk' },
  { kind: 'page', key: 'artifacts', label: 'Artifacts', hint: 'g a', to: '/artifacts' },
  { kind: 'page', key: 'orphans', label: 'Orphans at the provider', hint: '', to: '/resources', role: 'admin' },
  { kind: 'page', key: 'settings', label: 'Settings', hint: 'g s', to: '/settings' },
  { kind: 'filter', key: 'failed', label: 'Nodes that failed', hint: 'Fleet', show: 'failed' },
  { kind: 'filter', key: 'stuck', label: 'Nodes that are stalled or late', hint: 'Fleet', show: 'stalled,late' },
  { kind: 'filter', key: 'queued', label: 'Nodes that wait for their turn', hint: 'Fleet', show: 'queued' },
  { kind: 'filter', key: 'running', label: 'Nodes under way', hint: 'Fleet', show: 'running' },
  { kind: 'action', key: 'theme', label: 'Switch theme: system, light, dark', hint: '', action: 'theme' },
  { kind: 'action', key: 'time', label: 'Switch times: local, relative, UTC', hint: 't', action: 'time' },
  { kind: 'action', key: 'shortcuts', label: 'Keyboard shortcuts', hint: '?', action: 'shortcuts' },
  { kind: 'action', key: 'sign-out', label: 'Sign out', hint: '', action: 'sign-out' },
];

/** How well a node answers to the words: lower is better; null when it does not. */
function rank(row: FleetRowFragment, words: readonly string[]): number | null {
  const name = row.name.toLowerCase();
  const all = `${name} ${row.managementIp ?? ''} ${row.id}`;
  if (!words.every((word) => all.includes(word))) return null;
  const [first = ''] = words;
  return name === first ? 0 : name.startsWith(first) ? 1 : name.includes(first) ? 2 : 3;
}

const ids = { dep: ['deployment', 'Deployment'], bat: ['batch', 'Batch'], blk: ['bulk', 'Bulk operation'], clu: ['cluster', 'Cluster'], evt: ['event', 'Event'] } as const;

/** An id that was pasted names its page. */
function byId(word: string): PaletteItem[] {
  const [, tag, number] = /^(dep|bat|blk|clu|evt)_(\d{1,18})$/.exec(word) ?? [];
  if (tag === undefined || number === undefined) return [];
  const [of, name] = ids[tag as keyof typeof ids];
  return [{ kind: 'id', key: word, label: `${name} ${word}`, hint: 'Open', of, id: word }];
}

/** What is offered for what was typed: nodes by name, address or id, then pages and actions. */
export function paletteItems(typed: string, rows: Iterable<FleetRowFragment>, may: (role: 'operator' | 'admin') => boolean): PaletteItem[] {
  const words = typed.toLowerCase().split(/\s+/).filter((word) => word !== '');
  const places = fixed.filter(({ label, role }) => (role === undefined || may(role)) && words.every((word) => label.toLowerCase().includes(word)));
  if (words.length === 0) return places;
  const found: { row: FleetRowFragment; rank: number }[] = [];
  for (const row of rows) {
    const how = rank(row, words);
    if (how !== null) found.push({ row, rank: how });
  }
  found.sort((a, b) => a.rank - b.rank || a.row.name.localeCompare(b.row.name, 'en', { numeric: true }));
  const nodes = found.slice(0, mostNodes).map(({ row }): PaletteItem => {
    const status = rowKind(row);
    return { kind: 'node', key: row.id, label: row.name, hint: row.managementIp ?? statusWords[status], nodeId: row.id, status };
  });
  return [...(words.length === 1 ? byId(words[0] ?? '') : []), ...nodes, ...places];
}
