// A stand-in for Slipway while the app is worked on: the real schema, made-up
// machines. Not part of the product; nothing of it is built or served.
//
//   node dev/mock-server.mjs            40 machines on http://127.0.0.1:8080/monitoring
//   MOCK_NODES=10000 MOCK_RATE=100 …    more machines, changes a second
import { createServer } from 'node:http';
import { readFile, readdir } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { buildSchema, graphql } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';

import { createFleet } from './mock-fleet.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const dist = join(here, '../dist');
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' };

/** The strictest policy that the app has to live with. */
export const contentPolicy = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'; form-action 'self'";

async function loadSchema() {
  const folder = join(here, '../../graph/schema');
  const files = (await readdir(folder)).filter((name) => name.endsWith('.graphqls'));
  return buildSchema((await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')))).join('\n'));
}

const body = async (request) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  return JSON.parse(text || '{}');
};

/** Starts it; `signedIn` false makes everybody sign in with the code "demo" first. */
export async function startMock({ port = 8080, nodes = 40, rate = 4, seed = 7, signedIn = true, role = 'admin' } = {}) {
  const schema = await loadSchema();
  const fleet = createFleet({ nodes, seed });
  let session = signedIn;
  let codeLeft = true;
  const counts = { http: 0, connects: 0 };

  const send = (response, status, value, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', 'x-request-id': `mock-${counts.http}`, ...headers });
    response.end(value === undefined ? undefined : JSON.stringify(value));
  };

  async function handle(request, response) {
    const { pathname } = new URL(request.url, 'http://mock');
    if (pathname === '/api/session') return handleSession(request, response);
    if (pathname === '/graphql') {
      counts.http += 1;
      if (!session) return send(response, 401, { error: 'sign in first', code: 'unauthenticated' });
      const { query, variables, operationName } = await body(request);
      return send(response, 200, await graphql({ schema, source: query, rootValue: fleet.root, variableValues: variables, operationName }));
    }
    if (pathname.startsWith('/monitoring')) return serveApp(pathname, response);
    response.writeHead(302, { location: '/monitoring' }).end();
  }

  async function handleSession(request, response) {
    if (request.method === 'POST') {
      const { code } = await body(request);
      if (code !== 'demo' || !codeLeft) return send(response, 401, { error: 'used', code: 'unauthenticated' });
      codeLeft = false;
      session = true;
      return response.writeHead(204).end();
    }
    if (request.method === 'DELETE') {
      session = false;
      return response.writeHead(204).end();
    }
    if (!session) return send(response, 401, { error: 'not signed in', code: 'unauthenticated' });
    return send(response, 200, { name: 'ada', role, expires_at: new Date(Date.now() + 36e5).toISOString() });
  }

  async function serveApp(pathname, response) {
    const path = normalize(pathname.replace(/^\/monitoring\/?/, ''));
    const file = path.startsWith('assets/') ? path : 'index.html';
    try {
      const content = await readFile(join(dist, file));
      response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream', 'content-security-policy': contentPolicy });
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  }

  const server = createServer((request, response) => void handle(request, response).catch((error) => send(response, 500, { error: String(error) })));
  const sockets = new WebSocketServer({ noServer: true });
  let refuse = false;
  server.on('upgrade', (request, socket, head) => {
    counts.connects += 1;
    if (refuse || !session) return socket.end('HTTP/1.1 503 Service Unavailable\r\n\r\n');
    sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit('connection', ws, request));
  });
  useServer({ schema, roots: { subscription: fleet.subscription, query: fleet.root } }, sockets);
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  const ticking = rate > 0 ? setInterval(() => fleet.step(), 1000 / rate) : undefined;

  return {
    url: `http://127.0.0.1:${server.address().port}/monitoring`,
    fleet,
    counts,
    /** Closes all sockets and, if asked, refuses new ones. */
    drop: (andRefuse = false) => {
      refuse = andRefuse;
      for (const ws of sockets.clients) ws.terminate();
    },
    accept: () => (refuse = false),
    close: async () => {
      clearInterval(ticking);
      for (const ws of sockets.clients) ws.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await startMock({ port: Number(process.env.PORT ?? 8080), nodes: Number(process.env.MOCK_NODES ?? 40), rate: Number(process.env.MOCK_RATE ?? 4) });
  console.log(`mock server: ${url}`);
}
