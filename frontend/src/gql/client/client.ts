import { ApolloClient, ApolloLink, HttpLink } from '@apollo/client';
import { ErrorLink } from '@apollo/client/link/error';
import { OperationTypeNode } from 'graphql';
import { map } from 'rxjs';

import { createCache } from './cache';

/** What the client needs from its surroundings. */
export interface ClientOptions {
  /** Carries the subscriptions. */
  socket: ApolloLink;
  /** Called when the server no longer knows who is asking. */
  onSignedOut: () => void;
  /** For tests; the browser's own otherwise. */
  fetch?: typeof fetch;
}

/** What whoever asks may put into the context of an operation. */
export interface RequestContext {
  /** Is told the id of the request, also when what comes back are refusals in the data. */
  onRequestId?: (id: string) => void;
}

/** Whether an error says that the caller is not, or no longer, signed in. */
export function isUnauthenticated(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { statusCode, errors } = error as { statusCode?: number; errors?: readonly { extensions?: { code?: unknown } }[] };
  return statusCode === 401 || (errors ?? []).some((each) => String(each.extensions?.code).toLowerCase() === 'unauthenticated');
}

/** Builds the one client of the app: queries over HTTP, subscriptions over the socket. */
export function createClient({ socket, onSignedOut, fetch }: ClientOptions): ApolloClient {
  const http = new HttpLink({
    uri: '/graphql',
    credentials: 'same-origin',
    headers: { accept: 'application/graphql-response+json, application/json' },
    ...(fetch ? { fetch } : {}),
  });
  const signedOut = new ErrorLink(({ error }) => {
    if (isUnauthenticated(error)) onSignedOut();
  });
  // The request's id is in a header; whoever shows a refusal shows it, too.
  const identified = new ApolloLink((operation, forward) =>
    forward(operation).pipe(
      map((result) => {
        const { response, onRequestId } = operation.getContext() as { response?: Response } & RequestContext;
        const requestId = response?.headers.get('x-request-id');
        if (requestId != null) onRequestId?.(requestId);
        return requestId == null ? result : { ...result, extensions: { ...result.extensions, requestId } };
      }),
    ),
  );
  return new ApolloClient({
    cache: createCache(),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      socket,
      ApolloLink.from([signedOut, identified, http]),
    ),
    queryDeduplication: true,
    devtools: { enabled: false },
  });
}
