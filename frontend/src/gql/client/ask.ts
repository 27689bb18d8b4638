import { CombinedGraphQLErrors, ServerError, type ApolloClient, type OperationVariables, type TypedDocumentNode } from '@apollo/client';
import { useApolloClient } from '@apollo/client/react';
import { useCallback, useRef, useState } from 'react';

import type { RefusalFragment } from '@/gql/generated/graphql';

/** Why something was not done, for a person and for whoever is asked for help. */
export interface Problem {
  /** Null when the server was not reached. */
  code: string | null;
  message: string;
  /** Path to the field of the input that is wrong. */
  field: readonly string[] | null;
  requestId: string | null;
  /** The rule that was broken, where the server tells it. */
  key?: string | null;
}

interface Payload {
  errors: readonly RefusalFragment[];
}

/** What became of something that was asked for: an answer, or at least one problem. */
export type Outcome<TAnswer> = { answer: TAnswer; problems: readonly [] } | { answer: null; problems: readonly Problem[] };

const textOf = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

/**
 * The field of a verb's input that could not be read: such an error is no
 * refusal of the verb but one of the request, and has the way there from its
 * root field and argument on.
 */
function fieldOf(path: readonly (string | number)[] | undefined): string[] | null {
  return path !== undefined && path.length > 2 && path[1] === 'input' ? path.slice(2).map(String) : null;
}

/** What an error of the client says; `unknown` completes it when the server was not reached. */
export function problemsOf(error: unknown, unknown = ''): Problem[] {
  if (CombinedGraphQLErrors.is(error)) {
    const requestId = textOf(error.extensions?.requestId);
    return error.errors.map(({ message, extensions, path }) => ({ code: textOf(extensions?.code), message, field: fieldOf(path), requestId: textOf(extensions?.requestId) ?? requestId }));
  }
  if (ServerError.is(error)) {
    return [{ code: null, message: `The server answered with status ${error.statusCode}.`, field: null, requestId: error.response.headers.get('x-request-id') }];
  }
  return [{ code: null, message: `The server could not be reached.${unknown}`, field: null, requestId: null }];
}

/** The refusals of a payload, with the id of its request. */
export function refusals(errors: readonly (RefusalFragment & { key?: string | null })[], extensions: Record<string, unknown> | undefined): Problem[] {
  const requestId = textOf(extensions?.requestId);
  return errors.map(({ code, message, field, key }) => ({ code, message, field, requestId, ...(key === undefined ? {} : { key }) }));
}

/** Asks the server to do something once; never throws. */
export async function ask<TAnswer extends Payload, TVariables extends OperationVariables>(
  client: ApolloClient,
  mutation: TypedDocumentNode<{ answer: TAnswer }, TVariables>,
  variables: TVariables,
): Promise<Outcome<TAnswer>> {
  try {
    // What is selected must be whole: part of an answer is of no use.
    const { data, extensions } = await client.mutate({ mutation, variables } as ApolloClient.MutateOptions<{ answer: TAnswer }, TVariables>);
    if (data === undefined) return { answer: null, problems: problemsOf(null) };
    const problems = refusals(data.answer.errors, extensions);
    return problems.length > 0 ? { answer: null, problems } : { answer: data.answer, problems: [] };
  } catch (error) {
    return { answer: null, problems: problemsOf(error, ' Whether it was done is not known: look again once the page is live.') };
  }
}

/** Something that a person can ask the server to do. */
export interface Verb<TAnswer, TVariables> {
  /** It was asked for and the server has not answered yet. */
  busy: boolean;
  /** Of the last time. */
  problems: readonly Problem[];
  /** Asks; null when it was not done, or is being asked for already. */
  run: (variables: TVariables) => Promise<TAnswer | null>;
  forget: () => void;
}

/** A verb of the page: one at a time, with what became of it. */
export function useVerb<TAnswer extends Payload, TVariables extends OperationVariables>(mutation: TypedDocumentNode<{ answer: TAnswer }, TVariables>): Verb<TAnswer, TVariables> {
  const client = useApolloClient();
  const [busy, setBusy] = useState(false);
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  const running = useRef(false);
  const run = useCallback(
    async (variables: TVariables): Promise<TAnswer | null> => {
      // A second click before the first is drawn asks for nothing.
      if (running.current) return null;
      running.current = true;
      setBusy(true);
      setProblems([]);
      const outcome = await ask(client, mutation, variables);
      running.current = false;
      setBusy(false);
      setProblems(outcome.problems);
      return outcome.answer;
    },
    [client, mutation],
  );
  const forget = useCallback(() => setProblems([]), []);
  return { busy, problems, run, forget };
}
