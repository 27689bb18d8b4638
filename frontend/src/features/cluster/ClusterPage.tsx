import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useState } from 'react';

import { ErrorPage } from '@/app/ErrorPage';
import { NotFoundPage } from '@/app/NotFoundPage';
import { useTitle } from '@/app/useTitle';
import type { ClusterLiveFragment } from '@/gql/generated/graphql';
import { CleanupPanels } from './CleanupPanels';
import { ClusterDialogs, type Opened } from './ClusterDialogs';
import { ClusterEvents } from './ClusterEvents';
import { ClusterHeader } from './ClusterHeader';
import classes from './ClusterPage.module.css';
import { FormationPanel } from './FormationPanel';
import { HealthPanel } from './HealthPanel';
import { LanesPanel } from './LanesPanel';
import { MemberTable } from './MemberTable';
import type { ClusterSearch } from './search';
import { TroubleCards } from './TroubleCards';
import { useCluster, useTypical } from './useCluster';
import { usePending } from './usePending';
import { clusterState } from './words';

/** One cluster: its nodes in time, what it waits for, its formation and health, and what can be done. */
export function ClusterPage() {
  const { clusterId } = useParams({ from: '/clusters/$clusterId' });
  const { cluster, missing, error, refetch } = useCluster(clusterId);
  useTitle(cluster === null ? 'Cluster' : `${cluster.name}: ${clusterState(cluster.state).word}`);
  if (missing) {
    return (
      <NotFoundPage what="There is no such cluster">
        <p>
          Nothing has the id <code>{clusterId}</code>. The address may have been cut off.
        </p>
      </NotFoundPage>
    );
  }
  if (cluster === null) {
    return error ? (
      <ErrorPage error={error} retry={() => void refetch().catch(() => undefined)} />
    ) : (
      <div role="status" aria-label="Loading the cluster" className={classes.loading}>
        <div />
        <div />
      </div>
    );
  }
  return <Loaded key={cluster.id} cluster={cluster} />;
}

function Loaded({ cluster }: { cluster: ClusterLiveFragment }) {
  const search = useSearch({ from: '/clusters/$clusterId' });
  const navigate = useNavigate({ from: '/clusters/$clusterId' });
  const typical = useTypical(cluster);
  const pending = usePending(cluster);
  const [opened, setOpened] = useState<Opened | null>(null);
  const { view: _, ...withoutView } = search;
  const { node: selected, ...withoutNode } = search;
  const change = (next: ClusterSearch): void => void navigate({ search: next, replace: true, resetScroll: false });
  const select = (nodeId: string): void => change(nodeId === selected ? withoutNode : { ...search, node: nodeId });
  // Nodes that were replaced and came back are there twice: each is another member.
  const nodes = [...new Set(cluster.members.map(({ node }) => node.id))].sort();
  return (
    <>
      <nav aria-label="Breadcrumb" className={classes.crumbs}>
        <Link to="/clusters">Clusters</Link>
        <span aria-hidden="true">/</span>
        <span aria-current="page">{cluster.name}</span>
      </nav>
      <ClusterHeader cluster={cluster} pending={pending} onOpen={setOpened} />
      <TroubleCards cluster={cluster} pending={pending} onOpen={setOpened} />
      {/* Also of a cleanup that failed half-way, which may be taken up again. */}
      {cluster.cleanupAt !== null ? <CleanupPanels cluster={cluster} /> : null}
      <LanesPanel cluster={cluster} typical={typical} asTable={search.view === 'table'} onAsTable={(asTable) => change(asTable ? { ...search, view: 'table' } : withoutView)} selected={selected ?? null} onSelect={select} />
      <MemberTable cluster={cluster} pending={pending} selected={selected ?? null} onSelect={select} onOpen={setOpened} />
      <div className={classes.columns}>
        <FormationPanel formation={cluster.formation} />
        <HealthPanel cluster={cluster} />
      </div>
      {/* A stream knows the nodes that there were when it began: with others there is another one. */}
      <ClusterEvents key={nodes.join(' ')} clusterId={cluster.id} />
      {opened === null ? null : <ClusterDialogs cluster={cluster} opened={opened} pending={pending} onClose={() => setOpened(null)} />}
    </>
  );
}
