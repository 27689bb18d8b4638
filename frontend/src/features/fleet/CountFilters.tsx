import { StatusMark } from '@/ui';
import classes from './CountFilters.module.css';
import { groups, groupWords, type Group } from './filters';

export interface CountFiltersProps {
  counts: Record<Group, number>;
  total: number;
  shown: readonly Group[];
  onToggle: (group: Group) => void;
  onAll: () => void;
}

// Shown even at zero, so that nothing moves when the first one appears.
const always: ReadonlySet<Group> = new Set(['failed', 'stalled', 'running', 'queued', 'deployed']);

/** The counts of the fleet; each is a filter. */
export function CountFilters({ counts, total, shown, onToggle, onAll }: CountFiltersProps) {
  return (
    <div className={classes.counts} role="group" aria-label="Filter by state">
      <button type="button" className={classes.count} aria-pressed={shown.length === 0} onClick={onAll}>
        <span className={classes.word}>All</span>
        <span className={classes.number}>{total.toLocaleString('en')}</span>
      </button>
      {groups
        .filter((group) => always.has(group) || counts[group] > 0 || shown.includes(group))
        .map((group) => (
          <button key={group} type="button" className={classes.count} aria-pressed={shown.includes(group)} data-zero={counts[group] === 0 || undefined} onClick={() => onToggle(group)}>
            <StatusMark kind={groupWords[group].kind} word={groupWords[group].word} />
            <span className={classes.number}>{counts[group].toLocaleString('en')}</span>
          </button>
        ))}
    </div>
  );
}
