import type { ApolloClient, OperationVariables, TypedDocumentNode } from '@apollo/client';

import type { ChannelSink, StreamedMessage } from './channel';

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

/** The data of a query that is of no use in part. */
export function required<T>({ data, error }: { data?: T; error?: unknown }): T {
  if (error instanceof Error) throw error;
  if (data === undefined) throw new Error('the answer has no data');
  return data;
}
