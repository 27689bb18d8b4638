import type { ApolloClient } from '@apollo/client';

import { RunLogDocument } from '@/gql/generated/graphql';
import { heartbeatSeconds, subscribe } from './operations';
import type { StreamedMessage } from './channel';

/** Reads the output of a run from its beginning to where it is now. Rejects when the connection is lost on the way. */
export function readWholeLog(client: ApolloClient, id: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: string[] = [];
    const finish = (error: unknown): void => {
      close();
      if (error === null) resolve(parts.join(''));
      else reject(error instanceof Error ? error : new Error('the log could not be read', { cause: error }));
    };
    const close = subscribe(client, RunLogDocument, { id, fromOffset: 0, heartbeatSeconds }, (data) => ({ ...data.scriptRunLog, cursor: '' }), {
      message: (streamed) => {
        const message = streamed as StreamedMessage & { text: string; next: number; run: { logBytes: number } };
        parts.push(message.text);
        // It goes on while the script runs; what there was when it was asked for is enough.
        if (message.next >= message.run.logBytes) finish(null);
      },
      ended: finish,
    });
  });
}
