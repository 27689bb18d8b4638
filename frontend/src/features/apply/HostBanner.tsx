import { Link } from '@tanstack/react-router';
import { useState } from 'react';

import { useMay } from '@/app/session';
import { useVerb } from '@/gql/client/ask';
import { ClearMarkerDocument, type HostQuery, type KeyedRefusalFragment } from '@/gql/generated/graphql';
import { isActive, runKind, runNumber } from '@/script/hostState';
import { notify } from '@/script/notices';
import { useRunNow } from '@/script/useHost';
import { Button, Instant, StatusMark } from '@/ui';
import { ActionDialog, Effects } from '@/verbs/shared';
import classes from './ApplyPage.module.css';

type Host = NonNullable<HostQuery['scriptHost']>;

/** What stands in the way of a run on this host, and what can be done about it. */
export function HostBanner({ host, obstacle, onChanged }: { host: Host; obstacle: KeyedRefusalFragment | null; onChanged: () => void }) {
  const { activeRun, marker } = host;
  return (
    <>
      {activeRun ? <ActiveRun run={activeRun} /> : null}
      {marker.stale ? <StaleMarker marker={marker} onCleared={onChanged} /> : null}
      {obstacle !== null && !activeRun ? (
        <div className={classes.banner} data-kind="wrong">
          <StatusMark kind="failed" word="Nothing can be applied now" />
          <p className={classes.bannerText}>
            {obstacle.message} <code>{obstacle.code}</code>
          </p>
        </div>
      ) : null}
    </>
  );
}

function ActiveRun({ run: read }: { run: NonNullable<Host['activeRun']> }) {
  const run = useRunNow(read);
  if (!isActive(run)) return null;
  const { kind, word } = runKind(run);
  return (
    <div className={classes.banner}>
      <StatusMark kind={kind} word={word} live />
      <p className={classes.bannerText}>
        <Link to="/apply/runs/$runId" params={{ runId: run.id }}>
          Run {runNumber(run.id)}
        </Link>{' '}
        of {run.requestedBy.name} is under way since <Instant at={run.startedAt ?? run.createdAt} />, for {run.nodeCount} {run.nodeCount === 1 ? 'node' : 'nodes'}. Another can be applied when it has ended.
      </p>
    </div>
  );
}

function StaleMarker({ marker, onCleared }: { marker: Host['marker']; onCleared: () => void }) {
  const may = useMay('operator');
  const [asking, setAsking] = useState(false);
  const verb = useVerb(ClearMarkerDocument);
  const clear = (): void => {
    void verb.run({}).then((answer) => {
      if (answer === null) return;
      notify('succeeded', 'The marker was removed');
      setAsking(false);
      onCleared();
    });
  };
  return (
    <div className={classes.banner} data-kind="stalled">
      <StatusMark kind="stalled" word="Left-over marker" />
      <p className={classes.bannerText}>
        A marker says since <Instant at={marker.since} /> that a run is in progress, but no script of Slipway’s that is alive has made it: <code>{marker.path}</code>
      </p>
      {may ? (
        <Button size="compact-sm" variant="default" onClick={() => setAsking(true)}>
          Clear the marker…
        </Button>
      ) : null}
      {asking ? (
        <ActionDialog title="Clear the marker" verb={verb} does="Remove the marker" destroys onClose={() => setAsking(false)} onDo={clear}>
          <Effects>
            <li>
              The file <code>{marker.path}</code> is removed. Nothing else is changed.
            </li>
            <li>Make sure that nobody runs the script by hand: the marker may be theirs.</li>
          </Effects>
        </ActionDialog>
      ) : null}
    </div>
  );
}
