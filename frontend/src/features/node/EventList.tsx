import { useEffect, useMemo, useRef, useState } from 'react';

import type { EventRowFragment, EventSource } from '@/gql/generated/graphql';
import { formatPercent, plural } from '@/lib/format';
import { phaseLabel } from '@/lib/phases';
import { phaseStatus } from '@/lib/states';
import { Button, Instant, Panel, StatusMark } from '@/ui';
import classes from './EventList.module.css';

const sources: Record<EventSource, string> = {
  ORCHESTRATOR: 'Slipway',
  CLOUD_API: 'Cloud API',
  BOOT_SERVICE: 'Boot service',
  INSTALLER_SCRIPT: 'Machine',
  USER: 'Person',
};

/** Clocks that differ by more than this are worth showing, in ms. */
const skew = 2000;
/** Rows drawn at first, and added by each click. */
const step = 150;

export interface EventListProps {
  /** By sequence, the oldest first. */
  events: readonly EventRowFragment[];
  /** Only of this phase, by key. */
  phase: string | null;
  onClearPhase: () => void;
  hasOlder: boolean;
  onOlder: () => Promise<unknown>;
}

/** What happened, the newest first; follows along until one scrolls away. */
export function EventList({ events, phase, onClearPhase, hasOlder, onOlder }: EventListProps) {
  const [most, setMost] = useState(step);
  const [following, setFollowing] = useState(true);
  const [seen, setSeen] = useState(() => events.at(-1)?.sequence ?? 0);
  const list = useRef<HTMLDivElement>(null);

  const shown = useMemo(() => events.filter((event) => phase === null || event.phaseKey === phase).toReversed(), [events, phase]);
  const newest = events.at(-1)?.sequence ?? 0;
  if (following && seen !== newest) setSeen(newest);
  useEffect(() => {
    if (following) list.current?.scrollTo({ top: 0 });
  }, [following, newest]);
  const unseen = following ? 0 : events.filter(({ sequence }) => sequence > seen).length;

  const actions = (
    <>
      {phase === null ? null : (
        <Button size="compact-xs" variant="default" onClick={onClearPhase}>
          Only {phaseLabelOf(events, phase)} · show all
        </Button>
      )}
      <Button size="compact-xs" variant="default" aria-pressed={following} onClick={() => setFollowing(!following)}>
        {following ? '✓ Following' : unseen > 0 ? `Follow · ${plural(unseen, 'new event')}` : 'Follow'}
      </Button>
    </>
  );
  const hidden = Math.max(0, shown.length - most);
  return (
    <Panel title="Events" actions={actions} flush>
      <div
        ref={list}
        className={classes.scroll}
        tabIndex={0}
        role="region"
        aria-label="Events, the newest first"
        onScroll={(event) => setFollowing(event.currentTarget.scrollTop < 8)}
      >
        {shown.length === 0 ? <p className={classes.none}>{phase === null ? 'Nothing has happened yet.' : 'No events of this phase among those loaded.'}</p> : null}
        <ol className={classes.list}>
          {shown.slice(0, most).map((event) => (
            <EventItem key={event.id} event={event} />
          ))}
        </ol>
        {hidden > 0 || hasOlder ? (
          <div className={classes.older}>
            <Button size="compact-xs" variant="default" onClick={() => (hidden > 0 ? setMost(most + step) : void onOlder().then(() => setMost(most + step)))}>
              Show older events
            </Button>
          </div>
        ) : null}
      </div>
    </Panel>
  );
}

function phaseLabelOf(events: readonly EventRowFragment[], key: string): string {
  const event = events.find(({ phaseKey }) => phaseKey === key);
  return event ? phaseLabel(event.phase, key) : key;
}

function EventItem({ event }: { event: EventRowFragment }) {
  const { kind, word } = phaseStatus(event.status);
  // Past tense would be wrong too: it is what was reported then.
  const said = event.status === 'IN_PROGRESS' ? 'In progress' : word;
  const apart = Math.abs(Date.parse(event.recordedAt) - Date.parse(event.occurredAt)) > skew;
  const hasMore = (event.details !== null && Object.keys(event.details).length > 0) || (event.logTail !== null && event.logTail !== '');
  return (
    <li className={classes.item} data-outcome={event.outcome}>
      <div className={classes.when}>
        <Instant at={event.recordedAt} />
        {apart ? (
          <span className={classes.other}>
            reporter: <Instant at={event.occurredAt} />
          </span>
        ) : null}
      </div>
      <div className={classes.what}>
        <div className={classes.line}>
          <StatusMark kind={kind} word={said} />
          <span className={classes.phase}>{phaseLabel(event.phase, event.phaseKey)}</span>
          {event.progress === null ? null : <span className={classes.percent}>{formatPercent(event.progress)}</span>}
          {event.outcome === 'REFUSED' ? <span className={classes.refused}>refused{event.refusedCode === null ? '' : `: ${event.refusedCode.toLowerCase().replaceAll('_', ' ')}`}</span> : null}
          {event.outcome === 'STEP' ? <span className={classes.tag}>step</span> : null}
          {event.attempt > 1 ? <span className={classes.tag}>attempt {event.attempt}</span> : null}
          {event.serverStatus === null || event.serverStatus === '' ? null : <span className={classes.tag}>server: {event.serverStatus}</span>}
          <span className={classes.source}>{sources[event.source]}</span>
        </div>
        {event.message === '' ? null : <p className={classes.message}>{event.message}</p>}
        {hasMore ? (
          <details className={classes.details}>
            <summary>Details</summary>
            {event.details === null || Object.keys(event.details).length === 0 ? null : <pre tabIndex={0} role="region" aria-label="Details of the event">{JSON.stringify(event.details, null, 2)}</pre>}
            {event.logTail === null || event.logTail === '' ? null : <pre tabIndex={0} role="region" aria-label="Log sent with the event">{event.logTail.trimEnd()}</pre>}
          </details>
        ) : null}
      </div>
    </li>
  );
}
