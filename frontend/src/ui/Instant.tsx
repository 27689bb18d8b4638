import { useNow } from '@/lib/clock';
import { formatFull, formatInstant } from '@/lib/format';
import { timeMode } from '@/lib/preferences';
import { useStore } from '@/lib/store';

/** An instant in the way this person wants them; both clocks are in its title. */
export function Instant({ at, className }: { at: string | null; className?: string | undefined }) {
  const mode = useStore(timeMode);
  const now = useNow(mode === 'relative');
  if (at === null) return <span className={className}>–</span>;
  return (
    <time dateTime={at} title={formatFull(at)} className={className}>
      {formatInstant(at, mode, now)}
    </time>
  );
}
