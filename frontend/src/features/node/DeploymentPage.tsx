import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';

import { ErrorPage } from '@/app/ErrorPage';
import { NotFoundPage } from '@/app/NotFoundPage';
import { useTitle } from '@/app/useTitle';
import { ClusterFact } from '@/features/cluster/ClusterLink';
import { handoffDeployment } from '@/lib/handoff';
import { stateKind, statusWords } from '@/lib/states';
import { CopyAs, Panel, Progress, StatusMark } from '@/ui';
import { ActionBar } from './actions/ActionBar';
import { DeploymentFacts } from './DeploymentFacts';
import classes from './DeploymentPage.module.css';
import { DeploymentView } from './DeploymentView';
import headerClasses from './NodeHeader.module.css';
import pageClasses from './NodePage.module.css';
import { useDeployment, useNodeDetails, useNodeEvents, usePhases, type DeploymentDetails, type NodeDetails } from './useNode';

/** One deployment, the current one of its machine or an old one: what was asked for, and what happened. */
export function DeploymentPage() {
  const { deploymentId } = useParams({ from: '/deployments/$deploymentId' });
  const { deployment, missing, error, refetch, fetchMore } = useDeployment(deploymentId);
  useTitle(deployment === null ? 'Deployment' : `${deployment.node.name} #${deployment.number}: ${statusWords[stateKind(deployment.state)]}`);
  if (missing) {
    return (
      <NotFoundPage what="There is no such deployment">
        <p>
          Nothing has the id <code>{deploymentId}</code>. It may have been removed, or the address was cut off.
        </p>
      </NotFoundPage>
    );
  }
  if (deployment === null) return error ? <ErrorPage error={error} retry={() => void refetch().catch(() => undefined)} /> : <div role="status" aria-label="Loading the deployment" className={pageClasses.loading}><div /><div /></div>;
  return <Loaded key={deployment.id} deployment={deployment} refetch={refetch} fetchMore={fetchMore} />;
}

type LoadedProps = { deployment: DeploymentDetails } & Pick<ReturnType<typeof useDeployment>, 'refetch' | 'fetchMore'>;

function Loaded({ deployment, refetch, fetchMore }: LoadedProps) {
  const search = useSearch({ from: '/deployments/$deploymentId' });
  const navigate = useNavigate({ from: '/deployments/$deploymentId' });
  const { node } = deployment;
  const { details, refetch: rereadNode } = useNodeDetails(node.id);
  useNodeEvents(node.id, deployment.cursor, refetch, rereadNode);
  const { known, typical } = usePhases(deployment.provider, deployment.phases);
  return (
    <>
      <nav aria-label="Breadcrumb" className={pageClasses.crumbs}>
        <Link to="/">Fleet</Link>
        <span aria-hidden="true">/</span>
        <Link to="/nodes/$nodeId" params={{ nodeId: node.id }}>
          {node.name}
        </Link>
        <span aria-hidden="true">/</span>
        <span aria-current="page">Deployment {deployment.number}</span>
      </nav>
      <Header deployment={deployment} node={details} typical={typical} />
      <DeploymentView
        deployment={deployment}
        silent={node.stale && details?.currentDeployment?.id === deployment.id}
        known={known}
        search={search}
        change={(next) => void navigate({ search: next, replace: true })}
        fetchMore={fetchMore}
        aside={<Order deployment={deployment} />}
      />
    </>
  );
}

function Header({ deployment, node, typical }: { deployment: DeploymentDetails; node: NodeDetails | null; typical: number | null }) {
  const kind = stateKind(deployment.state);
  const current = node?.currentDeployment ?? null;
  const isCurrent = current?.id === deployment.id;
  return (
    <header className={headerClasses.card}>
      <div className={headerClasses.top}>
        <h1 className={headerClasses.name}>
          {deployment.node.name} <span className={headerClasses.quiet}>#{deployment.number}</span>
        </h1>
        <StatusMark kind={kind} live />
        {isCurrent || current === null ? null : (
          <span className={headerClasses.note}>
            An earlier one; the current one is{' '}
            <Link to="/deployments/$deploymentId" params={{ deploymentId: current.id }}>
              #{current.number}
            </Link>
            .
          </span>
        )}
        <div className={headerClasses.actions}>
          <CopyAs handoff={handoffDeployment(globalThis.location.origin, deployment)} />
          {node !== null && isCurrent ? <ActionBar node={node} deployment={deployment} /> : null}
        </div>
      </div>
      <div className={headerClasses.progress}>
        <Progress value={deployment.progress} kind={kind} label={`Progress of deployment ${deployment.number}`} />
      </div>
      <dl className={headerClasses.facts}>
        <DeploymentFacts deployment={deployment} silent={deployment.node.stale && isCurrent} typical={typical} />
        <ClusterFact deploymentId={deployment.id} />
        {deployment.batch === null ? null : (
          <div className={headerClasses.fact}>
            <dt>Batch</dt>
            <dd>
              <Link to="/batches/$batchId" params={{ batchId: deployment.batch.id }}>
                {deployment.batch.name ?? deployment.batch.id}
              </Link>
            </dd>
          </div>
        )}
      </dl>
    </header>
  );
}

/** What was asked for, secrets removed by the server. */
function Order({ deployment }: { deployment: DeploymentDetails }) {
  return (
    <Panel title="What was ordered" flush>
      <pre className={classes.config} tabIndex={0} role="region" aria-label="Order, without its secrets">
        {JSON.stringify(deployment.config, null, 2)}
      </pre>
    </Panel>
  );
}
