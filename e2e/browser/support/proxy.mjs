// A network between browser and server that can be cut.
import { connect, createServer } from 'node:net';
import { Transform } from 'node:stream';

/** Passes bytes between a port of its own and a server. */
export class Proxy {
  sockets = new Set();
  isCut = false;

  /**
   * @param {string} target the server's URL
   * @param {(bytes: Buffer) => Buffer} [edit] changes what the server says, keeping its length
   */
  static async to(target, edit = (bytes) => bytes) {
    const { hostname, port } = new URL(target);
    const proxy = new Proxy();
    proxy.server = createServer((near) => {
      if (proxy.isCut) {
        near.resetAndDestroy();
        return;
      }
      const far = connect(Number(port), hostname);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ]) {
        proxy.sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          proxy.sockets.delete(one);
          other.destroy();
        });
      }
      near.pipe(far);
      far.pipe(new Transform({ transform: (bytes, _, done) => done(null, edit(bytes)) })).pipe(near);
    });
    await new Promise((resolve, reject) => proxy.server.once('error', reject).listen(0, '127.0.0.1', resolve));
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  /** Breaks every connection; a new one may be made at once. */
  blink() {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  /** Breaks every connection and lets none be made, until mend. */
  cut() {
    this.isCut = true;
    this.blink();
  }

  mend() {
    this.isCut = false;
  }

  async close() {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
