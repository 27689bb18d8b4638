import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';

import { ErrorPage } from '@/app/ErrorPage';
import { NotFoundPage } from '@/app/NotFoundPage';
import { useMay } from '@/app/session';
import { useTitle } from '@/app/useTitle';
import { formatPercent } from '@/lib/format';
import { phaseLabel, phaseOrder } from '@/lib/phases';
import { rowKind, statusWords } from '@/lib/states';
import { Command, EmptyState, Panel, StatusMark } from '@/ui';
import { CleanupPanel } from './CleanupPanel';
import { DeploymentList } from './DeploymentList';
import { EventList } from './EventList';
import { FailureCard } from './FailureCard';
import { NodeHeader } from './NodeHeader';
import classes from './NodePage.module.css';
import type { NodeSearch } from './search';
import { ResourcesPanel } from './ResourcesPanel';
import { isLate, StuckCard } from './StuckCard';
import { TimelinePanel } from './timeline/TimelinePanel';
import { useDeployment, useNodeDetails, useNodeEvents, usePhaseCatalog, type DeploymentDetails, type NodeDetails } from './useNode';

/** One machine: how it stands, its timeline, its events. */
export function NodePage() {
  const { nodeId } = useParams({ from: '/nodes/$nodeId' });
  const { details, missing, error, refetch } = useNodeDetails(nodeId);
  if (missing) {
    return (
      <NotFoundPage what="There is no such node">
        <p>
          Nothing has the id <code>{nodeId}</code>. It may have been removed, or the address was cut off.
        </p>
      </NotFoundPage>
    );
  }
  if (details === null) return error ? <ErrorPage error={error} retry={() => void refetch()} /> : <Loading />;
  return <Loaded key={details.id} node={details} />;
}

function Loaded({ node }: { node: NodeDetails }) {
  const search = useSearch({ from: '/nodes/$nodeId' });
  const navigate = useNavigate({ from: '/nodes/$nodeId' });
  const change = (next: NodeSearch): void => void navigate({ search: next, replace: true });

  const currentId = node.currentDeployment?.id;
  const { deployment, error, refetch, fetchMore } = useDeployment(search.deployment ?? currentId);
  // Without a deployment there is no position: live from now on.
  useNodeEvents(node.id, currentId === undefined && search.deployment === undefined ? null : deployment?.cursor, refetch);

  const catalog = usePhaseCatalog(deployment?.provider);
  const known = useMemo(() => {
    if (catalog) return catalog.filter(({ terminal, phase }) => !terminal && phase !== 'CLEANUP').map(({ key, label }) => ({ key, label }));
    return phaseOrder(node.provider).map((phase) => ({ key: phase.toLowerCase(), label: phaseLabel(phase, phase.toLowerCase()) }));
  }, [catalog, node.provider]);

  const may = useMay('operator');
  useTitle(titleOf(node));
  const togglePhase = (key: string): void => {
    const { phase, ...rest } = search;
    change(phase === key ? rest : { ...rest, phase: key });
  };

  return (
    <>
      <nav aria-label="Breadcrumb" className={classes.crumbs}>
        <Link to="/">Fleet</Link>
        <span aria-hidden="true">/</span>
        <span aria-current="page">{node.name}</span>
      </nav>
      <NodeHeader node={node} deployment={deployment} />
      {deployment === null && error ? <ErrorPage error={error} retry={() => void refetch()} /> : null}
      {deployment === null && currentId === undefined ? (
        <Panel title="Deployments">
          <EmptyState title="Never deployed" mark={<StatusMark kind="registered" />}>
            <p>This node is registered and nothing was installed on it yet.</p>
            {may && node.provider === 'IBM_VPC' ? (
              <Link to="/deploy" search={{ name: node.name }}>
                Deploy it
              </Link>
            ) : null}
            <Command label="Command that shows how to deploy a node">slipway deploy --help</Command>
          </EmptyState>
        </Panel>
      ) : null}
      {deployment ? (
        <Details node={node} deployment={deployment} known={known} search={search} change={change} togglePhase={togglePhase} fetchMore={fetchMore} />
      ) : null}
    </>
  );
}

interface DetailsProps {
  node: NodeDetails;
  deployment: DeploymentDetails;
  known: readonly { key: string; label: string }[];
  search: NodeSearch;
  change: (next: NodeSearch) => void;
  togglePhase: (key: string) => void;
  fetchMore: ReturnType<typeof useDeployment>['fetchMore'];
}

function Details({ node, deployment, known, search, change, togglePhase, fetchMore }: DetailsProps) {
  const { view: _, ...withoutView } = search;
  const older = deployment.events.pageInfo;
  return (
    <>
      {deployment.failure ? <FailureCard failure={deployment.failure} /> : null}
      {deployment.stuckReason && !deployment.failure && isLate(deployment.stuckReason, node.stale) ? <StuckCard reason={deployment.stuckReason} /> : null}
      <CleanupPanel deployment={deployment} />
      <TimelinePanel
        deployment={deployment}
        known={known}
        asTable={search.view === 'table'}
        onAsTable={(asTable) => change(asTable ? { ...search, view: 'table' } : withoutView)}
        selectedPhase={search.phase ?? null}
        onSelectPhase={togglePhase}
      />
      <div className={classes.columns}>
        <EventList
          key={deployment.id}
          events={deployment.events.nodes}
          phase={search.phase ?? null}
          onClearPhase={() => {
            const { phase: __, ...rest } = search;
            change(rest);
          }}
          hasOlder={older.hasPreviousPage}
          onOlder={() => fetchMore({ variables: { before: older.startCursor } })}
        />
        <DeploymentList node={node} shownId={deployment.id} />
      </div>
      <ResourcesPanel resources={node.resources} />
    </>
  );
}

function titleOf(node: NodeDetails): string {
  const kind = rowKind(node);
  const card = node.currentDeployment;
  const state = card && (kind === 'running' || kind === 'stalled') ? `${phaseLabel(card.phase, card.phaseKey)} ${formatPercent(card.progress)}` : statusWords[kind];
  return `${node.name}: ${state}`;
}

function Loading() {
  useTitle('Node');
  return (
    <div role="status" aria-label="Loading the node" className={classes.loading}>
      <div />
      <div />
    </div>
  );
}
