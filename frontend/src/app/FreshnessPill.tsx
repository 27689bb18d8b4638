import { useEffect, useState } from 'react';

import { formatInstant } from '@/lib/format';
import { useNow } from '@/lib/clock';
import { timeMode } from '@/lib/preferences';
import { useStore } from '@/lib/store';
import type { StreamMode } from '@/stream';
import classes from './FreshnessPill.module.css';
import { useStream } from './services';

const words: Record<StreamMode, string> = {
  connecting: 'Connecting',
  'catching-up': 'Catching up',
  live: 'Live',
  stale: 'Stale',
  reconnecting: 'Reconnecting',
  polling: 'Polling',
  offline: 'Offline',
};

const explanations: Record<StreamMode, string> = {
  connecting: 'The first connection to the server is being made.',
  'catching-up': 'Connected. What was missed is being replayed.',
  live: 'Every change is shown as it happens.',
  stale: 'Connected, but the server cannot read its database. What is shown is the state of the time given; changes follow when it can.',
  reconnecting: 'The connection was lost. What is shown is the last known state. Click to try now.',
  polling: 'No live connection: the data is asked for every few seconds. Click to try the connection now.',
  offline: 'The server does not answer. What is shown is the last known state. Click to try now.',
};

/** How fresh the page is, always in view: shape, word and the time of the newest data. */
export function FreshnessPill() {
  const stream = useStream();
  const { mode, nextAttemptAt, asOf } = useStore(stream.status);
  const time = useStore(timeMode);
  const waits = mode === 'reconnecting' || mode === 'polling' || mode === 'offline';
  const now = useNow(time === 'relative');
  const content = (
    <>
      <svg className={classes.shape} viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
        {mode === 'live' ? <circle cx="6" cy="6" r="4.5" fill="currentColor" /> : null}
        {mode === 'connecting' || mode === 'catching-up' ? (
          <path d="M6 1.5A4.5 4.5 0 1 1 1.5 6" fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round" />
        ) : null}
        {mode === 'reconnecting' ? <path d="M6 1 11.2 10.5H.8z" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinejoin="round" /> : null}
        {mode === 'polling' ? <rect x="1.5" y="1.5" width="9" height="9" rx="1" fill="none" stroke="currentColor" strokeWidth="2" /> : null}
        {mode === 'stale' ? <path d="M6 1v6.2M6 9.6v1.4" fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round" /> : null}
        {mode === 'offline' ? <path d="m2 2 8 8M10 2l-8 8" stroke="currentColor" strokeWidth="2" strokeLinecap="round" /> : null}
      </svg>
      <span className={classes.word}>
        {words[mode]}
        {!waits ? null : nextAttemptAt === null ? ' · trying now' : <Countdown key={nextAttemptAt} to={nextAttemptAt} lead={mode === 'reconnecting' ? ' in ' : ' · next try in '} />}
      </span>
      <span className={classes.asOf}>{asOf === null ? 'no data yet' : `as of ${formatInstant(asOf, time, now)}`}</span>
    </>
  );
  return waits ? (
    <button type="button" className={classes.pill} data-mode={mode} title={explanations[mode]} onClick={stream.hurry}>
      {content}
    </button>
  ) : (
    <span className={classes.pill} data-mode={mode} title={explanations[mode]}>
      {content}
    </span>
  );
}

/** Seconds until an instant of the local clock. Its own timer: the page's common one ticks at other moments, and would be up to a second wrong. */
function Countdown({ to, lead }: { to: number; lead: string }) {
  const [left, setLeft] = useState(() => to - Date.now());
  useEffect(() => {
    const timer = setInterval(() => setLeft(to - Date.now()), 1000);
    return () => clearInterval(timer);
  }, [to]);
  return left <= 0 ? ' · trying now' : `${lead}${Math.ceil(left / 1000)} s`;
}
