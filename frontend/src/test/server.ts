import type { ApolloClient } from '@apollo/client';
import { ApolloLink, Observable } from '@apollo/client';

import { createClient } from '@/gql/client/client';

/** A request as the server sees it. */
export interface Asked {
  operationName: string;
  variables: Record<string, unknown>;
}

/** What it answers: data, errors of the request, or nothing at all. */
export type Answered = { data: unknown } | { errors: { message: string; path?: (string | number)[]; extensions: Record<string, unknown> }[] } | { status: number } | 'unreachable';

/** A client whose server is played by the test; it writes down what it was asked. */
export function playServer(answer: (asked: Asked) => Answered | Promise<Answered>): { client: ApolloClient; asked: Asked[] } {
  const asked: Asked[] = [];
  const fetch = async (_: unknown, init?: RequestInit): Promise<Response> => {
    const request = JSON.parse(init?.body as string) as Asked;
    asked.push(request);
    const answered = await answer(request);
    if (answered === 'unreachable') throw new TypeError('network down');
    const headers = { 'content-type': 'application/graphql-response+json', 'x-request-id': `req-${asked.length}` };
    if ('status' in answered) return new Response('Bad Gateway', { status: answered.status, headers: { ...headers, 'content-type': 'text/plain' } });
    return new Response(JSON.stringify('data' in answered ? answered : { ...answered, data: null }), { status: 200, headers });
  };
  const nothing = new ApolloLink(() => new Observable(() => undefined));
  return { client: createClient({ socket: nothing, onSignedOut: () => undefined, fetch }), asked };
}
