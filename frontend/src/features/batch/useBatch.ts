import { useQuery } from '@apollo/client/react';
import { useEffect, useState } from 'react';

import { useFleet } from '@/features/fleet/useFleet';
import { BatchPageDocument, type BatchMemberFragment, type BatchPageQuery } from '@/gql/generated/graphql';

/** Members of a page. */
const pageSize = 200;

export type Batch = NonNullable<BatchPageQuery['deploymentBatch']>;

/**
 * A batch with all of its deployments, page after page. They are kept fresh by
 * the fleet's stream, which brings every change of a machine's deployment.
 */
export function useBatch(id: string) {
  const query = useQuery(BatchPageDocument, { variables: { id, first: pageSize }, fetchPolicy: 'cache-and-network', nextFetchPolicy: 'cache-first' });
  const batch = query.data?.deploymentBatch ?? null;
  const { fetchMore } = query;
  const page = batch?.deployments.pageInfo;
  const after = page?.hasNextPage === true ? page.endCursor : null;
  const [failed, setFailed] = useState<unknown>(null);
  useEffect(() => {
    if (after === null) return;
    let over = false;
    fetchMore({ variables: { after } }).catch((error: unknown) => {
      if (!over) setFailed(error);
    });
    return () => {
      over = true;
    };
  }, [after, fetchMore]);
  return { batch, complete: batch !== null && after === null, missing: query.data !== undefined && batch === null, error: query.error ?? failed, refetch: query.refetch };
}

/** Takes what the fleet's stream knows of a member's machine: whether it is late or stalled. */
export function useLiveMembers(members: readonly BatchMemberFragment[]): BatchMemberFragment[] {
  const { rows } = useFleet();
  return members.map((member) => {
    const row = rows.get(member.node.id);
    if (!row || row.currentDeployment?.id !== member.id) return member;
    const card = row.currentDeployment.version >= member.version ? row.currentDeployment : member;
    return { ...member, ...card, node: { ...member.node, stale: row.stale, late: row.late, stalled: row.stalled } };
  });
}
