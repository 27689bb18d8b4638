import { Fragment, useEffect, useMemo, useRef, useState } from 'react';

import type { EventRowFragment } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import { phaseLabel } from '@/lib/phases';
import { Button, Panel } from '@/ui';
import { EventItem } from './EventItem';
import classes from './EventList.module.css';
import { missingBefore } from './gaps';

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
  // By the event that follows on them.
  const gaps = useMemo(() => new Map(events.flatMap(({ id }, i) => (missingBefore(events, i) > 0 ? [[id, missingBefore(events, i)] as const] : []))), [events]);
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
            <Fragment key={event.id}>
              <EventItem event={event} />
              {gaps.has(event.id) ? <li className={classes.gap}>{`${plural(gaps.get(event.id) ?? 0, 'event')} in between: being read …`}</li> : null}
            </Fragment>
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
