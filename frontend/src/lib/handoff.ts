import type { DeploymentEventFilter } from '@/gql/generated/graphql';

/** The same in the words of programs: what a page shows, for a terminal or a script. */
export interface Handoff {
  /** What the copied commands do. */
  title: string;
  /** A call of the REST interface, or of GraphQL where REST has no such thing. */
  curl: string;
  /** A document of GraphQL, ready to be sent. */
  graphql: string;
  /** A command of slipway. */
  cli: string;
}

/** A word for a POSIX shell: bare when nothing in it is special. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

const bearer = '-H "Authorization: Bearer $SLIPWAY_TOKEN"';

/** A call by GET, with the token of whoever runs it. */
export function curlGet(origin: string, path: string): string {
  return `curl -sS ${bearer} ${shellWord(origin + path)}`;
}

/** A call of GraphQL. */
export function curlGraphql(origin: string, query: string): string {
  return `curl -sS ${bearer} -H 'Content-Type: application/json' \\\n  --data ${shellWord(JSON.stringify({ query }))} ${shellWord(`${origin}/graphql`)}`;
}

const value = (text: string): string => JSON.stringify(text);

/** A node and where its deployment stands. */
export function handoffNode(origin: string, node: { id: string; name: string }): Handoff {
  return {
    title: node.name,
    curl: curlGet(origin, `/api/status/nodes/${node.id}`),
    graphql: `query {
  bareMetalNode(by: { name: ${value(node.name)} }) {
    id name state managementIp
    currentDeployment { id number attempt phaseKey progress estimatedFinishAt failure { code message } }
  }
}`,
    cli: `slipway watch ${shellWord(node.name)}`,
  };
}

/** A deployment with its phases. */
export function handoffDeployment(origin: string, deployment: { id: string; node: { id: string } }): Handoff {
  return {
    title: `Deployment ${deployment.id}`,
    curl: curlGet(origin, `/api/status/history/${deployment.node.id}?deployment=${deployment.id}&include=refused`),
    graphql: `query {
  deployment(id: ${value(deployment.id)}) {
    number attempt state phaseKey progress failure { phaseKey code message hint }
    phases { phaseKey attempt status enteredAt startedAt finishedAt }
  }
}`,
    cli: `slipway watch ${shellWord(deployment.id)}`,
  };
}

/** The fleet, or the part of it with these words and states. */
export function handoffFleet(origin: string, { text, states }: { text: string; states: readonly string[] }): Handoff {
  const filter = [text === '' ? '' : `text: ${value(text)}`, states.length === 0 ? '' : `states: [${states.join(', ')}]`].filter((part) => part !== '').join(', ');
  const query = `query {
  bareMetalNodes(first: 200${filter === '' ? '' : `, filter: { ${filter} }`}) {
    nodes { id name state managementIp serverProfile currentDeployment { phaseKey progress } }
    pageInfo { hasNextPage endCursor }
  }
}`;
  return { title: 'Nodes', curl: curlGraphql(origin, query), graphql: query, cli: text === '' ? 'slipway nodes' : `slipway nodes ${shellWord(text)}` };
}

/** A value as GraphQL writes it: names of members are bare, and so are those of enumerations. */
function literal(of: unknown, member = ''): string {
  if (Array.isArray(of)) return `[${of.map((each) => literal(each, member)).join(', ')}]`;
  if (typeof of === 'object' && of !== null) {
    return `{ ${Object.entries(of)
      .map(([name, each]) => `${name}: ${literal(each, name)}`)
      .join(', ')} }`;
  }
  return typeof of === 'string' && ['phases', 'statuses', 'sources'].includes(member) ? of : JSON.stringify(of);
}

/** The history of the fleet, or the part of it that matches. */
export function handoffHistory(origin: string, filter: DeploymentEventFilter): Handoff {
  const query = `query {
  recentEvents(first: 200, filter: ${literal(filter)}) {
    nodes { cursor recordedAt phaseKey status outcome message bareMetalNode { name } deployment { number } }
    pageInfo { hasNextPage endCursor }
  }
}`;
  const [deployment] = filter.deploymentIds ?? [];
  const [node] = filter.nodeIds ?? [];
  return { title: 'History', curl: curlGraphql(origin, query), graphql: query, cli: `slipway watch ${shellWord(String(deployment ?? node ?? 'NODE'))}` };
}
