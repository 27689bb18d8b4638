import type { ApolloClient } from '@apollo/client';
import { createContext, useContext } from 'react';

import { createClient } from '@/gql/client/client';
import { Connection, Stream } from '@/stream';
import { checkSession, sessionEnded } from './session';

/** What lives as long as a session: the client with its cache, and the stream. */
export interface Services {
  client: ApolloClient;
  stream: Stream;
}

/** Builds them; nothing is connected until the stream is started. */
export function createServices(): Services {
  const url = new URL('/graphql', globalThis.location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const connection = new Connection({ url: url.href });
  const client = createClient({ socket: connection.link, onSignedOut: sessionEnded });
  const stream = new Stream({ client, connection, checkSession: () => void checkSession() });
  return { client, stream };
}

const StreamContext = createContext<Stream | null>(null);

export const StreamProvider = StreamContext.Provider;

/** The app's stream. */
export function useStream(): Stream {
  const stream = useContext(StreamContext);
  if (!stream) throw new Error('useStream is used outside of a session');
  return stream;
}
