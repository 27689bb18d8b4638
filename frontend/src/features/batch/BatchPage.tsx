import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';

import { ErrorPage } from '@/app/ErrorPage';
import { NotFoundPage } from '@/app/NotFoundPage';
import { useTitle } from '@/app/useTitle';
import type { BatchMemberFragment } from '@/gql/generated/graphql';
import { etaOf } from '@/lib/eta';
import { formatDuration, plural } from '@/lib/format';
import { phaseLabel } from '@/lib/phases';
import { isOver, statusWords } from '@/lib/states';
import { EtaMark, Instant, Panel, Progress, StatusMark } from '@/ui';
import { batchProgress, memberCounts, memberKind, sortMembers } from './counts';
import classes from './BatchPage.module.css';
import { useBatch, useLiveMembers, type Batch } from './useBatch';

/** Deployments that were ordered together: how far they are, and what became of each. */
export function BatchPage() {
  const { batchId } = useParams({ from: '/batches/$batchId' });
  const { batch, complete, missing, error, refetch } = useBatch(batchId);
  useTitle(batch === null ? 'Batch' : `Batch ${batch.name ?? batch.id}`);
  if (missing) {
    return (
      <NotFoundPage what="There is no such batch">
        <p>
          Nothing has the id <code>{batchId}</code>.
        </p>
      </NotFoundPage>
    );
  }
  if (batch === null) return error ? <ErrorPage error={error} retry={() => void refetch().catch(() => undefined)} /> : <div role="status" aria-label="Loading the batch" className={classes.loading} />;
  return <Loaded batch={batch} complete={complete} />;
}

function Loaded({ batch, complete }: { batch: Batch; complete: boolean }) {
  const { show } = useSearch({ from: '/batches/$batchId' });
  const navigate = useNavigate({ from: '/batches/$batchId' });
  const members = useLiveMembers(batch.deployments.nodes);
  const counts = memberCounts(members);
  const sorted = useMemo(() => sortMembers(members), [members]);
  const shown = show === undefined ? sorted : sorted.filter((member) => memberKind(member) === show);
  const over = members.length === batch.total && members.every(({ state }) => isOver(state));
  const failed = counts.find(({ kind }) => kind === 'failed')?.count ?? 0;
  return (
    <>
      <nav aria-label="Breadcrumb" className={classes.crumbs}>
        <Link to="/">Fleet</Link>
        <span aria-hidden="true">/</span>
        <span aria-current="page">Batch</span>
      </nav>
      <header className={classes.card}>
        <div className={classes.top}>
          <h1 className={classes.name}>{batch.name ?? `Batch ${batch.id}`}</h1>
          {over ? <StatusMark kind={failed > 0 ? 'failed' : 'succeeded'} word={failed > 0 ? `Over, ${plural(failed, 'failure')}` : 'Over'} /> : <StatusMark kind="running" word="Under way" live />}
          <span className={classes.quiet}>
            {plural(batch.total, 'deployment')} · ordered <Instant at={batch.createdAt} /> by {batch.requestedBy.name} ({batch.requestedBy.kind.toLowerCase()})
          </span>
        </div>
        <div className={classes.progress}>
          <Progress value={batchProgress(members)} kind={failed > 0 ? 'failed' : over ? 'succeeded' : 'running'} label="Progress of the batch" />
        </div>
        <div className={classes.counts} role="group" aria-label="Filter by state">
          <button type="button" aria-pressed={show === undefined} onClick={() => void navigate({ search: {}, replace: true })}>
            All {batch.total.toLocaleString('en')}
          </button>
          {counts.map(({ kind, word, count }) => (
            <button key={kind} type="button" aria-pressed={show === kind} onClick={() => void navigate({ search: show === kind ? {} : { show: kind }, replace: true })}>
              <StatusMark kind={kind} word={`${word} ${count.toLocaleString('en')}`} />
            </button>
          ))}
        </div>
      </header>
      <div className={classes.space}>
        <Panel title="Results" actions={complete ? null : <span className={classes.quiet}>loading the rest…</span>} flush>
          <div className={classes.scroll} tabIndex={0} role="region" aria-label="Results of the batch">
            <table className={classes.table}>
              <thead>
                <tr>
                  <th scope="col">State</th>
                  <th scope="col">Node</th>
                  <th scope="col">Where it stands</th>
                  <th scope="col">Progress</th>
                  <th scope="col">Time</th>
                </tr>
              </thead>
              <tbody>
                {shown.map((member) => (
                  <Member key={member.id} member={member} />
                ))}
              </tbody>
            </table>
            {shown.length === 0 ? <p className={classes.none}>{show === undefined ? 'No deployments.' : `No deployments are ${(statusWords as Record<string, string>)[show]?.toLowerCase() ?? show} any more.`}</p> : null}
          </div>
        </Panel>
      </div>
    </>
  );
}

function Member({ member }: { member: BatchMemberFragment }) {
  const { failure, node } = member;
  const kind = memberKind(member);
  return (
    <tr>
      <td>
        <StatusMark kind={kind} />
      </td>
      <th scope="row">
        <Link to="/deployments/$deploymentId" params={{ deploymentId: member.id }}>
          {node.name} #{member.number}
        </Link>
      </th>
      <td className={classes.where}>
        {failure === null ? phaseLabel(member.phase, member.phaseKey) : `${phaseLabel(failure.phase, failure.phaseKey)} · ${failure.code}: ${failure.message}`}
        {member.attempt > 1 ? ` · attempt ${member.attempt}` : ''}
      </td>
      <td className={classes.bar}>
        <Progress value={member.progress} kind={kind} label={`Progress of ${node.name}`} />
      </td>
      <td>{member.duration === null ? <EtaMark of={(now) => etaOf({ ...member, late: node.late, stalled: node.stalled || node.stale }, now)} /> : formatDuration(member.duration)}</td>
    </tr>
  );
}
