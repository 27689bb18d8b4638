import type { Provider } from '@/gql/generated/graphql';
import { phaseLabel, phaseOrder } from '@/lib/phases';
import { NativeSelect, SegmentedControl } from '@/ui';
import classes from './Charts.module.css';
import { parseInsightsSearch, spans, type InsightsSearch } from './search';
import { spanLength } from './series';

const providers: readonly { value: Provider; label: string }[] = [
  { value: 'IBM_VPC', label: 'IBM Cloud VPC' },
  { value: 'RACK', label: 'Own hardware' },
  { value: 'SCRIPT', label: 'Scripted hosts' },
];

/** Phases that take time, of one provider or of all, each once. */
function phases(provider: Provider | undefined): { value: string; label: string }[] {
  const all = provider === undefined ? providers.flatMap(({ value }) => phaseOrder(value)) : phaseOrder(provider);
  return [...new Set(all)].map((phase) => ({ value: phase.toLowerCase(), label: phaseLabel(phase, phase.toLowerCase()) }));
}

export interface FiltersProps {
  search: InsightsSearch;
  change: (next: InsightsSearch) => void;
  profiles: readonly string[];
}

/** What the charts are about; all of it is in the URL. */
export function Filters({ search, change, profiles }: FiltersProps) {
  const set = (next: Partial<Record<keyof InsightsSearch, string>>): void => change(parseInsightsSearch({ ...search, ...next }));
  const named = [...new Set([...profiles, ...(search.profile === undefined ? [] : [search.profile])])].filter((profile) => profile !== '').sort();
  return (
    <div className={classes.filters} role="group" aria-label="What the charts are about">
      <SegmentedControl
        size="xs"
        aria-label="How far back"
        data={spans.map((value) => ({ value, label: spanLength[value].word }))}
        value={search.span ?? '7d'}
        onChange={(span) => set({ span })}
      />
      <NativeSelect
        size="xs"
        aria-label="Provider"
        data={[{ value: '', label: 'All providers' }, ...providers]}
        value={search.provider ?? ''}
        onChange={(event) => set({ provider: event.currentTarget.value, phase: '', profile: '' })}
      />
      <NativeSelect size="xs" aria-label="Server profile" data={[{ value: '', label: 'All profiles' }, ...named.map((value) => ({ value, label: value }))]} value={search.profile ?? ''} onChange={(event) => set({ profile: event.currentTarget.value })} />
      <NativeSelect size="xs" aria-label="Phase" data={[{ value: '', label: 'Whole deployments' }, ...phases(search.provider)]} value={search.phase ?? ''} onChange={(event) => set({ phase: event.currentTarget.value })} />
    </div>
  );
}
