import { CombinedGraphQLErrors, type ApolloClient, type OperationVariables, type TypedDocumentNode } from '@apollo/client';

import { FleetNowDocument } from '@/gql/generated/graphql';
import type { Ask, ChannelSink, StreamedMessage } from './channel';

/** How often the server is asked to show that the stream is alive. */
export const heartbeatSeconds = 15;

/** Subscribes outside React; every message goes to the sink, whatever ends the subscription ends it once. */
export function subscribe<TData, TVariables extends OperationVariables>(
  client: ApolloClient,
  query: TypedDocumentNode<TData, TVariables>,
  variables: TVariables,
  pick: (data: TData) => StreamedMessage,
  sink: ChannelSink,
): () => void {
  let over = false;
  const end = (error: unknown): void => {
    if (over) return;
    over = true;
    sink.ended(error);
  };
  const subscription = client
    // The stream writes the cache itself, in batches.
    .subscribe<TData>({ query, variables, fetchPolicy: 'no-cache', context: { queryDeduplication: false } })
    .subscribe({
      next: ({ data, error }) => {
        if (over) return;
        if (error) end(error);
        else if (data) sink.message(pick(data));
      },
      error: end,
      complete: () => end(null),
    });
  return () => {
    over = true;
    subscription.unsubscribe();
  };
}

/** A query of a poll that has no answer after this long is given up, ms. */
const answerLimit = 15_000;

/** For polls: an answer is whole and comes in time, or it is an error. */
export function asking(client: ApolloClient): Ask {
  return async <TData, TVariables extends OperationVariables>(query: TypedDocumentNode<TData, TVariables>, variables: TVariables) => {
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(new Error('no answer')), answerLimit);
    try {
      const options = { query, variables, fetchPolicy: 'no-cache', context: { fetchOptions: { signal: patience.signal } } };
      const { data, error } = await client.query(options as ApolloClient.QueryOptions<TData, TVariables>);
      if (error instanceof Error) throw error;
      if (data === undefined) throw new Error('the answer has no data');
      return data as TData;
    } finally {
      clearTimeout(timer);
    }
  };
}

/** The server did answer, if only with why it cannot tell. */
export function wasAnswered(error: unknown): boolean {
  return CombinedGraphQLErrors.is(error);
}

/**
 * The polling twin of a StreamReset: when the server no longer has what `read`
 * asks for, `reset` is given the present place in the stream instead.
 */
export async function orReset(ask: Ask, read: () => Promise<void>, reset: (cursor: string) => void): Promise<void> {
  try {
    await read();
  } catch (error) {
    const past = CombinedGraphQLErrors.is(error) && error.errors.some(({ extensions }) => String(extensions?.code).toLowerCase() === 'out_of_range');
    if (!past) throw error;
    const { fleetSummary } = await ask(FleetNowDocument, {});
    reset(fleetSummary.cursor);
  }
}
