import { useQuery } from '@apollo/client/react';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';

import { useTitle } from '@/app/useTitle';
import { DurationSeriesDocument, SuccessSeriesDocument } from '@/gql/generated/graphql';
import { serverNow } from '@/lib/clock';
import { timeMode } from '@/lib/preferences';
import { useStore } from '@/lib/store';
import { Button, Command } from '@/ui';
import classes from './Charts.module.css';
import { DurationPanel } from './DurationPanel';
import { Filters } from './Filters';
import { handoffInsights } from './handoff';
import { parseInsightsSearch, phaseOf, type InsightsSearch } from './search';
import { rangeOf } from './series';
import { SuccessPanel } from './SuccessPanel';

/** How long deployments take and how many succeed, over time. */
export function InsightsPage() {
  const search = parseInsightsSearch(useSearch({ strict: false }));
  const navigate = useNavigate();
  return <Insights search={search} change={(next) => void navigate({ to: '/insights', search: next, replace: true })} />;
}

/** The page, with its URL given. */
export function Insights({ search, change }: { search: InsightsSearch; change: (next: InsightsSearch) => void }) {
  useTitle('Insights');
  const [now, setNow] = useState(serverNow);
  const mode = useStore(timeMode);
  const range = rangeOf(search, now);
  const of = { provider: search.provider ?? null, ...range };
  const options = { fetchPolicy: 'cache-and-network' } as const;
  const durations = useQuery(DurationSeriesDocument, { variables: { ...of, serverProfile: search.profile ?? null, phase: phaseOf(search) }, ...options });
  // All profiles: the one that is chosen is marked among them.
  const successes = useQuery(SuccessSeriesDocument, { variables: { ...of, serverProfile: null }, ...options });
  const series = (successes.data ?? successes.previousData)?.successSeries ?? [];
  const busy = durations.loading || successes.loading;
  const { curl, graphql } = handoffInsights(globalThis.location.origin, search, range);
  return (
    <>
      <div className={classes.top}>
        <h1 className={classes.title}>Insights</h1>
        <div className={classes.tools}>
          <Button
            size="compact-sm"
            variant="default"
            disabled={busy}
            onClick={() => {
              setNow(serverNow());
              void durations.refetch().catch(() => undefined);
              void successes.refetch().catch(() => undefined);
            }}
          >
            Refresh
          </Button>
        </div>
      </div>
      <Filters search={search} change={change} profiles={[...new Set(series.map(({ serverProfile }) => serverProfile))]} />
      <DurationPanel buckets={(durations.data ?? durations.previousData)?.durationSeries} error={durations.error} behind={durations.loading} range={range} mode={mode} search={search} />
      <SuccessPanel series={(successes.data ?? successes.previousData)?.successSeries} error={successes.error} behind={successes.loading} range={range} mode={mode} search={search} onProfile={(profile) => change(withProfile(search, profile))} />
      <details className={classes.handoff}>
        <summary>The same numbers by other means</summary>
        <div className={classes.commands}>
          <Command label="Call by curl">{curl}</Command>
          <Command label="Document of GraphQL">{graphql}</Command>
        </div>
      </details>
    </>
  );
}

function withProfile({ profile: before, ...rest }: InsightsSearch, profile: string): InsightsSearch {
  return before === profile || profile === '' ? rest : { ...rest, profile };
}
