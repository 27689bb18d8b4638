import { useState } from 'react';

import type { ClusterLiveFragment } from '@/gql/generated/graphql';

/** Something that was asked for and that the page does not show yet. */
interface Asked {
  word: string;
  /** Of the cluster when it was asked. */
  version: number;
  /** Of the deployment that it is about; null when it is about the cluster. */
  deployment: { id: string; version: number } | null;
}

/** What is pending: of the cluster under "", of its nodes under their ids. */
type Pending = ReadonlyMap<string, Asked>;

function stands(asked: Asked, nodeId: string, cluster: ClusterLiveFragment): boolean {
  if (asked.deployment === null) return cluster.version <= asked.version;
  const now = cluster.members.findLast(({ node }) => node.id === nodeId)?.deployment;
  return now?.id === asked.deployment.id && now.version <= asked.deployment.version;
}

/**
 * What was asked for is shown at once, and until the stream brings a newer
 * version of what it was asked of; a refusal takes it back.
 */
export function usePending(cluster: ClusterLiveFragment) {
  const [held, setHeld] = useState<Pending>(new Map());
  const open = [...held].filter(([nodeId, asked]) => stands(asked, nodeId, cluster));
  // What has been answered is forgotten while it is drawn, as React has it.
  if (open.length !== held.size) setHeld(new Map(open));
  const now = new Map(open);
  /** Marks until the answer is there, and longer if it was a yes. */
  const mark = async <T>(nodeId: string, word: string, asking: Promise<T | null>, about: { id: string; version: number } | null = null): Promise<T | null> => {
    const asked: Asked = { word, version: cluster.version, deployment: about };
    setHeld((before) => new Map(before).set(nodeId, asked));
    const answer = await asking;
    if (answer === null) setHeld((before) => (before.get(nodeId) === asked ? new Map([...before].filter(([id]) => id !== nodeId)) : before));
    return answer;
  };
  return { of: (nodeId: string): string | null => now.get(nodeId)?.word ?? null, mark };
}

export type PendingMarks = ReturnType<typeof usePending>;
