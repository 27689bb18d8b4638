// The simulated cloud as somebody with access to the account: faults, and what
// there is.

async function call(url, method = 'GET', body) {
  const answer = await fetch(url, { method, ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url} answered ${answer.status}: ${text}`);
  return text === '' ? null : JSON.parse(text);
}

/** The cloud of a system. */
export class Cloud {
  constructor(url) {
    this.url = url;
  }

  /** Makes something go wrong from now on. */
  fault(rule) {
    return call(`${this.url}/_sim/faults`, 'POST', rule);
  }

  /** Nothing goes wrong any more. */
  mend() {
    return call(`${this.url}/_sim/faults`, 'DELETE');
  }

  /** Names of the servers that there are. */
  async servers() {
    const { bare_metal_servers: servers } = await call(this.api('bare_metal_servers'));
    return servers.map(({ name }) => name);
  }

  /** Names of the network interfaces that there are. */
  async interfaces() {
    const { virtual_network_interfaces: interfaces } = await call(this.api('virtual_network_interfaces'));
    return interfaces.map(({ name }) => name);
  }

  /** Makes a network interface that nobody asked for. */
  async makeInterface(name) {
    const { subnets } = await call(this.api('subnets'));
    return call(this.api('virtual_network_interfaces'), 'POST', { name, subnet: { id: subnets[0].id } });
  }

  api(path) {
    return `${this.url}/v1/${path}?version=2026-11-17&generation=2`;
  }
}
