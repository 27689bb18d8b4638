// A machine of one's own, as far as the server can tell: it asks for its boot
// script from its own address, and reports with the token that it is given.
import { request } from 'node:http';

/** Calls the server from an address of loopback. */
async function call(from, method, url, { headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const call = request(url, { method, headers, localAddress: from }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => (text += part));
      answer.on('end', () => resolve({ status: answer.statusCode, text }));
    });
    call.once('error', reject);
    call.end(body);
  });
}

/** A machine with a MAC address and an address. */
export class RackMachine {
  constructor(server, { name, ip, mac }) {
    Object.assign(this, { server, name, ip, mac });
  }

  /** Loads its boot script; it must be one that installs. */
  async boot() {
    const { text } = await call(this.ip, 'GET', `${this.server}/boot/config?mac=${this.mac}&mgmt_ip=${this.ip}`);
    const token = /slipway\.token=(slr_\S+)/.exec(text)?.[1];
    if (!token) throw new Error(`${this.name} is not installed:\n${text}`);
    this.token = token;
  }

  /** Fetches its configuration, as the install environment does. */
  async fetchConfiguration() {
    const { status, text } = await call(this.ip, 'GET', `${this.server}/boot/server/${this.ip}`, { headers: { authorization: `Bearer ${this.token}` } });
    if (status !== 200) throw new Error(`${this.name}: its configuration is answered ${status}: ${text}`);
    return JSON.parse(text);
  }

  /** Reports on a phase; it must be accepted. */
  async report(phase, status, more = {}) {
    const body = JSON.stringify({ server_ip: this.ip, phase, status, ...more });
    const answer = await call(this.ip, 'POST', `${this.server}/api/status/phase`, { headers: { 'content-type': 'application/json', authorization: `Bearer ${this.token}` }, body });
    if (answer.status !== 200) throw new Error(`${this.name}: ${phase} ${status} is answered ${answer.status}: ${answer.text}`);
  }

  /** Reports phases as begun and done. */
  async through(...phases) {
    for (const phase of phases) {
      await this.report(phase, 'in_progress');
      await this.report(phase, 'success');
    }
  }
}
