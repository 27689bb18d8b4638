// The simulated cloud as somebody with access to the account: faults, and what
// there is.
import assert from 'node:assert/strict';

import { eventually } from './eventually.mjs';

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

  /** Makes something go wrong from now on; gives what ends it. */
  async fault(rule) {
    const { id } = await call(`${this.url}/_sim/faults`, 'POST', rule);
    return () => call(`${this.url}/_sim/faults/${id}`, 'DELETE');
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

  /**
   * Makes a server that Slipway knows nothing of, in its own network; gives it
   * as it is once it has its address.
   */
  async makeServer(name, profile) {
    const { subnets: [subnet] } = await call(this.api('subnets'));
    const { images: [image] } = await call(this.api('images'));
    const { id } = await call(this.api('bare_metal_servers'), 'POST', {
      name,
      profile: { name: profile },
      zone: { name: subnet.zone.name },
      initialization: { image: { id: image.id }, keys: [] },
      primary_network_attachment: { virtual_network_interface: { subnet: { id: subnet.id } } },
    });
    return eventually(`${name} has its address`, async () => {
      const server = await call(this.api(`bare_metal_servers/${id}`));
      // Until it has one it has this.
      assert.notEqual(server.primary_network_interface?.primary_ip?.address ?? '0.0.0.0', '0.0.0.0', server.status);
      return server;
    });
  }

  api(path) {
    return `${this.url}/v1/${path}?version=2026-11-17&generation=2`;
  }
}
