import type { ApolloClient } from '@apollo/client';

import { ProbeChangesDocument, ProbeRowFragmentDoc, ProbesPageDocument, type Phase, type ProbeChangesSubscription, type ProbeRowFragment } from '@/gql/generated/graphql';
import type { ApplyInBatch, Ask, Channel, ChannelSink, PollResult, StreamedMessage } from './channel';
import { heartbeatSeconds, subscribe } from './operations';

type ProbeMessage = ProbeChangesSubscription['fleetChanges'];

/** The phases in which hosts are waited for and asked. */
const polled: Phase[] = ['REBOOT_WAIT', 'SSH_POLLING'];
const filter = { phases: polled };
const pageSize = 200;

/**
 * Attempts to reach hosts. They make no events, for there may be 120 of them a
 * host; they come with the rows of those that are being polled. That a host has
 * come back or was given up is told by its events.
 */
export class ProbeChannel implements Channel {
  readonly name = 'fleetChanges of polled hosts';
  readonly snapshot = true;
  cursor: string | null = null;

  private readonly client: ApolloClient;

  constructor(client: ApolloClient) {
    this.client = client;
  }

  open(client: ApolloClient, sink: ChannelSink): () => void {
    return subscribe(client, ProbeChangesDocument, { filter, after: this.cursor, heartbeatSeconds }, (data) => data.fleetChanges, sink);
  }

  apply(streamed: StreamedMessage): void {
    const message = streamed as ProbeMessage;
    switch (message.__typename) {
      case 'FleetSnapshotPage':
        this.write(message.nodes);
        // Before the last page a resume would miss the pages that did not come.
        if (message.last) this.cursor = message.cursor;
        return;
      case 'FleetDelta':
        this.write(message.changed);
        break;
      case 'StreamReset':
        this.cursor = null;
        return;
      default:
    }
    if (this.cursor !== null) this.cursor = streamed.cursor;
  }

  async poll(ask: Ask, applyInBatch: ApplyInBatch): Promise<PollResult> {
    let after: string | null = null;
    for (let more = true; more; ) {
      const variables: { filter: typeof filter; first: number; after: string | null } = { filter, first: pageSize, after };
      const { bareMetalNodes } = await ask(ProbesPageDocument, variables);
      const applied = applyInBatch(() => this.write(bareMetalNodes.nodes));
      after = bareMetalNodes.pageInfo.endCursor;
      more = applied && bareMetalNodes.pageInfo.hasNextPage && after !== null;
    }
    return { at: null };
  }

  private write(rows: readonly ProbeRowFragment[]): void {
    for (const row of rows) {
      this.client.cache.writeFragment({
        id: this.client.cache.identify({ __typename: 'BareMetalNode', id: row.id }) ?? '',
        fragment: ProbeRowFragmentDoc,
        fragmentName: 'ProbeRow',
        data: row,
      });
    }
  }
}
