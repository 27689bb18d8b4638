import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useRef } from 'react';

import { ErrorPage } from '@/app/ErrorPage';
import { useMay } from '@/app/session';
import { useShortcuts } from '@/app/shortcuts';
import { useTitle } from '@/app/useTitle';
import { problemsOf } from '@/gql/client/ask';
import type { ClusterFilter, ClusterRowFragment, ClusterState } from '@/gql/generated/graphql';
import { Button, CopyAs, EmptyState, Instant, NativeSelect, Panel, Problems, Progress, StatusMark, TextInput, useTyped } from '@/ui';
import classes from './ClustersPage.module.css';
import { handoffClusters } from './handoff';
import { parseClustersSearch, stateOf, type ClustersSearch } from './search';
import { useClusters } from './useCluster';
import { clusterState, clusterStates, isReleased, waitsFor } from './words';

const lower = (state: ClusterState): string => state.toLowerCase();
const stateChoices = [{ value: '', label: 'Any state' }, ...clusterStates.map((state) => ({ value: lower(state), label: clusterState(state).word }))];

/** Every cluster, the newest first. */
export function ClustersPage() {
  useTitle('Clusters');
  const search = useSearch({ from: '/clusters' });
  const navigate = useNavigate({ from: '/clusters' });
  const may = useMay('operator');
  const input = useRef<HTMLInputElement>(null);
  useShortcuts({ '/': () => input.current?.focus() });
  const filter: ClusterFilter = { ...(search.state === undefined ? {} : { states: [stateOf(search.state)] }), ...(search.q === undefined || search.q.trim() === '' ? {} : { text: search.q.trim() }) };
  const { clusters, behind, more, error, onMore, again } = useClusters(filter);
  const set = (part: Record<keyof ClustersSearch, unknown> | Partial<Record<keyof ClustersSearch, unknown>>): void => void navigate({ search: (now) => parseClustersSearch({ ...now, ...part }), replace: true });
  const typed = useTyped(search.q ?? '', (q) => set({ q }));
  if (clusters === null) return error === null ? <div role="status" aria-label="Loading the clusters" className={classes.loading} /> : <ErrorPage error={error} retry={again} />;
  const narrowed = Object.keys(filter).length > 0;
  const first = clusters.length === 0 && !narrowed && !behind;
  return (
    <>
      <div className={classes.head}>
        <h1 className={classes.title}>Clusters</h1>
        <div className={classes.actions}>
          {may ? (
            <Link to="/clusters/new" className={classes.new}>
              New cluster
            </Link>
          ) : null}
          <CopyAs handoff={handoffClusters(globalThis.location.origin, filter)} />
        </div>
      </div>
      <Panel title="The newest first" flush actions={behind ? <span className={classes.quiet}>reading …</span> : undefined}>
        {first ? null : (
          <div className={classes.tools} role="search" aria-label="Filter the clusters">
            <TextInput
              ref={input}
              size="xs"
              className={classes.filter}
              aria-label="Name or address of a cluster, or name of a node"
              placeholder="Cluster, address or node …"
              maxLength={200}
              {...typed}
              onKeyDown={(event) => {
                if (event.key === 'Escape') event.currentTarget.blur();
              }}
            />
            <NativeSelect size="xs" aria-label="State" data={stateChoices} value={search.state ?? ''} onChange={(event) => set({ state: event.currentTarget.value })} />
          </div>
        )}
        {error === null ? null : (
          <div className={classes.problems}>
            <Problems title="The clusters could not be read; what is shown may be old" problems={problemsOf(error)} />
            <Button size="xs" variant="default" onClick={again}>
              Try again
            </Button>
          </div>
        )}
        {first ? (
          <EmptyState title="No clusters yet" mark={<StatusMark kind="registered" word="Empty" />}>
            <p>Several nodes become one Nutanix cluster with one request: they are installed side by side, wait for each other, and one bad node does not cost the rest.</p>
            {may ? <Link to="/clusters/new">Make the first one</Link> : <p>Making one needs the role operator.</p>}
          </EmptyState>
        ) : clusters.length === 0 ? (
          <EmptyState title="No cluster matches the filter">
            <Button size="xs" variant="default" onClick={() => set({ q: undefined, state: undefined })}>
              Show all clusters
            </Button>
          </EmptyState>
        ) : (
          <Table clusters={clusters} />
        )}
        {more ? (
          <div className={classes.more}>
            <Button size="xs" variant="default" disabled={behind} onClick={onMore}>
              Show more
            </Button>
          </div>
        ) : null}
      </Panel>
    </>
  );
}

function Table({ clusters }: { clusters: readonly ClusterRowFragment[] }) {
  return (
    <div className={classes.scroll} tabIndex={0} role="region" aria-label="Clusters, as a table">
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Name</th>
            <th scope="col">Ready</th>
            <th scope="col">Progress</th>
            <th scope="col">Waits for</th>
            <th scope="col">Asked for</th>
            <th scope="col">By</th>
          </tr>
        </thead>
        <tbody>
          {clusters.map((cluster) => (
            <Row key={cluster.id} cluster={cluster} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ cluster }: { cluster: ClusterRowFragment }) {
  const { kind, word } = clusterState(cluster.state);
  const { ready, total } = cluster.barrier;
  return (
    <tr>
      <td className={classes.cell}>
        <StatusMark kind={kind} word={word} />
      </td>
      <th scope="row">
        <Link to="/clusters/$clusterId" params={{ clusterId: cluster.id }}>
          {cluster.name}
        </Link>
        {cluster.address === null ? null : <p className={classes.address}>{cluster.address}</p>}
      </th>
      <td className={classes.cell}>{isReleased(cluster.state) ? '–' : `${ready} of ${total}`}</td>
      <td className={classes.barCell}>
        <Progress value={cluster.progress} kind={isReleased(cluster.state) ? 'cleaned' : kind} label={`Progress of ${cluster.name}`} />
      </td>
      <td className={classes.waits}>{waitsFor(cluster) ?? '–'}</td>
      <td className={classes.cell}>
        <Instant at={cluster.createdAt} />
      </td>
      <td>{cluster.requestedBy.name}</td>
    </tr>
  );
}
