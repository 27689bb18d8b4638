import { useApolloClient } from '@apollo/client/react';
import { useEffect, useLayoutEffect, useRef, useState } from 'react';

import { useStream } from '@/app/services';
import { readWholeLog } from '@/stream';
import { plural } from '@/lib/format';
import { Button, Panel } from '@/ui';
import { runNumber } from './hostState';
import { LogBuffer, type LogView } from './logBuffer';
import classes from './LogPane.module.css';

/** How much of a long log is read at first, in bytes before its end. */
const tail = 256 * 1024;
const nothing: LogView = { text: '', hidden: 0, cutBefore: false, revision: 0 };
/** As far from its end as a log may be scrolled and still follow, in px. */
const nearEnd = 24;

export interface LogPaneProps {
  runId: string;
  /** Output there is, in bytes, when the page was read. */
  bytes: number;
  /** The middle of the output was dropped: it was longer than a log may be. */
  cut: boolean;
  /** The script has not ended. */
  active: boolean;
}

/** The output of a run, as it comes. Follows its end until one scrolls away; pausing holds the picture, not the stream. */
export function LogPane({ runId, bytes, cut, active }: LogPaneProps) {
  const stream = useStream();
  const client = useApolloClient();
  const [view, setView] = useState(nothing);
  const [held, setHeld] = useState<LogView | null>(null);
  const [following, setFollowing] = useState(true);
  const [saving, setSaving] = useState<'no' | 'yes' | 'failed'>('no');
  const box = useRef<HTMLPreElement>(null);
  // Where to begin is decided once; the stream keeps its own place from then on.
  const [from] = useState(() => Math.max(0, bytes - tail));

  useEffect(() => {
    const buffer = new LogBuffer();
    return stream.watchRun(runId, from, {
      output: (pieces) => {
        buffer.add(pieces);
        setView(buffer.view());
      },
    });
  }, [stream, runId, from]);

  const shown = held ?? view;
  useLayoutEffect(() => {
    if (following && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [following, shown.revision]);

  const save = async (): Promise<void> => {
    setSaving('yes');
    try {
      const url = URL.createObjectURL(new Blob([await readWholeLog(client, runId)], { type: 'text/plain' }));
      const link = document.createElement('a');
      link.href = url;
      link.download = `run-${runNumber(runId)}.log`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
      setSaving('no');
    } catch {
      setSaving('failed');
    }
  };

  const news = held === null ? 0 : view.revision - held.revision;
  const actions = (
    <>
      <Button size="compact-xs" variant="default" aria-pressed={held !== null} onClick={() => setHeld(held === null ? view : null)}>
        {held === null ? 'Pause' : news > 0 ? 'Resume · new output' : 'Resume'}
      </Button>
      <Button
        size="compact-xs"
        variant="default"
        aria-pressed={following}
        onClick={() => setFollowing(!following)}
      >
        {following ? '✓ Following' : 'Jump to the end'}
      </Button>
      <Button size="compact-xs" variant="default" loading={saving === 'yes'} onClick={() => void save()}>
        Download
      </Button>
    </>
  );
  return (
    <Panel title="Output of the script" actions={actions} flush>
      {saving === 'failed' ? <p role="alert" className={classes.note}>The log could not be read whole; try again once the page is live.</p> : null}
      {cut ? <p className={classes.note}>The output is longer than a log may be: its middle is missing.</p> : null}
      {shown.cutBefore || shown.hidden > 0 ? <p className={classes.note}>{shown.hidden > 0 ? `${plural(shown.hidden, 'earlier line')} not shown.` : 'The beginning is not shown.'} Download has all of it.</p> : null}
      <pre
        ref={box}
        className={classes.log}
        tabIndex={0}
        role="region"
        aria-label={`Log of run ${runNumber(runId)}`}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          const atEnd = scrollHeight - scrollTop - clientHeight < nearEnd;
          if (atEnd !== following) setFollowing(atEnd);
        }}
      >
        {shown.text === '' ? (active ? 'No output yet.' : 'It wrote nothing.') : shown.text}
      </pre>
    </Panel>
  );
}
