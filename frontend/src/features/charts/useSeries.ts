import { useQuery } from '@apollo/client/react';
import { useMemo, useState } from 'react';

import { useFleet } from '@/features/fleet/useFleet';
import { DurationSeriesDocument, SuccessSeriesDocument, type FleetRowFragment } from '@/gql/generated/graphql';
import { serverNow } from '@/lib/clock';
import { phaseOf, type InsightsSearch } from './search';
import { rangeOf } from './series';
import { useAgain } from './useAgain';

/** The series are read again at most this often while deployments end, ms: each reads up to 100,000 ends. */
export const seriesEvery = 15_000;

/** Changes when a current deployment ends. */
export function endsMark(rows: Iterable<FleetRowFragment>): string {
  let newest = '';
  for (const { currentDeployment } of rows) {
    const at = currentDeployment?.finishedAt;
    if (at != null && at > newest) newest = at;
  }
  return newest;
}

/** The server's series for a question, read again when something has ended. */
export function useSeries(search: InsightsSearch) {
  const [now, setNow] = useState(serverNow);
  const range = rangeOf(search, now);
  const of = { provider: search.provider ?? null, ...range };
  const options = { fetchPolicy: 'cache-and-network' } as const;
  const durations = useQuery(DurationSeriesDocument, { variables: { ...of, serverProfile: search.profile ?? null, phase: phaseOf(search) }, ...options });
  // All profiles: the one that is chosen is marked among them.
  const successes = useQuery(SuccessSeriesDocument, { variables: { ...of, serverProfile: null }, ...options });
  const again = (): void => {
    setNow(serverNow());
    void durations.refetch().catch(() => undefined);
    void successes.refetch().catch(() => undefined);
  };
  const fleet = useFleet();
  const mark = useMemo(() => endsMark(fleet.rows.values()), [fleet]);
  useAgain(fleet.complete ? mark : null, seriesEvery, again);
  return {
    range,
    again,
    busy: durations.loading || successes.loading,
    durations: { buckets: (durations.data ?? durations.previousData)?.durationSeries, error: durations.error, onAgain: again, behind: durations.loading },
    successes: { series: (successes.data ?? successes.previousData)?.successSeries, error: successes.error, onAgain: again, behind: successes.loading },
  };
}
