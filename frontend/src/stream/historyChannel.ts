import type { ApolloClient } from '@apollo/client';

import { HistoryTailDocument, HistoryTailPageDocument, type DeploymentEventFilter, type HistoryRowFragment, type HistoryTailSubscription } from '@/gql/generated/graphql';
import type { ApplyInBatch, Ask, Channel, ChannelSink, PollResult, StreamedMessage } from './channel';
import { heartbeatSeconds, orReset, subscribe } from './operations';

type HistoryMessage = HistoryTailSubscription['deploymentEvents'];

/** Which events to follow; lists of ids in it stay as they are. */
export type HistoryFilter = DeploymentEventFilter;

/** What the history wants to hear. */
export interface HistoryListener {
  /** New events, the oldest first. */
  events(events: readonly HistoryRowFragment[]): void;
  /** Some events will never come by the stream: read the newest again. */
  reset(): void;
}

/** Events of a poll's page. */
const pageSize = 100;

/** What happens anywhere in the fleet. The events stay out of the cache: a history is read, not shared. */
export class HistoryChannel implements Channel {
  readonly name = 'history';
  cursor: string | null;
  over = false;

  private readonly filter: HistoryFilter;
  private readonly listener: HistoryListener;
  private arrived: HistoryRowFragment[] = [];
  private wasReset = false;

  constructor(filter: HistoryFilter, cursor: string | null, listener: HistoryListener) {
    this.filter = filter;
    this.cursor = cursor;
    this.listener = listener;
  }

  open(client: ApolloClient, sink: ChannelSink): () => void {
    const variables = { filter: this.filter, after: this.cursor, heartbeatSeconds };
    return subscribe(client, HistoryTailDocument, variables, (data) => data.deploymentEvents, {
      message: (message) => sink.message(message),
      ended: (error) => {
        // A stream of named deployments ends with them; there is nothing more to follow.
        if (error === null && (this.filter.deploymentIds ?? []).length > 0) this.over = true;
        sink.ended(error);
      },
    });
  }

  apply(streamed: StreamedMessage): void {
    const message = streamed as HistoryMessage;
    if (message.__typename === 'DeploymentEventBatch') this.arrived.push(...message.events);
    else if (message.__typename === 'StreamReset') this.wasReset = true;
    this.cursor = streamed.cursor;
  }

  async poll(ask: Ask, applyInBatch: ApplyInBatch): Promise<PollResult> {
    // Without a position the twin would begin with the oldest event of all.
    if (this.cursor === null) return { at: null };
    const reset = (cursor: string): void => {
      applyInBatch(() => {
        this.cursor = cursor;
        this.wasReset = true;
      });
    };
    await orReset(ask, () => this.readOn(ask, applyInBatch), reset);
    return { at: null };
  }

  private async readOn(ask: Ask, applyInBatch: ApplyInBatch): Promise<void> {
    for (let more = true; more; ) {
      const variables = { filter: this.filter, after: this.cursor, first: pageSize };
      const { deploymentEvents } = await ask(HistoryTailPageDocument, variables);
      const applied = applyInBatch(() => {
        this.arrived.push(...deploymentEvents.nodes);
        this.cursor = deploymentEvents.pageInfo.endCursor ?? this.cursor;
      });
      more = applied && deploymentEvents.pageInfo.hasNextPage;
    }
  }

  settled(): void {
    // A page that was told an event twice shows it once; within one telling it is seen to here.
    const events = [...new Map(this.arrived.map((event) => [event.id, event])).values()];
    this.arrived = [];
    if (events.length > 0) this.listener.events(events);
    if (this.wasReset) {
      this.wasReset = false;
      this.listener.reset();
    }
  }
}
