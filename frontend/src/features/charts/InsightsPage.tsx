import { useNavigate, useSearch } from '@tanstack/react-router';

import { useTitle } from '@/app/useTitle';
import { timeMode } from '@/lib/preferences';
import { useStore } from '@/lib/store';
import { Button, Command } from '@/ui';
import classes from './Charts.module.css';
import { DurationPanel } from './DurationPanel';
import { Filters } from './Filters';
import { handoffInsights } from './handoff';
import { parseInsightsSearch, type InsightsSearch } from './search';
import { SuccessPanel } from './SuccessPanel';
import { useSeries } from './useSeries';

/** How long deployments take and how many succeed, over time. */
export function InsightsPage() {
  const search = parseInsightsSearch(useSearch({ strict: false }));
  const navigate = useNavigate();
  return <Insights search={search} change={(next) => void navigate({ to: '/insights', search: next, replace: true })} />;
}

/** The page, with its URL given. */
export function Insights({ search, change }: { search: InsightsSearch; change: (next: InsightsSearch) => void }) {
  useTitle('Insights');
  const mode = useStore(timeMode);
  const { range, again, busy, durations, successes } = useSeries(search);
  const profiles = [...new Set((successes.series ?? []).map(({ serverProfile }) => serverProfile))];
  const { curl, graphql } = handoffInsights(globalThis.location.origin, search, range);
  return (
    <>
      <div className={classes.top}>
        <h1 className={classes.title}>Insights</h1>
        <div className={classes.tools}>
          <Button size="compact-sm" variant="default" disabled={busy} onClick={again}>
            Refresh
          </Button>
        </div>
      </div>
      <Filters search={search} change={change} profiles={profiles} />
      <DurationPanel {...durations} range={range} mode={mode} search={search} />
      <SuccessPanel {...successes} range={range} mode={mode} search={search} onProfile={(profile) => change(withProfile(search, profile))} />
      <details className={classes.handoff}>
        <summary>The same numbers by curl or GraphQL</summary>
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
