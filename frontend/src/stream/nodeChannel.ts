import type { ApolloClient } from '@apollo/client';

import {
  DeploymentEventListFragmentDoc,
  DeploymentLiveFragmentDoc,
  NodeEventsDocument,
  NodeEventsPageDocument,
  NodeLiveFragmentDoc,
  type EventRowFragment,
  type NodeEventsSubscription,
} from '@/gql/generated/graphql';
import type { ApplyInBatch, Ask, Channel, ChannelSink, PollResult, StreamedMessage } from './channel';
import { heartbeatSeconds, orReset, subscribe } from './operations';

type NodeMessage = NodeEventsSubscription['deploymentEvents'];
type StreamedEvent = Extract<NodeMessage, { __typename: 'DeploymentEventBatch' }>['events'][number];

/** What the page of one machine wants to hear. */
export interface NodeListener {
  /** Events were applied to the cache. */
  events(events: readonly EventRowFragment[]): void;
  /** Some events will never come by the stream: read the deployment again. */
  reset(): void;
}

/** Events of a poll's page. */
const pageSize = 100;

/**
 * The events of one machine, or of some. Filtered by machine and not by deployment: such a
 * stream does not end with a deployment, and brings the next one by itself.
 */
export class NodeChannel implements Channel {
  readonly name = 'deploymentEvents';
  cursor: string | null;

  private readonly client: ApolloClient;
  private readonly nodeIds: readonly string[];
  private readonly listener: NodeListener;
  private arrived: StreamedEvent[] = [];
  private wasReset = false;

  constructor(client: ApolloClient, nodeIds: readonly string[], cursor: string | null, listener: NodeListener) {
    this.client = client;
    this.nodeIds = nodeIds;
    this.cursor = cursor;
    this.listener = listener;
  }

  open(client: ApolloClient, sink: ChannelSink): () => void {
    const variables = { filter: { nodeIds: [...this.nodeIds] }, after: this.cursor, heartbeatSeconds };
    return subscribe(client, NodeEventsDocument, variables, (data) => data.deploymentEvents, sink);
  }

  apply(streamed: StreamedMessage): void {
    const message = streamed as NodeMessage;
    if (message.__typename === 'DeploymentEventBatch') this.write(message.events);
    else if (message.__typename === 'StreamReset') this.wasReset = true;
    this.cursor = streamed.cursor;
  }

  async poll(ask: Ask, applyInBatch: ApplyInBatch): Promise<PollResult> {
    // Without a position the twin would begin with the oldest event of all;
    // the page reads the deployment first and then knows one.
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
      const variables = { filter: { nodeIds: [...this.nodeIds] }, after: this.cursor, first: pageSize };
      const { deploymentEvents } = await ask(NodeEventsPageDocument, variables);
      const applied = applyInBatch(() => {
        this.write(deploymentEvents.nodes);
        this.cursor = deploymentEvents.pageInfo.endCursor ?? this.cursor;
      });
      more = applied && deploymentEvents.pageInfo.hasNextPage;
    }
  }

  settled(): void {
    const events = this.arrived;
    this.arrived = [];
    if (events.length > 0) this.listener.events(events);
    if (this.wasReset) {
      this.wasReset = false;
      this.listener.reset();
    }
  }

  private write(events: readonly StreamedEvent[]): void {
    const byDeployment = new Map<string, StreamedEvent[]>();
    for (const event of events) {
      const list = byDeployment.get(event.deployment.id);
      if (list) list.push(event);
      else byDeployment.set(event.deployment.id, [event]);
    }
    for (const [id, list] of byDeployment) {
      const cacheId = this.client.cache.identify({ __typename: 'Deployment', id }) ?? '';
      // Messages of one batch carry the deployment at the same or a later time;
      // the version rule of the cache keeps the newest.
      for (const { deployment } of list) {
        this.client.cache.writeFragment({
          id: cacheId,
          fragment: DeploymentLiveFragmentDoc,
          fragmentName: 'DeploymentLive',
          data: deployment,
        });
      }
      for (const { bareMetalNode } of list) {
        this.client.cache.writeFragment({
          id: this.client.cache.identify({ __typename: 'BareMetalNode', id: bareMetalNode.id }) ?? '',
          fragment: NodeLiveFragmentDoc,
          fragmentName: 'NodeLive',
          data: bareMetalNode,
        });
      }
      const nodes = list.map(({ deployment: _, bareMetalNode: __, ...event }) => event);
      this.client.cache.writeFragment({
        id: cacheId,
        fragment: DeploymentEventListFragmentDoc,
        fragmentName: 'DeploymentEventList',
        data: { __typename: 'Deployment', id, events: { __typename: 'DeploymentEventConnection', nodes } } as never,
      });
    }
    this.arrived.push(...events);
  }
}
