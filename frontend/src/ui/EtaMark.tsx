import type { ReactNode } from 'react';

import { useNow } from '@/lib/clock';
import type { Eta } from '@/lib/eta';
import { StatusMark } from './StatusMark';

/** When it will end: a clock, a sand-glass or a triangle, each with its word. Asked again every second. */
export function EtaMark({ of, none = '–' }: { of: (now: number) => Eta | null; none?: ReactNode }) {
  const now = useNow();
  const eta = of(now);
  return eta === null ? none : <StatusMark kind={eta.kind} word={eta.word} />;
}
