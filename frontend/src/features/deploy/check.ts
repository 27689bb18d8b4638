import type { ApolloClient } from '@apollo/client';

import { problemsOf, type Problem } from '@/gql/client/ask';
import type { RequestContext } from '@/gql/client/client';
import { ValidateDocument, type CheckRowFragment, type DeployNodeInput, type RefusalFragment, type ValidateQuery } from '@/gql/generated/graphql';
import type { Order } from './order';

type Result = ValidateQuery['validateDeployment'];

/** A check that was asked for, and of what. */
export interface Checked {
  of: Order;
  /** Null when it could not be done; `problems` says why. */
  result: Result | null;
  problems: readonly Problem[];
  /** Of the last request. */
  requestId: string | null;
}

/** Machines that are checked at the same time. */
const atOnce = 4;

/** The check-lists of all machines as one, or why there is none. Nothing is ordered by it. */
export async function check(client: ApolloClient, inputs: readonly DeployNodeInput[], progress: (done: number) => void): Promise<Omit<Checked, 'of'>> {
  const results: Result[] = [];
  let problems: Problem[] = [];
  let requestId: string | null = null;
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < inputs.length && problems.length === 0) {
      const i = next++;
      const input = inputs[i];
      if (input === undefined) return;
      try {
        const context: RequestContext = { onRequestId: (id) => { requestId = id; } };
        const { data, error } = await client.query({ query: ValidateDocument, variables: { input }, fetchPolicy: 'no-cache', context: { ...context } });
        if (data === undefined) problems = problemsOf(error);
        else results[i] = data.validateDeployment;
      } catch (error) {
        problems = problemsOf(error);
      }
      progress(results.filter(Boolean).length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, inputs.length) }, work));
  if (problems.length > 0) return { result: null, problems, requestId };
  return { result: merge(inputs.map(({ name }) => name), results), problems: [], requestId };
}

/** Names of a few, and how many more there are. */
function few(names: readonly string[]): string {
  return names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}

/** Many check-lists as one: a line that all have alike is there once, another says of whom it is. */
export function merge(names: readonly string[], results: readonly Result[]): Result | null {
  const [first] = results;
  if (first === undefined) return null;
  if (results.length === 1) return first;
  const lines = new Map<string, { check: CheckRowFragment; of: string[] }>();
  const refused = new Map<string, { error: RefusalFragment; of: string[] }>();
  const add = <T>(map: Map<string, { of: string[] } & T>, key: string, made: T, name: string): void => {
    const held = map.get(key);
    if (held) held.of.push(name);
    else map.set(key, { ...made, of: [name] });
  };
  results.forEach(({ checks, errors }, i) => {
    const name = names[i] ?? '';
    // What differs in nothing but the name is the same.
    const alike = (message: string): string => (name === '' ? message : message.replaceAll(name, '#'));
    for (const each of checks) add(lines, `${each.key} ${each.severity} ${each.passed} ${alike(each.message)}`, { check: each }, name);
    for (const each of errors) add(refused, `${each.code} ${alike(each.message)} ${(each.field ?? []).join('.')}`, { error: each }, name);
  });
  const said = (message: string, of: readonly string[]): string => {
    const named = of[0] !== undefined && message.includes(of[0]);
    if (of.length === results.length) return named ? `${message}; alike for the other ${of.length - 1}` : message;
    return named && of.length === 1 ? message : `${few(of)}: ${message}`;
  };
  return {
    ...first,
    ok: results.every(({ ok }) => ok),
    checks: [...lines.values()].map(({ check: each, of }) => ({ ...each, message: said(each.message, of) })),
    errors: [...refused.values()].map(({ error, of }) => ({ ...error, message: said(error.message, of) })),
  };
}

/** What is said of one field of the form: by its check, or by whoever refused the order. */
export function fieldError(said: readonly { field: readonly string[] | null; message: string }[], ...path: string[]): string | undefined {
  return said.find(({ field }) => field !== null && path.every((part) => field.includes(part)))?.message;
}
