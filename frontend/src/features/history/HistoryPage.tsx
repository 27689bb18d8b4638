import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo, useRef, useState } from 'react';

import { useShortcuts } from '@/app/shortcuts';
import { useTitle } from '@/app/useTitle';
import { useFleet } from '@/features/fleet/useFleet';
import { EventItem, sources } from '@/features/node/EventItem';
import { problemsOf } from '@/gql/client/ask';
import type { HistoryRowFragment } from '@/gql/generated/graphql';
import { eventsExport } from '@/lib/exports';
import { plural } from '@/lib/format';
import { handoffHistory } from '@/lib/handoff';
import { phaseLabel } from '@/lib/phases';
import { phaseStatus } from '@/lib/states';
import { Button, CopyAs, EmptyState, ExportLinks, NativeSelect, Panel, Problems, StatusMark, TextInput, useTyped } from '@/ui';
import classes from './HistoryPage.module.css';
import { eventFilter, eventSources, mostNodes, namedNodes, phases, statuses, type HistorySearch } from './search';
import { SelectedEvent } from './SelectedEvent';
import { useHistory } from './useHistory';
import { Who } from './Who';

const choice = <T extends string>(any: string, values: readonly T[], word: (value: T) => string) => [{ value: '', label: any }, ...values.map((value) => ({ value, label: word(value) }))];
const phaseChoices = choice('Any phase', phases, (phase) => phaseLabel(phase, phase.toLowerCase()));
const statusChoices = choice('Any status', statuses, (status) => phaseStatus(status).word);
const sourceChoices = choice('Any source', eventSources, (source) => sources[source]);

/** What happened in the whole fleet, the newest first; what happens now comes on top. */
export function HistoryPage() {
  useTitle('History');
  const search = useSearch({ from: '/history' });
  const navigate = useNavigate({ from: '/history' });
  const filterInput = useRef<HTMLInputElement>(null);
  useShortcuts({ '/': () => filterInput.current?.focus() });

  const fleet = useFleet();
  // The same machines are the same question, however often this is looked up.
  const nodeIds = useMemo(() => namedNodes(search.q, fleet.rows.values()), [search.q, fleet]);
  const nobody = nodeIds?.length === 0;
  const waits = nodeIds !== null && !fleet.complete;
  const filter = eventFilter(search, nodeIds);
  const history = useHistory(filter, !nobody && !waits);
  const [paused, setPaused] = useState<readonly HistoryRowFragment[] | null>(null);
  const shown = paused ?? history.events;
  const newestShown = paused?.[0]?.id;
  const unseen = newestShown === undefined ? 0 : history.events.findIndex(({ id }) => id === newestShown);

  const set = (part: { [K in keyof HistorySearch]: HistorySearch[K] | undefined }): void => {
    setPaused(null);
    // From what is asked for by now, which is not drawn yet when two changes follow each other.
    const merged = (now: HistorySearch): Record<string, unknown> => ({ ...now, ...part });
    void navigate({ search: (now) => Object.fromEntries(Object.entries(merged(now)).filter(([, value]) => value !== undefined)) as HistorySearch, replace: true });
  };
  const typed = useTyped(search.q ?? '', (q) => set({ q: q === '' ? undefined : q }));
  const { event: selected, ...question } = search;
  const narrowed = Object.keys(question).length > 0;
  const listed = selected !== undefined && shown.some(({ id }) => id === selected);

  return (
    <>
      <div className={classes.top}>
        <h1 className={classes.title}>History</h1>
        <p className={classes.quiet}>Everything that was reported, decided or refused, of every machine.</p>
      </div>
      {selected === undefined || listed || !(history.loaded || nobody || history.error !== null) ? null : <SelectedEvent key={selected} id={selected} onClose={() => void navigate({ search: question })} />}
      <Panel
        title="Events"
        flush
        actions={
          <>
            <Button size="compact-xs" variant="default" aria-pressed={paused === null} onClick={() => setPaused(paused === null ? history.events : null)}>
              {paused === null ? '✓ Following' : unseen > 0 ? `Follow · ${plural(unseen, 'new event')}` : 'Follow'}
            </Button>
            {nobody ? null : <ExportLinks what="events" href={(format) => eventsExport(filter, format)} />}
            {nobody ? null : <CopyAs size="compact-xs" handoff={handoffHistory(globalThis.location.origin, filter)} />}
          </>
        }
      >
        <div className={classes.tools} role="search" aria-label="Filter the history">
          <TextInput
            ref={filterInput}
            size="xs"
            className={classes.filter}
            aria-label="Name or address of machines"
            placeholder="Machine, by name or address …"
            {...typed}
            onKeyDown={(event) => {
              if (event.key === 'Escape') event.currentTarget.blur();
            }}
          />
          <NativeSelect size="xs" aria-label="Phase" data={phaseChoices} value={search.phase ?? ''} onChange={(event) => set({ phase: phases.find((each) => each === event.currentTarget.value) })} />
          <NativeSelect size="xs" aria-label="Status" data={statusChoices} value={search.status ?? ''} onChange={(event) => set({ status: statuses.find((each) => each === event.currentTarget.value) })} />
          <NativeSelect size="xs" aria-label="Source" data={sourceChoices} value={search.source ?? ''} onChange={(event) => set({ source: eventSources.find((each) => each === event.currentTarget.value) })} />
          <label className={classes.refused}>
            <input type="checkbox" checked={search.refused === true} onChange={(event) => set({ refused: event.currentTarget.checked ? true : undefined })} />
            Refused as well
          </label>
          {search.deployment === undefined ? null : (
            <Button size="compact-xs" variant="default" onClick={() => set({ deployment: undefined })}>
              Only {search.deployment} · all
            </Button>
          )}
          {search.batch === undefined ? null : (
            <Button size="compact-xs" variant="default" onClick={() => set({ batch: undefined })}>
              Only {search.batch} · all
            </Button>
          )}
          {nodeIds !== null && !nobody ? (
            <span className={classes.quiet}>
              {plural(nodeIds.length, 'machine')}
              {nodeIds.length > mostNodes ? `; the first ${mostNodes} are shown` : ''}
            </span>
          ) : null}
        </div>
        <div className={classes.problems}>
          <Problems title="The history could not be read" problems={history.error === null ? [] : problemsOf(history.error)} />
          {history.error === null ? null : (
            <Button size="xs" variant="default" onClick={history.again}>
              Try again
            </Button>
          )}
        </div>
        {shown.length > 0 ? (
          <ol className={classes.list} aria-label="Events, the newest first">
            {shown.map((event) => (
              <EventItem
                key={event.id}
                event={event}
                selected={event.id === selected}
                who={<Who event={event} />}
                link={
                  event.id === selected ? (
                    <Link to="/history" search={question} className={classes.pick} aria-label={`selected: let go of event ${event.id}`} activeProps={{}} activeOptions={{ exact: true }}>
                      selected
                    </Link>
                  ) : (
                    <Link to="/history" search={{ ...question, event: event.id }} className={classes.pick} aria-label={`link to event ${event.id}`} activeProps={{}}>
                      link
                    </Link>
                  )
                }
              />
            ))}
          </ol>
        ) : (
          <Nothing nobody={nobody} loaded={history.loaded} failed={history.error !== null} narrowed={narrowed} onClear={() => void navigate({ search: selected === undefined ? {} : { event: selected }, replace: true })} />
        )}
        {history.more && paused === null ? (
          <div className={classes.older}>
            <Button size="compact-sm" variant="default" disabled={history.busy} onClick={history.older}>
              {history.busy ? 'Reading …' : 'Show older events'}
            </Button>
          </div>
        ) : null}
      </Panel>
    </>
  );
}

function Nothing({ nobody, loaded, failed, narrowed, onClear }: { nobody: boolean; loaded: boolean; failed: boolean; narrowed: boolean; onClear: () => void }) {
  if (failed) return null;
  if (!loaded && !nobody) return <div role="status" aria-label="Loading the history" className={classes.loading} />;
  if (!narrowed) {
    return (
      <EmptyState title="Nothing has happened yet" mark={<StatusMark kind="registered" word="Empty" />}>
        <p>The first event appears here by itself.</p>
      </EmptyState>
    );
  }
  return (
    <EmptyState title={nobody ? 'No machine has this name or address' : 'No event matches the filter'}>
      <Button size="xs" variant="default" onClick={onClear}>
        Show all events
      </Button>
    </EmptyState>
  );
}
