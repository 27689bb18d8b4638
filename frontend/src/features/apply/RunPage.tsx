import { Link, useParams } from '@tanstack/react-router';
import { useMemo, useRef } from 'react';

import { ErrorPage } from '@/app/ErrorPage';
import { NotFoundPage } from '@/app/NotFoundPage';
import { useTitle } from '@/app/useTitle';
import type { FleetRowFragment, StoredDocumentFragment } from '@/gql/generated/graphql';
import { DocumentView } from '@/script/DocumentView';
import { HostPanel } from '@/script/HostPanel';
import { isActive, runKind, runNumber } from '@/script/hostState';
import { LogPane } from '@/script/LogPane';
import { NoticeList, Toasts } from '@/script/Notices';
import { RunPanel } from '@/script/RunPanel';
import { useProbes, useRowsOf, useRun, useRunEvents, type RunDetails } from '@/script/useHost';
import classes from './ApplyPage.module.css';
import { useNear } from './useNear';

/** Of more hosts than this only those near the window are drawn. */
const manyHosts = 12;

/** A run: its script, its output, and each of its nodes on the way back. */
export function RunPage() {
  const { runId } = useParams({ from: '/apply/runs/$runId' });
  const { run, cursor, missing, error, refetch } = useRun(runId);
  if (missing) {
    return (
      <NotFoundPage what="There is no such run">
        <p>
          No run of the deployment script has the id <code>{runId}</code>.
        </p>
      </NotFoundPage>
    );
  }
  if (run === null) return error ? <ErrorPage error={error} retry={() => void refetch().catch(() => undefined)} /> : <Loading />;
  return <Loaded key={run.id} run={run} cursor={cursor} />;
}

function Loading() {
  useTitle('Run');
  return <div className={classes.loading} role="status" aria-label="Reading the run" />;
}

function Loaded({ run, cursor }: { run: RunDetails; cursor: string | null }) {
  const ids = useMemo(() => run.documents.map(({ deploymentId }) => deploymentId), [run.documents]);
  const rows = useRowsOf(ids);
  useProbes();
  useRunEvents(run, cursor, rows);
  useTitle(`Run ${runNumber(run.id)}: ${runKind(run).word}`);
  return (
    <>
      <nav aria-label="Breadcrumb" className={classes.crumbs}>
        <Link to="/">Fleet</Link>
        <span aria-hidden="true">/</span>
        <Link to="/apply">Apply changes</Link>
        <span aria-hidden="true">/</span>
        <Link to="/apply/runs">Runs</Link>
        <span aria-hidden="true">/</span>
        <span aria-current="page">Run {runNumber(run.id)}</span>
      </nav>
      <div className={classes.page}>
        <h1 className={classes.title}>Run {runNumber(run.id)}</h1>
        <RunPanel run={run} />
        <LogPane runId={run.id} bytes={run.logBytes} cut={run.logCut} active={isActive(run)} />
        <div className={classes.hosts}>
          {run.documents.map((document) => (
            <Host key={document.deploymentId} document={document} row={rows.get(document.deploymentId)} runId={run.id} lazy={run.documents.length > manyHosts} />
          ))}
        </div>
        <NoticeList />
      </div>
      <Toasts />
    </>
  );
}

function Host({ document, row, runId, lazy }: { document: StoredDocumentFragment; row: FleetRowFragment | undefined; runId: string; lazy: boolean }) {
  const box = useRef<HTMLElement>(null);
  const { near } = useNear(box);
  const title = `host-${document.deploymentId}`;
  return (
    <section ref={box} className={classes.host} aria-labelledby={title}>
      <header className={classes.hostHead}>
        <h2 className={classes.hostName} id={title}>
          {row ? (
            <Link to="/nodes/$nodeId" params={{ nodeId: row.id }}>
              {document.nodeName}
            </Link>
          ) : (
            document.nodeName
          )}
        </h2>
        <code className={classes.quiet}>{document.file}</code>
      </header>
      {near || !lazy ? <HostPanel deploymentId={document.deploymentId} runId={runId} /> : <div className={classes.loading} />}
      <details className={classes.document}>
        <summary>The document that was stored</summary>
        <DocumentView label={`Document of ${document.nodeName}`} content={document.content} before={null} />
      </details>
    </section>
  );
}
