import type { Phase, Provider } from '@/gql/generated/graphql';

/** How far back to look. */
export const spans = ['24h', '7d', '30d', '90d'] as const;
export type Span = (typeof spans)[number];

const providers: readonly Provider[] = ['IBM_VPC', 'RACK', 'SCRIPT'];

/** What the URL of the insights says. Everything left out has its default. */
export interface InsightsSearch {
  /** Seven days when left out. */
  span?: Exclude<Span, '7d'>;
  provider?: Provider;
  /** A server profile. */
  profile?: string;
  /** Durations of this phase, by its key; of whole deployments when left out. */
  phase?: string;
}

/** Reads the URL; what makes no sense is left out. */
export function parseInsightsSearch(raw: Record<string, unknown>): InsightsSearch {
  const search: InsightsSearch = {};
  const span = spans.find((each) => each === raw.span);
  if (span !== undefined && span !== '7d') search.span = span;
  const provider = providers.find((each) => each === raw.provider);
  if (provider !== undefined) search.provider = provider;
  if (typeof raw.profile === 'string' && raw.profile !== '') search.profile = raw.profile;
  if (typeof raw.phase === 'string' && /^[a-z_]+$/.test(raw.phase)) search.phase = raw.phase;
  return search;
}

/** A phase as the server's schema spells it. */
export const phaseOf = ({ phase }: InsightsSearch): Phase | null => (phase === undefined ? null : (phase.toUpperCase() as Phase));
