import { memo, useEffect, useRef, type ReactNode } from 'react';

import type { EventRowFragment, EventSource } from '@/gql/generated/graphql';
import { formatPercent } from '@/lib/format';
import { phaseLabel } from '@/lib/phases';
import { phaseStatus } from '@/lib/states';
import { Instant, StatusMark } from '@/ui';
import classes from './EventList.module.css';

/** Where events come from, in words. */
export const sources: Record<EventSource, string> = {
  ORCHESTRATOR: 'Slipway',
  CLOUD_API: 'Cloud API',
  BOOT_SERVICE: 'Boot service',
  INSTALLER_SCRIPT: 'Machine',
  USER: 'Person',
};

/** Clocks that differ by more than this are worth showing, in ms. */
const skew = 2000;
export interface EventItemProps {
  event: EventRowFragment;
  /** Said where a list is about more than one machine. */
  who?: ReactNode;
  /** Leads to this event alone; beside its time. */
  link?: ReactNode;
  /** It is the one that the address names. */
  selected?: boolean;
}

/** One event. */
export const EventItem = memo(function EventItem({ event, who, link, selected = false }: EventItemProps) {
  const item = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (selected) item.current?.scrollIntoView({ block: 'nearest' });
  }, [selected]);
  const { kind, word } = phaseStatus(event.status);
  // Past tense would be wrong too: it is what was reported then.
  const said = event.status === 'IN_PROGRESS' ? 'In progress' : word;
  const apart = Math.abs(Date.parse(event.recordedAt) - Date.parse(event.occurredAt)) > skew;
  const hasMore = (event.details !== null && Object.keys(event.details).length > 0) || (event.logTail !== null && event.logTail !== '');
  return (
    <li ref={item} className={classes.item} data-outcome={event.outcome} data-selected={selected || undefined} aria-current={selected ? 'true' : undefined}>
      <div className={classes.when}>
        <Instant at={event.recordedAt} />
        {apart ? (
          <span className={classes.other}>
            reporter: <Instant at={event.occurredAt} />
          </span>
        ) : null}
        {link}
      </div>
      <div className={classes.what}>
        <div className={classes.line}>
          {who}
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
          <details className={classes.details} open={selected || undefined}>
            <summary>Details</summary>
            {event.details === null || Object.keys(event.details).length === 0 ? null : <pre tabIndex={0} role="region" aria-label="Details of the event">{JSON.stringify(event.details, null, 2)}</pre>}
            {event.logTail === null || event.logTail === '' ? null : <pre tabIndex={0} role="region" aria-label="Log sent with the event">{event.logTail.trimEnd()}</pre>}
          </details>
        ) : null}
      </div>
    </li>
  );
});
