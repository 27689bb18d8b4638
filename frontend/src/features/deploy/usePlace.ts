import { useApolloClient } from '@apollo/client/react';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';

import { announce } from '@/app/announcer';
import { problemsOf, refusals, useVerb, type Problem } from '@/gql/client/ask';
import { DeployDocument, DeployManyDocument } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import { batchOf, inputsOf, isSeveral, type Order } from './order';
import { dropDraft } from './draft';

/** A batch of which some were refused: what was taken goes on by itself. */
export interface Taken {
  batchId: string;
  taken: number;
  of: number;
}

/** Places the order. Nothing of the form is lost when it is refused, as a whole or in part. */
export function usePlace(order: Order, key: string) {
  const client = useApolloClient();
  const navigate = useNavigate();
  const deploy = useVerb(DeployDocument);
  const [busy, setBusy] = useState(false);
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  const [taken, setTaken] = useState<Taken | null>(null);

  const one = async (): Promise<void> => {
    const [input] = inputsOf(order);
    if (input === undefined) return;
    const answer = await deploy.run({ input: { ...input, idempotencyKey: key } });
    if (!answer?.deployment) return;
    dropDraft();
    void navigate({ to: '/nodes/$nodeId', params: { nodeId: answer.deployment.node.id } });
  };
  const many = async (): Promise<void> => {
    if (busy) return;
    setBusy(true);
    setProblems([]);
    setTaken(null);
    const input = batchOf(order, key);
    try {
      const { data, extensions } = await client.mutate({ mutation: DeployManyDocument, variables: { input } });
      if (data === undefined) setProblems(problemsOf(null));
      else {
        const { batch, results, errors } = data.deployNodes;
        const refused = results.flatMap((result) => refusals(result.errors, extensions).map((problem) => ({ ...problem, message: `${input.nodes[result.index]?.name ?? ''}: ${problem.message}` })));
        const accepted = results.filter((result) => result.errors.length === 0).length;
        // Those of the whole are there once more as those of its parts, unless nothing was looked at.
        setProblems(results.length === 0 ? refusals(errors, extensions) : refused);
        if (batch !== null) {
          announce(`${plural(accepted, 'deployment')} ordered`);
          if (refused.length === 0) {
            dropDraft();
            void navigate({ to: '/batches/$batchId', params: { batchId: batch.id } });
          } else setTaken({ batchId: batch.id, taken: accepted, of: input.nodes.length });
        }
      }
    } catch (error) {
      setProblems(problemsOf(error, ' Whether it was done is not known: look at the fleet before it is asked again. The same form asked again makes nothing twice.'));
    }
    setBusy(false);
  };
  const several = isSeveral(order);
  return {
    busy: busy || deploy.busy,
    problems: several ? problems : deploy.problems,
    taken: several ? taken : null,
    send: several ? many : one,
    forget: () => {
      deploy.forget();
      setProblems([]);
      setTaken(null);
    },
  };
}
