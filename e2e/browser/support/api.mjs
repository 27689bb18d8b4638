// What the server itself says: a plain client of its GraphQL API.

const fleetQuery = `query {
  bareMetalNodes(first: 200) {
    nodes {
      id
      name
      state
      currentDeployment { id state phase progress failure { phase code message hint } }
    }
  }
}`;

const deploymentQuery = `query ($id: ID!) {
  deployment(id: $id) {
    state
    phases { phase label attempt status }
    events(first: 200) {
      nodes { sequence phase status message outcome }
      pageInfo { hasNextPage }
    }
  }
}`;

/** Calls the API with a token, not through any browser. */
export class Api {
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  async query(query, variables = {}) {
    const answer = await fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.token}` },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = await answer.json();
    if (!answer.ok || errors) throw new Error(`the API answered ${answer.status}: ${JSON.stringify(errors)}`);
    return data;
  }

  /** Every node by name. */
  async fleet() {
    const { bareMetalNodes } = await this.query(fleetQuery);
    return new Map(bareMetalNodes.nodes.map((node) => [node.name, node]));
  }

  /** The deployment of a node: its phases, and its events, the oldest first. */
  async deploymentOf(name) {
    const node = (await this.fleet()).get(name);
    if (!node?.currentDeployment) throw new Error(`${name} has no deployment`);
    const { deployment } = await this.query(deploymentQuery, { id: node.currentDeployment.id });
    if (deployment.events.pageInfo.hasNextPage) throw new Error(`${name} has more events than one page`);
    return { ...deployment, nodeId: node.id, events: deployment.events.nodes };
  }
}
