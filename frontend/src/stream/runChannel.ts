import type { ApolloClient } from '@apollo/client';

import { RunLiveFragmentDoc, RunLogDocument, RunNowDocument, type RunLiveFragment, type RunLogSubscription } from '@/gql/generated/graphql';
import type { ApplyInBatch, Ask, Channel, ChannelSink, PollResult, StreamedMessage } from './channel';
import { heartbeatSeconds, subscribe } from './operations';

type LogMessage = RunLogSubscription['scriptRunLog'] & { cursor: string };

/** A piece of a run's output, from a place in it on. */
export interface LogPiece {
  text: string;
  /** Where it begins, in bytes. */
  offset: number;
}

/** What the page of a run wants to hear. */
export interface RunListener {
  /** Output that was added. */
  output(pieces: readonly LogPiece[]): void;
}

/**
 * A run of the deployment script: its state goes to the cache, its output to
 * the listener. The place in the output is the cursor. It ends with the run.
 */
export class RunChannel implements Channel {
  readonly name = 'scriptRunLog';
  cursor: string | null;

  private readonly client: ApolloClient;
  private readonly id: string;
  private readonly listener: RunListener;
  private arrived: LogPiece[] = [];
  private ended = false;
  private completed = false;

  /** Output begins at `from`, in bytes. */
  constructor(client: ApolloClient, id: string, from: number, listener: RunListener) {
    this.client = client;
    this.id = id;
    this.cursor = String(from);
    this.listener = listener;
  }

  /** The run has ended and all of its output is here; a server that only goes away does not end it. */
  get over(): boolean {
    return this.completed && this.ended;
  }

  open(client: ApolloClient, sink: ChannelSink): () => void {
    this.completed = false;
    const variables = { id: this.id, fromOffset: Number(this.cursor), heartbeatSeconds };
    return subscribe(client, RunLogDocument, variables, (data) => ({ ...data.scriptRunLog, cursor: String(data.scriptRunLog.next) }), {
      message: (message) => sink.message(message),
      ended: (error) => {
        this.completed = error === null;
        sink.ended(error);
      },
    });
  }

  apply(streamed: StreamedMessage): void {
    const message = streamed as LogMessage;
    this.write(message.run);
    // What is here already is not told twice, and takes nothing back.
    if (message.next < Number(this.cursor) || (message.text !== '' && message.offset < Number(this.cursor))) return;
    this.cursor = message.cursor;
    if (message.text !== '') this.arrived.push({ text: message.text, offset: message.offset });
  }

  caughtUp(streamed: StreamedMessage): boolean {
    const message = streamed as LogMessage;
    return message.next >= message.run.logBytes || this.ended;
  }

  async poll(ask: Ask, applyInBatch: ApplyInBatch): Promise<PollResult> {
    const { scriptRun } = await ask(RunNowDocument, { id: this.id });
    // The output itself comes once there is a socket again, from the same place on.
    if (scriptRun) applyInBatch(() => this.write(scriptRun));
    return { at: null };
  }

  settled(): void {
    const pieces = this.arrived;
    this.arrived = [];
    if (pieces.length > 0) this.listener.output(pieces);
  }

  private write(run: RunLiveFragment): void {
    this.ended = run.endedAt !== null;
    this.client.cache.writeFragment({
      id: this.client.cache.identify({ __typename: 'ScriptRun', id: run.id }) ?? '',
      fragment: RunLiveFragmentDoc,
      fragmentName: 'RunLive',
      data: run,
    });
  }
}
