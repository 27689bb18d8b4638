import type { ApolloClient } from '@apollo/client';

import { BulkChangesDocument, BulkLiveFragmentDoc, BulkNowDocument, type BulkChangesSubscription, type BulkLiveFragment } from '@/gql/generated/graphql';
import type { ApplyInBatch, Ask, Channel, ChannelSink, PollResult, StreamedMessage } from './channel';
import { heartbeatSeconds, subscribe } from './operations';

type BulkMessage = BulkChangesSubscription['bulkOperationChanges'] & { cursor: string };

/**
 * A bulk operation: each message has it as it is then, so there is nothing to
 * resume. It ends with the operation.
 */
export class BulkChannel implements Channel {
  readonly name = 'bulkOperationChanges';
  cursor: string | null = null;

  private readonly client: ApolloClient;
  private readonly id: string;
  private ended = false;
  private completed = false;

  constructor(client: ApolloClient, id: string) {
    this.client = client;
    this.id = id;
  }

  /** The operation is over; a server that only goes away does not end it. */
  get over(): boolean {
    return this.completed && this.ended;
  }

  open(client: ApolloClient, sink: ChannelSink): () => void {
    this.completed = false;
    return subscribe(client, BulkChangesDocument, { id: this.id, heartbeatSeconds }, ({ bulkOperationChanges: message }) => ({ ...message, cursor: String(message.operation.version) }), {
      message: (message) => sink.message(message),
      ended: (error) => {
        this.completed = error === null;
        sink.ended(error);
      },
    });
  }

  apply(streamed: StreamedMessage): void {
    const { operation, cursor } = streamed as BulkMessage;
    this.write(operation);
    this.cursor = cursor;
  }

  caughtUp(): boolean {
    return true;
  }

  async poll(ask: Ask, applyInBatch: ApplyInBatch): Promise<PollResult> {
    const { bulkOperation } = await ask(BulkNowDocument, { id: this.id });
    if (bulkOperation) applyInBatch(() => this.write(bulkOperation));
    return { at: null };
  }

  private write(operation: BulkLiveFragment): void {
    this.ended = operation.finishedAt !== null;
    this.client.cache.writeFragment({
      id: this.client.cache.identify({ __typename: 'BulkOperation', id: operation.id }) ?? '',
      fragment: BulkLiveFragmentDoc,
      fragmentName: 'BulkLive',
      data: operation,
    });
  }
}
