import type { ApolloClient } from '@apollo/client';
import { useApolloClient, useQuery } from '@apollo/client/react';
import { useEffect, useRef, useState } from 'react';

import { useStream } from '@/app/services';
import { BulkItemsDocument, BulkNowDocument, type BulkItemRowFragment, type BulkItemState } from '@/gql/generated/graphql';

/** Items of a page. */
export const pageSize = 100;
/** Items are read again at most this often while the operation goes on, in ms. */
const readEvery = 2000;

/** An operation, kept fresh by the stream until it is over. */
export function useBulk(id: string) {
  const stream = useStream();
  const query = useQuery(BulkNowDocument, { variables: { id }, fetchPolicy: 'cache-and-network', nextFetchPolicy: 'cache-first' });
  const operation = query.data?.bulkOperation ?? null;
  const followed = operation !== null && operation.finishedAt === null;
  useEffect(() => (followed ? stream.watchBulk(id) : undefined), [followed, id, stream]);
  return { operation, missing: query.data !== undefined && operation === null, error: query.error, refetch: query.refetch };
}

interface Items {
  items: readonly BulkItemRowFragment[];
  more: boolean;
}

/** The first items of an operation, page by page. */
async function readItems(client: ApolloClient, id: string, show: BulkItemState | undefined, wanted: number): Promise<Items> {
  const items: BulkItemRowFragment[] = [];
  for (let after: string | null = null; ; ) {
    const variables: { id: string; first: number; after: string | null; states: BulkItemState[] | null } = { id, first: pageSize, after, states: show === undefined ? null : [show] };
    const { data, error } = await client.query({ query: BulkItemsDocument, variables, fetchPolicy: 'no-cache' });
    const page = data?.bulkOperation?.items;
    if (page === undefined) throw new Error(error?.message ?? 'There is no such operation.');
    items.push(...page.nodes);
    after = page.pageInfo.endCursor;
    if (!page.pageInfo.hasNextPage || after === null || items.length >= wanted) return { items, more: page.pageInfo.hasNextPage };
  }
}

/**
 * Items of an operation. How many stand where comes by the stream; the items
 * themselves are read again when it says that something changed, at most every
 * two seconds.
 */
export function useBulkItems(id: string, version: number, show: BulkItemState | undefined) {
  const client = useApolloClient();
  const [wanted, setWanted] = useState(pageSize);
  const [found, setFound] = useState<(Items & { show: BulkItemState | undefined }) | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [tries, setTries] = useState(0);
  const last = useRef({ at: Number.NEGATIVE_INFINITY, of: '' });
  useEffect(() => {
    let over = false;
    // What somebody asked for comes at once; what merely changed may wait.
    const of = `${show ?? ''} ${wanted} ${tries}`;
    const wait = last.current.of === of ? Math.max(0, last.current.at + readEvery - performance.now()) : 0;
    const timer = setTimeout(() => {
      last.current = { at: performance.now(), of };
      readItems(client, id, show, wanted).then(
        (items) => {
          if (over) return;
          setFound({ ...items, show });
          setError(null);
        },
        (problem: unknown) => {
          if (!over) setError(problem);
        },
      );
    }, wait);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [client, id, show, wanted, version, tries]);
  return { items: found?.items ?? null, more: found?.more ?? false, behind: found !== null && found.show !== show, error, onMore: () => setWanted(wanted + pageSize), retry: () => setTries(tries + 1) };
}
