import { curlGraphql } from '@/lib/handoff';
import { phaseOf, type InsightsSearch } from './search';
import type { Range } from './series';

/** The numbers of the charts, for a script: as GraphQL and as a call of it. */
export function handoffInsights(origin: string, search: InsightsSearch, { from, to, bucket }: Range): { graphql: string; curl: string } {
  const phase = phaseOf(search);
  const time = `from: ${JSON.stringify(from)}, to: ${JSON.stringify(to)}, bucket: ${bucket}`;
  const of = `${search.provider === undefined ? '' : `provider: ${search.provider}, `}${search.profile === undefined ? '' : `serverProfile: ${JSON.stringify(search.profile)}, `}`;
  const query = `query {
  durationSeries(${of}${phase === null ? '' : `phase: ${phase}, `}${time}) { start count p50 p95 }
  successSeries(${of}${time}) { provider serverProfile buckets { start succeeded failed canceled } }
}`;
  return { graphql: query, curl: curlGraphql(origin, query) };
}
