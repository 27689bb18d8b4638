import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useState } from 'react';

import { announce } from '@/app/announcer';
import { ErrorPage } from '@/app/ErrorPage';
import { NotFoundPage } from '@/app/NotFoundPage';
import { useMay } from '@/app/session';
import { useTitle } from '@/app/useTitle';
import { problemsOf, useVerb } from '@/gql/client/ask';
import { CancelBulkDocument, type BulkItemState, type BulkLiveFragment } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import { Button, Command, EmptyState, Instant, Panel, Problems, Progress, StatusMark } from '@/ui';
import { ActionDialog, Effects } from '@/verbs/shared';
import classes from './Bulk.module.css';
import { ItemTable } from './ItemTable';
import { handoffBulk } from './request';
import { parseBulkSearch, type BulkSearch } from './search';
import { useBulk, useBulkItems } from './useBulk';
import { actionLabel, bulkKind, bulkProgress, countList, countOf, isEnding, itemWords } from './words';

/** One action that was asked of many deployments: how far it is, and what became of each. */
export function BulkPage() {
  const { bulkId = '' } = useParams({ strict: false });
  const search = parseBulkSearch(useSearch({ strict: false }));
  const navigate = useNavigate();
  return <Bulk id={bulkId} search={search} change={({ show }) => void navigate({ to: '/bulk/$bulkId', params: { bulkId }, search: show === undefined ? {} : { show }, replace: true })} />;
}

export interface BulkProps {
  id: string;
  search: BulkSearch;
  change: (next: BulkSearch) => void;
}

/** The page, with its URL given. */
export function Bulk({ id, search, change }: BulkProps) {
  const { operation, missing, error, refetch } = useBulk(id);
  useTitle(operation === null ? 'Bulk operation' : `${actionLabel(operation.action)} ${operation.total.toLocaleString('en')}: ${bulkKind(operation).word}`);
  if (missing) {
    return (
      <NotFoundPage what="There is no such bulk operation">
        <p>
          Nothing has the id <code>{id}</code>.
        </p>
      </NotFoundPage>
    );
  }
  if (operation === null) return error ? <ErrorPage error={error} retry={() => void refetch().catch(() => undefined)} /> : <div role="status" aria-label="Loading the operation" className={classes.loading} />;
  return (
    <>
      <nav aria-label="Breadcrumb" className={classes.crumbs}>
        <Link to="/">Fleet</Link>
        <span aria-hidden="true">/</span>
        <Link to="/bulk">Bulk operations</Link>
        <span aria-hidden="true">/</span>
        <span aria-current="page">
          {actionLabel(operation.action)} {operation.total.toLocaleString('en')}
        </span>
      </nav>
      <Header operation={operation} show={search.show} onShow={(show) => change(show === undefined ? {} : { show })} />
      <Results key={id} operation={operation} show={search.show} />
      <details className={classes.handoff}>
        <summary>The same by other means</summary>
        <Handoff id={id} />
      </details>
    </>
  );
}

function Handoff({ id }: { id: string }) {
  const { curl, graphql } = handoffBulk(globalThis.location.origin, id);
  return (
    <div className={classes.commands}>
      <Command label="Call by curl">{curl}</Command>
      <Command label="Document of GraphQL">{graphql}</Command>
    </div>
  );
}

function Header({ operation, show, onShow }: { operation: BulkLiveFragment; show: BulkItemState | undefined; onShow: (show: BulkItemState | undefined) => void }) {
  const { word, kind } = bulkKind(operation);
  const { requestedBy, total, reason, maxParallel, stopAfterFailures, mode, canceledBy, finishedAt } = operation;
  return (
    <header className={classes.card}>
      <div className={classes.top}>
        <h1 className={classes.name}>
          {actionLabel(operation.action)} {plural(total, 'deployment')}
        </h1>
        <StatusMark kind={kind} word={word} live={finishedAt === null} />
        <span className={classes.quiet}>
          asked <Instant at={operation.createdAt} /> by {requestedBy.name} ({requestedBy.kind.toLowerCase()})
        </span>
        <div className={classes.actions}>
          <EndButton operation={operation} />
        </div>
      </div>
      <div className={classes.progress}>
        <Progress value={bulkProgress(operation)} kind={kind === 'canceling' ? 'running' : kind} label="Progress of the operation" />
      </div>
      <p className={classes.facts}>
        {plural(maxParallel, 'deployment')} at a time · {stopAfterFailures === null ? 'goes on after failures' : `stops after ${plural(stopAfterFailures, 'failure')}`}
        {mode === null ? '' : mode === 'IMMEDIATE' ? ' · at once' : ' · when the phase of each ends'}
        {reason === null || reason === '' ? '' : ` · “${reason}”`}
        {canceledBy === null ? '' : ` · ended by ${canceledBy}`}
        {finishedAt === null ? null : (
          <>
            {' '}
            · over <Instant at={finishedAt} />
          </>
        )}
      </p>
      <div className={classes.counts} role="group" aria-label="Filter by result">
        <button type="button" aria-pressed={show === undefined} onClick={() => onShow(undefined)}>
          All {total.toLocaleString('en')}
        </button>
        {countList(operation).map(({ state, count }) => (
          <button key={state} type="button" aria-pressed={show === state} onClick={() => onShow(show === state ? undefined : state)}>
            <StatusMark kind={itemWords[state].kind} word={`${itemWords[state].word} ${count.toLocaleString('en')}`} />
          </button>
        ))}
      </div>
    </header>
  );
}

function EndButton({ operation }: { operation: BulkLiveFragment }) {
  const may = useMay('operator');
  const verb = useVerb(CancelBulkDocument);
  const [asking, setAsking] = useState(false);
  // The dialog stays when the operation ends by itself meanwhile: the answer says so.
  if (!may || (isEnding(operation) && operation.state !== 'STOPPING' && !asking)) return null;
  return (
    <>
      <Button size="compact-sm" variant="default" className={classes.destroys} onClick={() => setAsking(true)}>
        End it…
      </Button>
      {asking ? (
        <ActionDialog
          title="End the operation"
          verb={verb}
          does="End it"
          leave="Let it go on"
          destroys
          onDo={() =>
            void verb.run({ input: { id: operation.id } }).then((answer) => {
              if (!answer) return;
              announce('No further deployment is begun');
              setAsking(false);
            })
          }
          onClose={() => {
            verb.forget();
            setAsking(false);
          }}
        >
          <Effects>
            <li>No further deployment has its turn: {plural(countOf(operation, 'WAITING'), 'waiting one')} will be skipped.</li>
            <li>What is under way goes on to its end; what was done stays done.</li>
          </Effects>
        </ActionDialog>
      ) : null}
    </>
  );
}

function Results({ operation, show }: { operation: BulkLiveFragment; show: BulkItemState | undefined }) {
  const { items, more, behind, error, onMore, retry } = useBulkItems(operation.id, operation.version, show);
  return (
    <div className={classes.space}>
      <Panel title="Results" flush actions={behind ? <span className={classes.quiet}>loading …</span> : null}>
        {error === null ? null : (
          <div className={classes.inside}>
            <Problems title="The results could not be read" problems={problemsOf(error)} />
            <Button size="xs" variant="default" onClick={retry}>
              Try again
            </Button>
          </div>
        )}
        {items === null ? (
          error === null ? <div role="status" aria-label="Loading the results" className={classes.rows} /> : null
        ) : items.length === 0 ? (
          <EmptyState title={show === undefined ? 'No deployments' : `No deployments are ${itemWords[show].word.toLowerCase()}`} />
        ) : (
          <ItemTable items={items} />
        )}
        {more ? (
          <div className={classes.more}>
            <Button size="xs" variant="default" onClick={onMore}>
              Show more
            </Button>
          </div>
        ) : null}
      </Panel>
    </div>
  );
}
