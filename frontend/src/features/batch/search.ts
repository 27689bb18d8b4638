import { statusWords } from '@/lib/states';

/** What the URL of a batch's page says. */
export interface BatchSearch {
  /** Only members of this kind. */
  show?: string;
}

/** Reads the URL; what makes no sense is left out. */
export function parseBatchSearch(raw: Record<string, unknown>): BatchSearch {
  return typeof raw.show === 'string' && raw.show in statusWords ? { show: raw.show } : {};
}
