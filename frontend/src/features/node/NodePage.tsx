import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';

import { ErrorPage } from '@/app/ErrorPage';
import { NotFoundPage } from '@/app/NotFoundPage';
import { useMay } from '@/app/session';
import { useTitle } from '@/app/useTitle';
import { formatPercent } from '@/lib/format';
import { phaseLabel } from '@/lib/phases';
import { rowKind, statusWords } from '@/lib/states';
import { Command, EmptyState, Panel, StatusMark } from '@/ui';
import { DeploymentList } from './DeploymentList';
import { DeploymentView } from './DeploymentView';
import { NodeHeader } from './NodeHeader';
import classes from './NodePage.module.css';
import type { NodeSearch } from './search';
import { ResourcesPanel } from './ResourcesPanel';
import { ScriptPanels } from './ScriptPanels';
import { useDeployment, useNodeDetails, useNodeEvents, usePhases, type NodeDetails } from './useNode';

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
  if (details === null) return error ? <ErrorPage error={error} retry={() => void refetch().catch(() => undefined)} /> : <Loading />;
  return <Loaded key={details.id} node={details} rereadNode={refetch} />;
}

function Loaded({ node, rereadNode }: { node: NodeDetails; rereadNode: () => Promise<unknown> }) {
  const search = useSearch({ from: '/nodes/$nodeId' });
  const navigate = useNavigate({ from: '/nodes/$nodeId' });
  const change = (next: NodeSearch): void => void navigate({ search: next, replace: true });

  const currentId = node.currentDeployment?.id;
  const { deployment, error, refetch, fetchMore } = useDeployment(search.deployment ?? currentId);
  // Without a deployment there is no position: live from now on.
  useNodeEvents(node.id, currentId === undefined && search.deployment === undefined ? null : deployment?.cursor, refetch, rereadNode);

  const { known, typical } = usePhases(deployment?.provider ?? node.provider, deployment?.phases);

  const may = useMay('operator');
  useTitle(titleOf(node));
  return (
    <>
      <nav aria-label="Breadcrumb" className={classes.crumbs}>
        <Link to="/">Fleet</Link>
        <span aria-hidden="true">/</span>
        <span aria-current="page">{node.name}</span>
      </nav>
      <NodeHeader node={node} deployment={deployment} typical={typical} />
      {deployment === null && error ? <ErrorPage page={false} error={error} retry={() => void refetch().catch(() => undefined)} /> : null}
      {deployment === null && currentId === undefined ? (
        <Panel title="Deployments">
          <EmptyState title="Never deployed" mark={<StatusMark kind="registered" />}>
            <p>This node is registered and nothing was installed on it yet.</p>
            {may && node.provider !== 'SCRIPT' ? (
              <Link to="/deploy" search={{ name: node.name, on: node.provider === 'RACK' ? 'rack' : 'ibm-vpc' }}>
                Deploy it
              </Link>
            ) : null}
            <Command label="Command that shows how to deploy a node">slipway deploy --help</Command>
          </EmptyState>
        </Panel>
      ) : null}
      {deployment ? (
        <>
          {node.provider === 'SCRIPT' && deployment.id === currentId ? <ScriptPanels node={node} deploymentId={deployment.id} /> : null}
          <DeploymentView deployment={deployment} silent={node.stale} known={known} search={search} change={({ phase, view }) => change({ ...kept(search), ...(phase === undefined ? {} : { phase }), ...(view === undefined ? {} : { view }) })} fetchMore={fetchMore} aside={<DeploymentList node={node} shownId={deployment.id} />} />
          <ResourcesPanel resources={node.resources} />
        </>
      ) : null}
    </>
  );
}

/** What does not belong to how the deployment is shown. */
function kept({ deployment }: NodeSearch): NodeSearch {
  return deployment === undefined ? {} : { deployment };
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
