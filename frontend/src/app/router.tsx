import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';

import { parseApplySearch } from '@/features/apply/search';
import { FleetPage } from '@/features/fleet/FleetPage';
import { parseSearch } from '@/features/fleet/filters';
import { parseArtifactsSearch } from '@/features/artifacts/search';
import { parseBatchSearch } from '@/features/batch/search';
import { parseBulkSearch } from '@/features/bulk/search';
import { parseClustersSearch, parseClusterSearch, parseNewClusterSearch } from '@/features/cluster/search';
import { parseInsightsSearch } from '@/features/charts/search';
import { parseDeploySearch } from '@/features/deploy/search';
import { parseHistorySearch } from '@/features/history/search';
import { parseDeploymentSearch, parseNodeSearch } from '@/features/node/search';
import { parseSettingsSearch } from '@/features/settings/search';
import { ErrorPage } from './ErrorPage';
import { NotFoundPage } from './NotFoundPage';
import { Shell } from './Shell';

const root = createRootRoute({
  component: Shell,
  notFoundComponent: () => <NotFoundPage />,
  errorComponent: ({ error, reset }) => <ErrorPage error={error} retry={reset} />,
});

const fleet = createRoute({ getParentRoute: () => root, path: '/', validateSearch: parseSearch, component: FleetPage });

const node = createRoute({
  getParentRoute: () => root,
  path: '/nodes/$nodeId',
  validateSearch: parseNodeSearch,
  // The timeline and all that goes with it come when they are first needed.
  component: lazyRouteComponent(() => import('@/features/node/NodePage'), 'NodePage'),
});

const overview = createRoute({
  getParentRoute: () => root,
  path: '/overview',
  component: lazyRouteComponent(() => import('@/features/overview/OverviewPage'), 'OverviewPage'),
});

const deployment = createRoute({
  getParentRoute: () => root,
  path: '/deployments/$deploymentId',
  validateSearch: parseDeploymentSearch,
  component: lazyRouteComponent(() => import('@/features/node/DeploymentPage'), 'DeploymentPage'),
});

const history = createRoute({
  getParentRoute: () => root,
  path: '/history',
  validateSearch: parseHistorySearch,
  component: lazyRouteComponent(() => import('@/features/history/HistoryPage'), 'HistoryPage'),
});

const batch = createRoute({
  getParentRoute: () => root,
  path: '/batches/$batchId',
  validateSearch: parseBatchSearch,
  component: lazyRouteComponent(() => import('@/features/batch/BatchPage'), 'BatchPage'),
});

const artifacts = createRoute({
  getParentRoute: () => root,
  path: '/artifacts',
  validateSearch: parseArtifactsSearch,
  component: lazyRouteComponent(() => import('@/features/artifacts/ArtifactsPage'), 'ArtifactsPage'),
});

const settings = createRoute({
  getParentRoute: () => root,
  path: '/settings',
  validateSearch: parseSettingsSearch,
  component: lazyRouteComponent(() => import('@/features/settings/SettingsPage'), 'SettingsPage'),
});

const insights = createRoute({
  getParentRoute: () => root,
  path: '/insights',
  validateSearch: parseInsightsSearch,
  component: lazyRouteComponent(() => import('@/features/charts/InsightsPage'), 'InsightsPage'),
});

const bulks = createRoute({
  getParentRoute: () => root,
  path: '/bulk',
  component: lazyRouteComponent(() => import('@/features/bulk/BulkListPage'), 'BulkListPage'),
});

const bulk = createRoute({
  getParentRoute: () => root,
  path: '/bulk/$bulkId',
  validateSearch: parseBulkSearch,
  component: lazyRouteComponent(() => import('@/features/bulk/BulkPage'), 'BulkPage'),
});

const clusters = createRoute({
  getParentRoute: () => root,
  path: '/clusters',
  validateSearch: parseClustersSearch,
  component: lazyRouteComponent(() => import('@/features/cluster/ClustersPage'), 'ClustersPage'),
});

const newCluster = createRoute({
  getParentRoute: () => root,
  path: '/clusters/new',
  validateSearch: parseNewClusterSearch,
  component: lazyRouteComponent(() => import('@/features/cluster/NewClusterPage'), 'NewClusterPage'),
});

const cluster = createRoute({
  getParentRoute: () => root,
  path: '/clusters/$clusterId',
  validateSearch: parseClusterSearch,
  component: lazyRouteComponent(() => import('@/features/cluster/ClusterPage'), 'ClusterPage'),
});

const deploy = createRoute({
  getParentRoute: () => root,
  path: '/deploy',
  validateSearch: parseDeploySearch,
  component: lazyRouteComponent(() => import('@/features/deploy/DeployPage'), 'DeployPage'),
});

const resources = createRoute({
  getParentRoute: () => root,
  path: '/resources',
  component: lazyRouteComponent(() => import('@/features/drift/DriftPage'), 'DriftPage'),
});

const apply = createRoute({
  getParentRoute: () => root,
  path: '/apply',
  validateSearch: parseApplySearch,
  component: lazyRouteComponent(() => import('@/features/apply/ApplyPage'), 'ApplyPage'),
});

const applyRuns = createRoute({
  getParentRoute: () => root,
  path: '/apply/runs',
  component: lazyRouteComponent(() => import('@/features/apply/RunsPage'), 'RunsPage'),
});

const applyRun = createRoute({
  getParentRoute: () => root,
  path: '/apply/runs/$runId',
  component: lazyRouteComponent(() => import('@/features/apply/RunPage'), 'RunPage'),
});

export const router = createRouter({
  routeTree: root.addChildren([fleet, overview, node, deployment, history, batch, artifacts, settings, insights, bulks, bulk, clusters, newCluster, cluster, deploy, apply, applyRuns, applyRun, resources]),
  basepath: '/monitoring',
  defaultPreload: 'intent',
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
