import type { ApolloClient } from '@apollo/client';

import { problemsOf, type Problem } from '@/gql/client/ask';
import type { RequestContext } from '@/gql/client/client';
import { ValidateDocument, type CheckRowFragment, type DeployNodeInput, type RefusalFragment, type ValidateQuery } from '@/gql/generated/graphql';
import type { Said } from './fieldError';
import { impossible } from './impossible';
import { linesOf, type Order } from './order';

type Result = ValidateQuery['validateDeployment'];

/** A check that was asked for, and of what. */
export interface Checked {
  of: Order;
  /** Null when it could not be done; `problems` says why. */
  result: Result | null;
  /** Of each machine, in the order of the form; empty when nothing was asked. */
  each: readonly Result[];
  problems: readonly Problem[];
  /** In the words that stand at the fields, where they are others than those of the list. */
  short?: Said;
  /** Of the last request. */
  requestId: string | null;
}

/** Machines that are checked at the same time. */
const atOnce = 4;

/** The verdict on a form that is refused before the server is asked; null: it is to be asked. */
export function refusedHere(order: Order): Checked | null {
  const found = impossible(order);
  if (found.length === 0) return null;
  const errors = found.map(({ code, message, field, retryable }) => ({ code, message, field, retryable }));
  return { of: order, result: { ...refused, errors }, each: [], problems: [], short: found.map(({ short, field }) => ({ message: short, field })), requestId: null };
}

const refused: Result = { ok: false, ahead: 0, estimatedDuration: null, checks: [], errors: [] };

/** A request that the server could not read because of fields of the form is a verdict on the form. */
function verdictOf(problems: readonly Problem[]): Result | null {
  const errors: RefusalFragment[] = problems.flatMap(({ code, message, field }) => (code === 'INVALID' && field !== null ? [{ code, message, field: [...field], retryable: false }] : []));
  return problems.length > 0 && errors.length === problems.length ? { ...refused, errors } : null;
}

const ofOneLine: ReadonlySet<string> = new Set(['name', 'mac', 'serial', 'managementIp', 'url']);

/** What is wrong with the machine of each line of a table, as far as it was checked: the path is ["rows", line]. */
export function ofLines(checked: Checked): { field: string[]; message: string }[] {
  if (checked.of.ground !== 'RACK' || !checked.of.table) return [];
  const lines = linesOf(checked.of);
  return checked.each.flatMap(({ errors, checks }, i) => {
    const line = lines[i]?.line;
    if (line === undefined) return [];
    // A field that is refused fails as a check too: it is said once.
    const failing = errors.length > 0 ? [] : checks.filter(({ passed, severity }) => !passed && severity === 'ERROR');
    // What all of them have alike has a field of its own in the form.
    return [...errors, ...failing].filter(({ field }) => field === null || field.some((part) => ofOneLine.has(part))).map(({ message }) => ({ field: ['rows', String(line)], message }));
  });
}

/** The check-lists of all machines as one, or why there is none. Nothing is ordered by it. */
export async function check(client: ApolloClient, inputs: readonly DeployNodeInput[], progress: (done: number) => void): Promise<Omit<Checked, 'of'>> {
  const results: Result[] = [];
  let problems: Problem[] = [];
  let requestId: string | null = null;
  let next = 0;
  const failed = (i: number, why: Problem[]): void => {
    const verdict = verdictOf(why);
    if (verdict === null) problems = why;
    else results[i] = verdict;
  };
  const work = async (): Promise<void> => {
    while (next < inputs.length && problems.length === 0) {
      const i = next++;
      const input = inputs[i];
      if (input === undefined) return;
      try {
        const context: RequestContext = { onRequestId: (id) => { requestId = id; } };
        const { data, error } = await client.query({ query: ValidateDocument, variables: { input }, fetchPolicy: 'no-cache', context: { ...context } });
        if (data === undefined) failed(i, problemsOf(error));
        else results[i] = data.validateDeployment;
      } catch (error) {
        failed(i, problemsOf(error));
      }
      progress(results.filter(Boolean).length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, inputs.length) }, work));
  if (problems.length > 0) return { result: null, each: [], problems, requestId };
  return { result: merge(inputs.map(({ name }) => name), results), each: results, problems: [], requestId };
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
