import type { ApolloClient } from '@apollo/client';

import { ClusterChangesDocument, ClusterLiveFragmentDoc, ClusterNowDocument, type ClusterChangesSubscription, type ClusterLiveFragment } from '@/gql/generated/graphql';
import type { ApplyInBatch, Ask, Channel, ChannelSink, PollResult, StreamedMessage } from './channel';
import { heartbeatSeconds, subscribe } from './operations';

type ClusterMessage = ClusterChangesSubscription['clusterChanges'];

/**
 * A cluster: the first message has it as it is, and so has each that follows a
 * change. Nothing is lost between two, so a reset asks for nothing.
 */
export class ClusterChannel implements Channel {
  readonly name = 'clusterChanges';
  cursor: string | null = null;

  private readonly client: ApolloClient;
  private readonly id: string;

  constructor(client: ApolloClient, id: string) {
    this.client = client;
    this.id = id;
  }

  open(client: ApolloClient, sink: ChannelSink): () => void {
    return subscribe(client, ClusterChangesDocument, { id: this.id, after: this.cursor, heartbeatSeconds }, (data) => data.clusterChanges, sink);
  }

  apply(streamed: StreamedMessage): void {
    const message = streamed as ClusterMessage;
    if (message.__typename === 'ClusterUpdate') this.write(message.cluster);
    this.cursor = streamed.cursor;
  }

  // What follows a reset is the whole cluster, as what follows an opening is.
  caughtUp(message: StreamedMessage): boolean {
    return message.__typename !== 'StreamReset';
  }

  async poll(ask: Ask, applyInBatch: ApplyInBatch): Promise<PollResult> {
    const { cluster } = await ask(ClusterNowDocument, { id: this.id });
    if (cluster) {
      applyInBatch(() => {
        this.write(cluster);
        this.cursor = cluster.cursor;
      });
    }
    return { at: null };
  }

  private write(cluster: ClusterLiveFragment): void {
    this.client.cache.writeFragment({
      id: this.client.cache.identify({ __typename: 'Cluster', id: cluster.id }) ?? '',
      fragment: ClusterLiveFragmentDoc,
      fragmentName: 'ClusterLive',
      data: cluster,
    });
  }
}
