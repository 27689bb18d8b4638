import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';

import { parseApplySearch } from '@/features/apply/search';
import { FleetPage } from '@/features/fleet/FleetPage';
import { parseSearch } from '@/features/fleet/filters';
import { parseDeploySearch } from '@/features/deploy/search';
import { parseNodeSearch } from '@/features/node/search';
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
  routeTree: root.addChildren([fleet, node, deploy, apply, applyRuns, applyRun, resources]),
  basepath: '/monitoring',
  defaultPreload: 'intent',
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
