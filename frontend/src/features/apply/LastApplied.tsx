import { useApolloClient, useQuery } from '@apollo/client/react';
import { useState } from 'react';

import { LastDocumentDocument, type PlanRowFragment } from '@/gql/generated/graphql';
import { Button, Instant } from '@/ui';
import { ActionDialog } from '@/verbs/shared';
import classes from './Card.module.css';
import type { Card } from './model/card';
import { readDocument } from './model/read';

export interface LastAppliedProps {
  card: Card;
  plan: PlanRowFragment | null;
  /** The node, if it is there already. */
  node: { id: string } | null;
  onLoad: (card: Card) => void;
}

/** How a draft stands against what was applied last, and the way back to that. */
export function LastApplied({ card, plan, node, onLoad }: LastAppliedProps) {
  if (node === null) return null;
  return <Known card={card} plan={plan} nodeId={node.id} onLoad={onLoad} />;
}

function Known({ card, plan, nodeId, onLoad }: { card: Card; plan: PlanRowFragment | null; nodeId: string; onLoad: (card: Card) => void }) {
  const client = useApolloClient();
  const { data } = useQuery(LastDocumentDocument, { variables: { id: nodeId }, fetchPolicy: 'cache-and-network', nextFetchPolicy: 'cache-first' });
  const [asking, setAsking] = useState(false);
  const last = data?.node?.__typename === 'BareMetalNode' ? data.node.documents[0] : undefined;
  if (!last) return null;
  const same = plan?.action === 'UNCHANGED';
  const older = !same && card.changedAt < last.createdAt;
  const load = async (): Promise<void> => {
    // What was applied meanwhile counts.
    const fresh = await client.query({ query: LastDocumentDocument, variables: { id: nodeId }, fetchPolicy: 'network-only' }).catch(() => null);
    const node = fresh?.data?.node;
    const stored = (node?.__typename === 'BareMetalNode' ? node.documents[0] : undefined) ?? last;
    const read = readDocument(stored.content);
    if (read) onLoad({ ...read, changedAt: stored.createdAt });
    setAsking(false);
  };
  return (
    <p className={classes.last} data-older={older || undefined}>
      {same ? 'This is what was applied last, ' : older ? 'This draft is older than what was applied last, ' : 'What was applied last is of '}
      <Instant at={last.createdAt} />.{' '}
      {same ? null : (
        <Button size="compact-xs" variant="default" onClick={() => setAsking(true)}>
          Load what was applied last…
        </Button>
      )}
      {asking ? (
        <ActionDialog title={`Load what was applied last to ${last.nodeName}`} verb={{ busy: false, problems: [] }} does="Load it" leave="Keep the draft" onClose={() => setAsking(false)} onDo={() => void load()}>
          <p>What is filled in on this card is replaced by the stored document. Nothing is applied.</p>
        </ActionDialog>
      ) : null}
    </p>
  );
}
