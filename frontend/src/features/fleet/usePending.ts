import { useApolloClient } from '@apollo/client/react';
import { useEffect } from 'react';

import { useStream } from '@/app/services';
import { BulkLiveFragmentDoc } from '@/gql/generated/graphql';
import { operationOver, pending, pendingOperations, reconcile, type Pending } from '@/lib/pending';
import { useStore } from '@/lib/store';

/**
 * What was asked of machines and is not shown by their rows yet. A newer row
 * lets go of it; so does the end of the operation that it is part of, for those
 * that the operation did not reach.
 */
export function usePending(): ReadonlyMap<string, Pending> {
  const stream = useStream();
  const client = useApolloClient();
  const held = useStore(pending);
  useEffect(() => {
    const look = (): void => reconcile(stream.fleet.get().rows);
    look();
    return stream.fleet.subscribe(look);
  }, [stream]);
  const operations = pendingOperations(held).join(' ');
  useEffect(() => {
    const ends = operations
      .split(' ')
      .filter((id) => id !== '')
      .map((id) => {
        const unwatch = stream.watchBulk(id);
        const watching = client.cache
          .watchFragment({ fragment: BulkLiveFragmentDoc, fragmentName: 'BulkLive', from: { __typename: 'BulkOperation', id } })
          .subscribe(({ data, complete }) => {
            if (complete && (data as { finishedAt: string | null }).finishedAt !== null) operationOver(id);
          });
        return () => {
          watching.unsubscribe();
          unwatch();
        };
      });
    return () => {
      for (const end of ends) end();
    };
  }, [operations, stream, client]);
  return held;
}
