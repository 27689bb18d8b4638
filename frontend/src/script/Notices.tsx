import { Link } from '@tanstack/react-router';
import { useEffect } from 'react';

import { useStore } from '@/lib/store';
import { Button, IconButton, Instant, Panel, StatusMark } from '@/ui';
import { runNumber } from './hostState';
import { clearNotices, notices, seen, type Notice } from './notices';
import classes from './Notices.module.css';

const marks = { succeeded: { kind: 'succeeded', word: 'Done' }, failed: { kind: 'failed', word: 'Failed' }, told: { kind: 'queued', word: 'Note' } } as const;
/** Good news leaves by itself after this time, in ms; bad news stays until it is read. */
const stay = 8000;

/** What has just happened, over the page. The live region says it as well. */
export function Toasts() {
  const fresh = useStore(notices).filter((notice) => !notice.seen).slice(0, 3);
  return (
    <div className={classes.toasts} role="region" aria-label="Notifications">
      {fresh.map((notice) => (
        <Toast key={notice.id} notice={notice} />
      ))}
    </div>
  );
}

function Toast({ notice }: { notice: Notice }) {
  const leaves = notice.kind !== 'failed';
  useEffect(() => {
    if (!leaves) return;
    const timer = setTimeout(() => seen(notice.id), stay);
    return () => clearTimeout(timer);
  }, [leaves, notice.id]);
  return (
    <div className={classes.toast} data-kind={notice.kind}>
      <Words notice={notice} />
      <IconButton variant="subtle" color="gray" size="sm" aria-label={`Dismiss: ${notice.text}`} onClick={() => seen(notice.id)}>
        <span aria-hidden="true">×</span>
      </IconButton>
    </div>
  );
}

function Words({ notice }: { notice: Notice }) {
  const { kind, word } = marks[notice.kind];
  return (
    <div className={classes.words}>
      <p className={classes.line}>
        <StatusMark kind={kind} word={word} compact />
        <span className={classes.text}>{notice.text}</span>
        {notice.runId === null ? null : (
          <Link to="/apply/runs/$runId" params={{ runId: notice.runId }}>
            Run {runNumber(notice.runId)}
          </Link>
        )}
      </p>
      {notice.detail === null ? null : <p className={classes.detail}>{notice.detail}</p>}
    </div>
  );
}

/** The list of what happened. */
export function NoticeList() {
  const all = useStore(notices);
  if (all.length === 0) return null;
  const actions = (
    <Button size="compact-xs" variant="default" onClick={clearNotices}>
      Clear
    </Button>
  );
  return (
    <Panel title="What happened" actions={actions} flush>
      <ol className={classes.list} aria-label="What happened, the newest first">
        {all.map((notice) => (
          <li key={notice.id} className={classes.item}>
            <Instant at={notice.at} className={classes.when} />
            <Words notice={notice} />
          </li>
        ))}
      </ol>
    </Panel>
  );
}
