import type { ClusterFilter, DeployClusterInput } from '@/gql/generated/graphql';
import { curlGet, curlGraphql, shellWord, type Handoff } from '@/lib/handoff';

// Members whose values are enumerations, which GraphQL writes bare.
const enumerations: ReadonlySet<string> = new Set(['operation', 'type', 'states', 'bootFrom', 'bootMode', 'mode']);

/** A value as GraphQL writes it; what is not set is left out. */
function literal(of: unknown, member = ''): string {
  if (Array.isArray(of)) return `[${of.map((each) => literal(each, member)).join(', ')}]`;
  if (typeof of === 'object' && of !== null) {
    return `{ ${Object.entries(of)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => `${name}: ${literal(value, name)}`)
      .join(', ')} }`;
  }
  return typeof of === 'string' && enumerations.has(member) ? of : JSON.stringify(of);
}

/** A cluster and where each of its nodes stands. */
export function handoffCluster(origin: string, { id, name }: { id: string; name: string }): Handoff {
  const graphql = `query {
  cluster(by: { id: ${JSON.stringify(id)} }) {
    name state progress barrier { ready total waitingFor { why } }
    members { position state ready waitsFor choices node { id name } deployment { id phaseKey state failure { code message } } }
    formation { status action message hint evidence }
    health { ok checks { name address ok message } }
  }
}`;
  return { title: `Cluster ${name}`, curl: curlGet(origin, `/api/config/clusters/${id}`), graphql, cli: `slipway cluster show ${shellWord(id)}` };
}

/** Clusters, or exactly those that are shown. */
export function handoffClusters(origin: string, filter: ClusterFilter): Handoff {
  const graphql = `query {
  clusters(first: 200${Object.keys(filter).length === 0 ? '' : `, filter: ${literal(filter)}`}) {
    nodes { id name state progress barrier { ready total } requestedBy { name } createdAt }
    pageInfo { hasNextPage endCursor }
  }
}`;
  // A text that begins as a flag would be one.
  const text = filter.text == null || filter.text === '' ? [] : [...(filter.text.startsWith('-') ? ['--'] : []), shellWord(filter.text)];
  return { title: 'Clusters', curl: curlGraphql(origin, graphql), graphql, cli: ['slipway cluster list', ...(filter.states ?? []).map((state) => `--status=${state.toLowerCase()}`), ...text].join(' ') };
}

/** The order of a cluster as it is filled in. */
export function handoffNewCluster(origin: string, input: DeployClusterInput): Handoff {
  const graphql = `mutation {
  deployCluster(input: ${literal(input)}) {
    cluster { id state }
    errors { code message field }
  }
}`;
  return { title: 'This cluster', curl: curlGraphql(origin, graphql), graphql, cli: null };
}
