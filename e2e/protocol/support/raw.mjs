// A websocket without a protocol's client, for what no client would do.
import { once } from 'node:events';

import { Mailbox, patience, withDeadline } from './mailbox.mjs';
import { WebSocket } from './slipway.mjs';

export class Raw {
  messages = new Mailbox();

  static async open(url, protocol = 'graphql-transport-ws') {
    const raw = new Raw();
    raw.socket = new WebSocket(url, protocol);
    raw.closed = new Promise((resolve) => raw.socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() })));
    raw.socket.on('message', (data) => {
      const message = JSON.parse(data.toString());
      if (message.type === 'ping') raw.send({ type: 'pong' });
      else raw.messages.put(message);
    });
    await withDeadline('the upgrade', once(raw.socket, 'open'));
    return raw;
  }

  /** Opened and acknowledged. */
  static async ready(url, token) {
    const raw = await Raw.open(url);
    raw.send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
    const answer = await Promise.race([raw.messages.take('connection_ack'), raw.closed]);
    if (answer.type !== 'connection_ack') throw new Error(`${JSON.stringify(answer)} in place of connection_ack`);
    return raw;
  }

  /** Sends a value as JSON, or a string as it is. */
  send(message) {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** How the server closes it. */
  close(timeout = patience) {
    return withDeadline('the close', this.closed, timeout);
  }

  end() {
    this.socket.terminate();
  }
}
