import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import { useMay } from '@/app/session';
import type { ClusterLiveFragment } from '@/gql/generated/graphql';
import { Button, CopyAs, EtaMark, Instant, Progress, StatusMark } from '@/ui';
import type { Opened } from './ClusterDialogs';
import classes from './ClusterPage.module.css';
import { handoffCluster } from './handoff';
import type { PendingMarks } from './usePending';
import { actionWords, clusterEta, clusterState, isReleased, isSettled, waitsFor } from './words';

/** Who the cluster is, how it stands, and what can be asked of the whole of it. */
export function ClusterHeader({ cluster, pending, onOpen }: { cluster: ClusterLiveFragment; pending: PendingMarks; onOpen: (opened: Opened) => void }) {
  const may = useMay('operator');
  const { kind, word, says } = clusterState(cluster.state);
  const { barrier, requestedBy } = cluster;
  const asked = pending.of('');
  const waits = waitsFor(cluster);
  const actions = (['ADD_NODE', 'CANCEL', 'CLEANUP'] as const).filter((action) => cluster.allowedActions.includes(action));
  const stopped = cluster.state === 'BLOCKED' || cluster.state === 'CANCELED';
  return (
    <header className={classes.card}>
      <div className={classes.top}>
        <h1 className={classes.name}>{cluster.name}</h1>
        <StatusMark kind={kind} word={word} live={!isSettled(cluster.state)} />
        <span className={classes.quiet}>{says}</span>
        <div className={classes.actions}>
          <span role="status" className={classes.quiet}>
            {asked === null ? '' : `${asked} …`}
          </span>
          {may ? (
            <div role="group" aria-label="Actions" className={classes.buttons}>
              {actions.map((action) =>
                action === 'ADD_NODE' ? (
                  <Link key={action} to="/clusters/new" search={{ join: cluster.id }} className={classes.add}>
                    {actionWords[action].label}
                  </Link>
                ) : (
                  <Button key={action} size="compact-sm" variant="default" disabled={asked !== null} className={actionWords[action].destroys ? classes.destroys : undefined} onClick={() => onOpen({ kind: action })}>
                    {actionWords[action].label}
                  </Button>
                ),
              )}
            </div>
          ) : null}
          <CopyAs handoff={handoffCluster(globalThis.location.origin, cluster)} />
        </div>
      </div>
      <div className={classes.progress}>
        <Progress value={cluster.progress} kind={isReleased(cluster.state) ? 'cleaned' : kind} label="Progress of the cluster" />
      </div>
      <dl className={classes.facts}>
        {isReleased(cluster.state) ? null : (
          <Fact name="Ready">
            {barrier.ready} of {barrier.total}
          </Fact>
        )}
        {isSettled(cluster.state) || isReleased(cluster.state) ? null : (
          <Fact name="Expected end">
            <EtaMark of={(now) => clusterEta(cluster, now)} none="not known yet" />
          </Fact>
        )}
        <Fact name="Redundancy factor">{cluster.redundancyFactor}</Fact>
        <Fact name="Address">{cluster.address === null ? '–' : <span className={classes.mono}>{cluster.address}</span>}</Fact>
        {cluster.dnsServers.length === 0 ? null : <Fact name="DNS servers">{cluster.dnsServers.join(', ')}</Fact>}
        {cluster.ntpServers.length === 0 ? null : <Fact name="Time servers">{cluster.ntpServers.join(', ')}</Fact>}
        <Fact name="Asked for">
          <Instant at={cluster.createdAt} /> <span className={classes.plain}>by {requestedBy.name} ({requestedBy.kind.toLowerCase()})</span>
        </Fact>
        {cluster.formedAt === null ? null : (
          <Fact name="Formed">
            <Instant at={cluster.formedAt} />
          </Fact>
        )}
        {cluster.cleanupAt === null ? null : (
          <Fact name="Cleanup asked for">
            <Instant at={cluster.cleanupAt} /> {cluster.cleanupBy === null ? null : <span className={classes.plain}>by {cluster.cleanupBy}</span>}
          </Fact>
        )}
      </dl>
      {/* Its place is there as long as it may be needed: nothing jumps. What stopped it is told by the cards below. */}
      {isReleased(cluster.state) || cluster.state === 'DEPLOYED' || stopped ? null : (
        <p className={classes.waits}>
          <strong>Waits for:</strong> {waits ?? 'nothing'}
        </p>
      )}
    </header>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className={classes.fact}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
