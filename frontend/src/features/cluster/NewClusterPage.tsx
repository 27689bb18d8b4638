import { skipToken, useApolloClient, useQuery } from '@apollo/client/react';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useMemo, useState } from 'react';

import { announce } from '@/app/announcer';
import { useMay } from '@/app/session';
import { useTitle } from '@/app/useTitle';
import { rackRows } from '@/features/deploy/rackRows';
import { useFleet } from '@/features/fleet/useFleet';
import { problemsOf, useVerb } from '@/gql/client/ask';
import { ClustersDocument, DeployClusterDocument, InstallersDocument, OfferDocument, type ClusterRowFragment } from '@/gql/generated/graphql';
import { uniqueKey } from '@/lib/key';
import { Button, Choices, CopyAs, EmptyState, NativeSelect, Panel, Problems, SegmentedControl, TextInput, Tick } from '@/ui';
import { dropDraft, loadDraft, saveDraft } from './draft';
import { deployedRows, emptyForm, emptyNode, exactly, inputOf, missing, nodeName, ofAny, ofCluster, ofNode, ownErrors, readable, redundancyOf, resized, sizes, type ClusterForm, type Said } from './form';
import { handoffNewCluster } from './handoff';
import classes from './NewClusterPage.module.css';
import { NodeEditor, ServerFields } from './NodeEditor';
import { PlanPanel } from './PlanPanel';
import { usePlan } from './usePlan';

/** Orders a cluster, or more nodes for one: a form, what would become of it, and only then the order. */
export function NewClusterPage() {
  const { join } = useSearch({ from: '/clusters/new' });
  const operator = useMay('operator');
  const title = join === undefined ? 'New cluster' : 'More nodes for a cluster';
  useTitle(title);
  return (
    <>
      <nav aria-label="Breadcrumb" className={classes.crumbs}>
        <Link to="/clusters">Clusters</Link>
        <span aria-hidden="true">/</span>
        <span aria-current="page">{title}</span>
      </nav>
      <h1 className={classes.title}>{title}</h1>
      {operator ? (
        <Ordering key={join ?? ''} join={join} />
      ) : (
        <EmptyState title="You need the operator role to make a cluster">
          <p>Whoever made your sign-in link can make one with that role.</p>
        </EmptyState>
      )}
    </>
  );
}

/** Clusters that a node can be added to, as far as the list tells; the server decides. */
function useJoinable(ask: boolean): readonly ClusterRowFragment[] {
  const client = useApolloClient();
  const [found, setFound] = useState<readonly ClusterRowFragment[]>([]);
  useEffect(() => {
    if (!ask) return;
    let over = false;
    client.query({ query: ClustersDocument, variables: { first: 200, filter: { states: ['DEPLOYED', 'VALIDATING', 'GROWING', 'BLOCKED'] } }, fetchPolicy: 'no-cache' }).then(
      ({ data }) => {
        if (!over && data !== undefined) setFound(data.clusters.nodes.filter(({ type, formedAt, barrier }) => type === 'MULTI_NODE' && formedAt !== null && barrier.total < 4));
      },
      () => undefined, // The plan says so when the server is away.
    );
    return () => {
      over = true;
    };
  }, [client, ask]);
  return found;
}

function Ordering({ join }: { join: string | undefined }) {
  const navigate = useNavigate();
  const fleet = useFleet();
  const machines = useMemo(() => rackRows(fleet.rows.values()), [fleet]);
  const deployed = useMemo(() => deployedRows(fleet.rows.values()), [fleet]);
  const [form, setForm] = useState<ClusterForm>(() => (join === undefined ? (loadDraft() ?? emptyForm) : { ...emptyForm, operation: 'JOIN_EXISTING', clusterId: join, nodes: [emptyNode] }));
  const joins = form.operation === 'JOIN_EXISTING';
  const joinable = useJoinable(joins);
  const target = joinable.find(({ id }) => id === form.clusterId);
  const orders = form.nodes.some(({ source }) => source === 'IBM_VPC');
  const offer = useQuery(OfferDocument, orders ? { variables: { provider: 'IBM_VPC' as const }, fetchPolicy: 'cache-and-network', notifyOnNetworkStatusChange: true } : skipToken);
  const installers = useQuery(InstallersDocument, { fetchPolicy: 'cache-and-network' }).data?.artifacts ?? [];
  // One key for one filled-in form: asking for it twice makes one cluster.
  const [key, setKey] = useState(uniqueKey);
  const deploy = useVerb(DeployClusterDocument);
  const wants = missing(form);
  // A node that joins is called after the cluster and the place that it gets.
  const first = joins ? (target?.barrier.total ?? 0) + 1 : 1;
  const named = joins && target !== undefined ? { ...form, name: target.name } : form;
  const own = ownErrors(form);
  const planned = usePlan(wants.length === 0 && own.length === 0 ? inputOf(named, undefined, first) : null);
  useEffect(() => {
    if (join !== undefined) return;
    if (form === emptyForm) dropDraft();
    else saveDraft(form);
  }, [form, join]);

  const change = (next: ClusterForm): void => {
    setForm(next);
    setKey(uniqueKey());
    deploy.forget();
  };
  const send = async (): Promise<void> => {
    const answer = await deploy.run({ input: inputOf(named, joins ? undefined : key, first) });
    if (!answer?.cluster) return;
    announce(joins ? 'The nodes were accepted' : 'The cluster was accepted');
    dropDraft();
    void navigate({ to: '/clusters/$clusterId', params: { clusterId: answer.cluster.id } });
  };
  const said = [...own, ...saidOf(planned.fresh && wants.length === 0 ? planned.plan : null, deploy.problems)];
  return (
    <div className={classes.columns}>
      <form
        className={classes.left}
        aria-label={joins ? 'More nodes for a cluster' : 'New cluster'}
        onSubmit={(event) => {
          event.preventDefault();
          planned.again();
        }}
      >
        <Panel
          title={joins ? 'Which cluster' : 'The cluster'}
          actions={
            <>
              <CopyAs size="compact-xs" handoff={handoffNewCluster(globalThis.location.origin, inputOf(named, undefined, first))} />
              <Button
                size="compact-xs"
                variant="default"
                onClick={() => change(join === undefined ? emptyForm : { ...emptyForm, operation: 'JOIN_EXISTING', clusterId: join, nodes: [emptyNode] })}
              >
                Clear the form
              </Button>
            </>
          }
        >
          <div className={classes.form}>
            {join === undefined ? (
              <Choices
                legend="What to do"
                value={form.operation}
                onChange={(operation) => change(operation === 'JOIN_EXISTING' ? { ...form, operation, nodes: form.nodes.slice(0, 1) } : resized({ ...form, operation }, 3))}
                choices={[
                  { value: 'CREATE_NEW', label: 'Make a new cluster', description: 'Of 1, 3 or 4 nodes.' },
                  { value: 'JOIN_EXISTING', label: 'Add a node to one that is there', description: 'A cluster of three takes a fourth.' },
                ]}
              />
            ) : null}
            {joins ? <Target form={form} joinable={joinable} error={ofCluster(said, 'clusterId')} onChange={change} /> : <Facts form={form} said={said} onChange={change} />}
          </div>
        </Panel>
        {orders ? (
          <Panel title="Servers that are ordered, all alike">
            <div className={classes.form}>
              {offer.error && !offer.loading ? (
                <div className={classes.form}>
                  <Problems title="What can be ordered could not be found out" problems={problemsOf(offer.error)} />
                  <Button size="xs" variant="default" onClick={() => void offer.refetch().catch(() => undefined)}>
                    Try again
                  </Button>
                </div>
              ) : null}
              <ServerFields order={form.common} set={(part) => change({ ...form, common: { ...form.common, ...part } })} offer={offer.data?.providerOffer ?? null} wrong={(...path) => ofAny(said, ...path)} />
            </div>
          </Panel>
        ) : null}
        <Panel title="Nodes">
          <div className={classes.form}>
            {joins ? null : <Size form={form} onChange={change} />}
            {exactly(said, 'nodes') === undefined ? null : <p className={classes.wrong}>{exactly(said, 'nodes')}</p>}
            {form.nodes.map((node, i) => {
              const name = nodeName(named, node, i, first);
              const whole = exactly(said, 'nodes', String(i));
              return (
                // A node has no identity but its place until it is ordered.
                <fieldset key={i} className={classes.node} data-wrong={said.some(({ field }) => field?.[0] === 'nodes' && field[1] === String(i)) || undefined}>
                  <legend>
                    Node {i + first}
                    {i === 0 && !joins ? <span> creates the cluster</span> : null}
                  </legend>
                  <NodeEditor
                    node={node}
                    defaultName={name}
                    shared
                    offer={offer.data?.providerOffer ?? null}
                    machines={machines}
                    deployed={deployed}
                    wrong={(...path) => ofNode(said, i, ...path)}
                    said={whole}
                    onChange={(next) => change({ ...form, nodes: form.nodes.map((each, at) => (at === i ? next : each)) })}
                  />
                </fieldset>
              );
            })}
            <details className={classes.more} open={form.common.installer !== '' || form.maintenance || undefined}>
              <summary>Installer, maintenance</summary>
              <div className={classes.form}>
                <NativeSelect label="Installer" description="The same for all: a cluster has one version" value={form.common.installer} error={ofAny(said, 'installer')} onChange={(event) => change({ ...form, common: { ...form.common, installer: event.currentTarget.value } })}>
                  <option value="">The server’s own setting</option>
                  {[...new Set([...installers.filter(({ kind, state }) => kind === 'installer' && state === 'READY').map(({ name }) => name), ...(form.common.installer === '' ? [] : [form.common.installer])])].map((name) => (
                    <option key={name} value={name}>
                      {name}
                    </option>
                  ))}
                </NativeSelect>
                <Tick label="Begin in maintenance" description="The clocks of new nodes stand: no deadline acts until the maintenance ends." checked={form.maintenance} onChange={(maintenance) => change({ ...form, maintenance })} />
              </div>
            </details>
          </div>
        </Panel>
      </form>
      <div className={classes.beside}>
        <PlanPanel {...planned} missing={wants} wrong={own.length > 0} joins={joins} ordering={deploy.busy} refused={deploy.problems} does={joins ? 'Add the node' : 'Deploy the cluster'} onOrder={() => void send()} />
      </div>
    </div>
  );
}

/** What the last plan, or the refusal of the order, said of fields. */
function saidOf(plan: ReturnType<typeof usePlan>['plan'], refused: Said): Said {
  if (plan === null) return refused;
  const failing = [...plan.checks.map(readable), ...plan.nodes.flatMap(({ checks }) => checks)].filter(({ passed, severity }) => !passed && severity === 'ERROR');
  return [...refused, ...plan.errors, ...failing];
}

function Target({ form, joinable, error, onChange }: { form: ClusterForm; joinable: readonly ClusterRowFragment[]; error: string | undefined; onChange: (form: ClusterForm) => void }) {
  const known = joinable.some(({ id }) => id === form.clusterId);
  return (
    <NativeSelect label="Cluster" description="Formed clusters with room for another node" value={form.clusterId} error={error} onChange={(event) => onChange({ ...form, clusterId: event.currentTarget.value })}>
      <option value="">{joinable.length === 0 ? 'No cluster has room' : 'Choose a cluster'}</option>
      {known || form.clusterId === '' ? null : <option value={form.clusterId}>{form.clusterId}</option>}
      {joinable.map(({ id, name, barrier }) => (
        <option key={id} value={id}>
          {`${name} · ${barrier.total} nodes`}
        </option>
      ))}
    </NativeSelect>
  );
}

function Facts({ form, said, onChange }: { form: ClusterForm; said: Said; onChange: (form: ClusterForm) => void }) {
  const set = (part: Partial<ClusterForm>): void => onChange({ ...form, ...part });
  return (
    <>
      <div className={classes.pair}>
        <TextInput label="Name of the cluster" description="Letters, digits, . - _; at most 75" autoComplete="off" autoCapitalize="off" spellCheck={false} maxLength={75} value={form.name} error={ofCluster(said, 'name')} onChange={(event) => set({ name: event.currentTarget.value })} />
        <TextInput label="Cluster address" description="At which Prism answers; may be empty" spellCheck={false} value={form.address} error={ofCluster(said, 'address')} onChange={(event) => set({ address: event.currentTarget.value })} />
      </div>
      <div className={classes.pair}>
        <TextInput label="DNS servers" description="Addresses, apart by commas" spellCheck={false} value={form.dnsServers} error={ofCluster(said, 'dnsServers')} onChange={(event) => set({ dnsServers: event.currentTarget.value })} />
        <TextInput label="Time servers" description="Names or addresses, apart by commas" spellCheck={false} value={form.ntpServers} error={ofCluster(said, 'ntpServers')} onChange={(event) => set({ ntpServers: event.currentTarget.value })} />
      </div>
      <Tick label="Do not search by multicast" description="For networks that carry none: the controller VMs are named to each other." checked={form.skipDiscovery} onChange={(skipDiscovery) => set({ skipDiscovery })} />
    </>
  );
}

function Size({ form, onChange }: { form: ClusterForm; onChange: (form: ClusterForm) => void }) {
  return (
    <div className={classes.size}>
      <span className={classes.sizeLabel} aria-hidden="true">
        How many
      </span>
      <SegmentedControl size="xs" aria-label="How many nodes" value={String(form.nodes.length)} onChange={(value) => onChange(resized(form, Number(value)))} data={sizes.map((size) => ({ value: String(size), label: size === 1 ? '1 node' : `${size} nodes` }))} />
      <span className={classes.quiet}>{form.nodes.length === 1 ? 'Redundancy factor 1; it cannot be grown.' : `Redundancy factor ${redundancyOf(form.nodes.length)}: each piece of data is kept twice.`}</span>
    </div>
  );
}
