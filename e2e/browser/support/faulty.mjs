// A server that answers every question of a page with an error, by POST and by
// websocket alike; the rest (the app's files, the session) is the real one's.

const failure = { message: 'the database cannot be read', extensions: { code: 'INTERNAL', requestId: '0badc0ffee0badc0ffee0bad' } };

/** Has every question of the page refused, and every connection broken as soon as it is made. */
export async function refuseEverything(page) {
  await page.route('**/graphql', (route) => route.fulfill({ status: 503, contentType: 'application/json', json: { errors: [failure] } }));
  await page.routeWebSocket(/\/graphql$/, (socket) => void socket.close({ code: 1011 }));
}

/** Has everything that the page asks of GraphQL fail from now on. */
export async function failQuestions(page) {
  await page.route('**/graphql', (route) => (route.request().method() === 'POST' ? route.fulfill({ status: 200, contentType: 'application/json', json: { errors: [failure], data: null } }) : route.continue()));
  await page.routeWebSocket(/\/graphql$/, (socket) => {
    socket.onMessage((text) => {
      const { type, id } = JSON.parse(text);
      if (type === 'connection_init') socket.send(JSON.stringify({ type: 'connection_ack' }));
      if (type === 'ping') socket.send(JSON.stringify({ type: 'pong' }));
      if (type === 'subscribe') socket.send(JSON.stringify({ type: 'error', id, payload: [failure] }));
    });
  });
}
