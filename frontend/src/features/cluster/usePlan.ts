import { useApolloClient } from '@apollo/client/react';
import { useCallback, useEffect, useRef, useState } from 'react';

import { problemsOf, type Problem } from '@/gql/client/ask';
import { PlanClusterDocument, type DeployClusterInput, type PlanClusterQuery } from '@/gql/generated/graphql';

export type Plan = PlanClusterQuery['planCluster'];

/** A pause in typing after which the server is asked, in ms. */
const pause = 600;

export interface Planned {
  /** The last answer, perhaps to what was typed before. */
  plan: Plan | null;
  /** It is about the form as it stands. */
  fresh: boolean;
  busy: boolean;
  /** Why there is no answer. */
  problems: readonly Problem[];
  again: () => void;
}

/** Asks by itself what would become of a cluster, whenever the form rests; null asks nothing. Nothing is made by it. */
export function usePlan(input: DeployClusterInput | null): Planned {
  const client = useApolloClient();
  const [answer, setAnswer] = useState<{ of: string; plan: Plan | null; problems: readonly Problem[] } | null>(null);
  const [round, setRound] = useState(0);
  const rounds = useRef(round);
  const question = input === null ? null : JSON.stringify(input);
  useEffect(() => {
    if (question === null) return;
    let over = false;
    // Who asks again does not wait.
    const wait = rounds.current === round ? pause : 0;
    rounds.current = round;
    const timer = setTimeout(() => {
      client.query({ query: PlanClusterDocument, variables: { input: JSON.parse(question) as DeployClusterInput }, fetchPolicy: 'no-cache' }).then(
        ({ data, error }) => {
          if (over) return;
          if (data === undefined) setAnswer((held) => ({ of: question, plan: held?.plan ?? null, problems: problemsOf(error) }));
          else setAnswer({ of: question, plan: data.planCluster, problems: [] });
        },
        (error: unknown) => {
          if (!over) setAnswer((held) => ({ of: question, plan: held?.plan ?? null, problems: problemsOf(error) }));
        },
      );
    }, wait);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [client, question, round]);
  const again = useCallback(() => {
    setAnswer((held) => (held === null ? null : { ...held, of: '' }));
    setRound((n) => n + 1);
  }, []);
  const current = answer !== null && question !== null && answer.of === question;
  return { plan: answer?.plan ?? null, fresh: current && answer.problems.length === 0, busy: question !== null && !current, problems: current ? answer.problems : [], again };
}
