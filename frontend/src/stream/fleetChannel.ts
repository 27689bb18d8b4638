import type { ApolloClient } from '@apollo/client';

import {
  FleetChangesDocument,
  FleetNowDocument,
  FleetPageDocument,
  FleetRowFragmentDoc,
  type FleetChangesSubscription,
  type FleetRowFragment,
} from '@/gql/generated/graphql';
import type { ApplyInBatch, Ask, Channel, ChannelSink, PollResult, StreamedMessage } from './channel';
import type { Fleet } from './fleet';
import { heartbeatSeconds, subscribe } from './operations';

type FleetMessage = FleetChangesSubscription['fleetChanges'];

/** Rows of a page of the polling twin. */
const pageSize = 200;

/** The fleet: a snapshot in pages, then what changes. */
export class FleetChannel implements Channel {
  readonly name = 'fleetChanges';
  readonly snapshot = true;
  cursor: string | null = null;

  private readonly client: ApolloClient;
  private readonly fleet: Fleet;

  constructor(client: ApolloClient, fleet: Fleet) {
    this.client = client;
    this.fleet = fleet;
  }

  open(client: ApolloClient, sink: ChannelSink): () => void {
    // What a broken snapshot did not show is not gone.
    if (this.cursor === null) this.fleet.beginSnapshot();
    else this.fleet.abandonSnapshot();
    const variables = { after: this.cursor, heartbeatSeconds };
    return subscribe(client, FleetChangesDocument, variables, (data) => data.fleetChanges, sink);
  }

  apply(streamed: StreamedMessage): void {
    const message = streamed as FleetMessage;
    switch (message.__typename) {
      case 'FleetSnapshotPage':
        this.write(message.nodes);
        if (!message.last) return;
        this.fleet.endSnapshot();
        // Before the last page a resume would miss the pages that did not come.
        this.cursor = message.cursor;
        return;
      case 'FleetDelta':
        this.write(message.changed);
        this.fleet.remove(message.removedIds);
        if (message.summary) this.fleet.setNumbers(message.summary);
        this.advance(message.cursor);
        return;
      case 'StreamReset':
        // A snapshot follows; the old rows stay on the screen until it is whole.
        this.cursor = null;
        this.fleet.beginSnapshot();
        return;
      case 'StreamHeartbeat':
        this.advance(message.cursor);
        return;
      default:
        // A newer server may send more kinds; they still move the cursor.
        this.advance(streamed.cursor);
    }
  }

  async poll(ask: Ask, applyInBatch: ApplyInBatch): Promise<PollResult> {
    // The numbers come first: their position is then not newer than any page.
    const { fleetSummary } = await ask(FleetNowDocument, {});
    const rows: FleetRowFragment[] = [];
    let after: string | null = null;
    for (let more = true; more; ) {
      const variables: { first: number; after: string | null } = { first: pageSize, after };
      const page = await ask(FleetPageDocument, variables);
      rows.push(...page.bareMetalNodes.nodes);
      after = page.bareMetalNodes.pageInfo.endCursor;
      more = page.bareMetalNodes.pageInfo.hasNextPage && after !== null;
    }
    applyInBatch(() => {
      this.fleet.beginSnapshot();
      this.write(rows);
      this.fleet.endSnapshot();
      this.fleet.setNumbers(fleetSummary);
      this.cursor = fleetSummary.cursor;
    });
    return { at: fleetSummary.asOf };
  }

  settled(): void {
    this.fleet.commit();
  }

  // While a snapshot is under way there is no position to resume from yet.
  private advance(cursor: string): void {
    if (this.cursor !== null) this.cursor = cursor;
  }

  private write(rows: readonly FleetRowFragment[]): void {
    for (const row of this.fleet.put(rows)) {
      this.client.cache.writeFragment({
        id: this.client.cache.identify({ __typename: 'BareMetalNode', id: row.id }) ?? '',
        fragment: FleetRowFragmentDoc,
        fragmentName: 'FleetRow',
        data: row,
      });
    }
  }
}
