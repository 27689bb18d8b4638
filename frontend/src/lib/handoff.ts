import type { BareMetalNodeFilter, DeploymentEventFilter } from '@/gql/generated/graphql';
import { eventsExport, nodesExport } from './exports';

/** The same in the words of programs: what a page shows, for a terminal or a script. */
export interface Handoff {
  /** What the copied commands do. */
  title: string;
  /** A call of the REST interface, or of GraphQL where REST has no such thing. */
  curl: string;
  /** A document of GraphQL, ready to be sent. */
  graphql: string;
  /** A command of slipway; null where none says the same. */
  cli: string | null;
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

// Lists of these members are enumerations, which GraphQL writes bare.
const enumerations: ReadonlySet<string> = new Set(['phases', 'statuses', 'sources', 'states', 'groups', 'failurePhases']);

/** A value as GraphQL writes it: names of members are bare, and so are those of enumerations. */
function literal(of: unknown, member = ''): string {
  if (Array.isArray(of)) return `[${of.map((each) => literal(each, member)).join(', ')}]`;
  if (typeof of === 'object' && of !== null) {
    return `{ ${Object.entries(of)
      .map(([name, each]) => `${name}: ${literal(each, name)}`)
      .join(', ')} }`;
  }
  return typeof of === 'string' && enumerations.has(member) ? of : JSON.stringify(of);
}

const isEmpty = (filter: object): boolean => Object.keys(filter).length === 0;

/** The fleet, or exactly the part of it that is shown. */
export function handoffFleet(origin: string, filter: BareMetalNodeFilter): Handoff {
  const graphql = `query {
  bareMetalNodes(first: 200${isEmpty(filter) ? '' : `, filter: ${literal(filter)}`}) {
    nodes { id name state managementIp serverProfile currentDeployment { phaseKey progress failure { phaseKey code message } } }
    pageInfo { hasNextPage endCursor }
  }
}`;
  const lists: [string, readonly string[] | null | undefined][] = [
    ['group', filter.groups?.map((each) => each.toLowerCase())],
    ['phase', filter.phases?.map((each) => each.toLowerCase())],
    ['failure-phase', filter.failurePhases?.map((each) => each.toLowerCase())],
    ['failure-code', filter.failureCodes],
    ['profile', filter.serverProfiles],
    ['cluster', filter.clusterNames],
    ['label', filter.labels?.map(({ key, value: of }) => `${key}=${of}`)],
  ];
  const flags = lists.flatMap(([flag, values]) => (values ?? []).map((each) => shellWord(`--${flag}=${each}`)));
  // A text that begins as a flag would be one.
  const text = filter.text == null || filter.text === '' ? [] : [...(filter.text.startsWith('-') ? ['--'] : []), shellWord(filter.text)];
  return { title: 'Nodes', curl: curlGet(origin, nodesExport(filter, 'ndjson')), graphql, cli: ['slipway nodes', ...flags, ...text].join(' ') };
}

/** The history of the fleet, or exactly the part of it that is shown. */
export function handoffHistory(origin: string, filter: DeploymentEventFilter): Handoff {
  const query = `query {
  recentEvents(first: 200, filter: ${literal(filter)}) {
    nodes { cursor recordedAt phaseKey status outcome message bareMetalNode { name } deployment { number } }
    pageInfo { hasNextPage endCursor }
  }
}`;
  // The command line follows one deployment; it knows no other filter.
  const [only, ...others] = filter.deploymentIds ?? [];
  const narrowed = Object.keys(filter).some((name) => name !== 'deploymentIds' && name !== 'includeRefused');
  return { title: 'History', curl: curlGet(origin, eventsExport(filter, 'ndjson')), graphql: query, cli: only === undefined || others.length > 0 || narrowed ? null : `slipway watch ${shellWord(String(only))}` };
}
