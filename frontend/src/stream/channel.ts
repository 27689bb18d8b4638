import type { ApolloClient, OperationVariables, TypedDocumentNode } from '@apollo/client';

/** One subscription with its polling twin and what to do with what they bring. */
export interface Channel {
  /** For messages to people who read logs. */
  readonly name: string;
  /** Where to resume; null to begin at the beginning. */
  cursor: string | null;
  /** Without a cursor it begins with all there is, in pages, and starts over with that. */
  readonly snapshot?: boolean;
  /** Nothing more will ever come: it is not opened again. */
  readonly over?: boolean;
  /** Whether nothing is missing after a message, where the channel itself can tell. */
  caughtUp?(message: StreamedMessage): boolean;
  /** Subscribes after the cursor. Messages go to `message`; `ended` is called when the subscription has ended by itself. */
  open(client: ApolloClient, sink: ChannelSink): () => void;
  /** Applies a message; called inside one cache batch. */
  apply(message: StreamedMessage): void;
  /** One poll; resolves when its answer has been applied. */
  poll(ask: Ask, applyInBatch: ApplyInBatch): Promise<PollResult>;
  /** Tells listeners outside the cache, after the batch. */
  settled?(): void;
}

/** One query of a poll; rejects without a whole answer. */
export type Ask = <TData, TVariables extends OperationVariables>(query: TypedDocumentNode<TData, TVariables>, variables: TVariables) => Promise<TData>;

/** Runs work in one cache batch; false when the answer came too late to be of use. */
export type ApplyInBatch = (work: () => void) => boolean;

/** What every message of a stream has; the rest is the channel's own business. */
export interface StreamedMessage {
  __typename: string;
  cursor: string;
  at: string;
  /** Of a heartbeat: set when the server cannot read its database; the data is as of then. */
  staleSince?: string | null;
}

export interface ChannelSink {
  message(message: StreamedMessage): void;
  ended(error: unknown): void;
}

export interface PollResult {
  /** The server's time of the answer, when it says so. */
  at: string | null;
}
