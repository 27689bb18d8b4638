import raw from '../schema.json';

/**
 * The rules of a document, generated from the server's own: a JSON Schema whose
 * parts name the key of the error that they stand for. Rules across fields and
 * cards are the server's alone.
 */

/** As much of a schema as the generated one uses. */
interface Schema {
  $ref?: string;
  type?: 'object' | 'array' | 'string';
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  required?: readonly string[];
  minProperties?: number;
  maxProperties?: number;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  contains?: Schema;
  enum?: readonly string[];
  const?: string;
  pattern?: string;
  anyOf?: readonly Schema[];
  not?: Schema;
  if?: Schema;
  then?: Schema;
  else?: Schema;
  description?: string;
  'x-key'?: string;
  'x-required-key'?: string;
}

const schema = raw as unknown as Schema & { $defs: Record<string, Schema>; 'x-errors': Record<string, { code: string; text: string }> };

/** A rule that a document breaks. */
export interface Broken {
  /** Path in the document, with dots: the same as the server's. */
  path: string;
  /** Key of the error. */
  key: string;
  /** In words, to be read after the field's name. */
  text: string;
}

interface Fault {
  path: string;
  /** Null: the schema has no words for it, and leaves it to the server. */
  key: string | null;
  fill: Record<string, string>;
}

const resolve = (node: Schema): Schema => {
  if (node.$ref === undefined) return node;
  const { $ref, ...own } = node;
  const target = schema.$defs[$ref.replace('#/$defs/', '')];
  if (!target) throw new Error(`the schema has no ${$ref}`);
  return { ...resolve(target), ...own };
};

const patterns = new Map<string, RegExp>();
const matches = (pattern: string, text: string): boolean => {
  let compiled = patterns.get(pattern);
  if (!compiled) patterns.set(pattern, (compiled = new RegExp(pattern, 'u')));
  return compiled.test(text);
};

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const valid = (node: Schema, value: unknown): boolean => faults(node, value, '', null).length === 0;
const at = (path: string, part: string | number): string => (path === '' ? String(part) : `${path}.${part}`);

/** Everything that a value breaks; the key of the nearest part that has one goes with it. */
function faults(unresolved: Schema, value: unknown, path: string, inherited: string | null): Fault[] {
  const node = resolve(unresolved);
  const key = node['x-key'] ?? inherited;
  const missing = node['x-required-key'] ?? key;
  const out: Fault[] = [];
  const fault = (which: string | null, fill: Record<string, string> = {}): void => void out.push({ path, key: which, fill });

  if (node.type === 'object' && !isObject(value)) fault(null);
  if (node.type === 'array' && !Array.isArray(value)) fault(null);
  if (node.type === 'string' && typeof value !== 'string') fault(null);
  if (out.length > 0) return out;

  if (typeof value === 'string') {
    const fill = { value };
    if (node.enum && !node.enum.includes(value)) fault(key, { ...fill, allowed: node.enum.join(', ') });
    if (node.pattern !== undefined && !matches(node.pattern, value)) fault(key, fill);
  }
  if (node.const !== undefined && node.const !== value) fault(key);
  if (Array.isArray(value)) arrayFaults(node, value, path, key, missing, out);
  if (isObject(value)) objectFaults(node, value, path, missing, out);
  if (node.anyOf && !node.anyOf.some((each) => valid(each, value))) {
    const [first = {}] = node.anyOf;
    out.push(...faults(first, value, path, key).slice(0, 1));
  }
  if (node.not && valid(node.not, value)) fault(key);
  if (node.if) {
    const branch = valid(node.if, value) ? node.then : node.else;
    if (branch) out.push(...faults(branch, value, path, null));
  }
  return out;
}

function arrayFaults(node: Schema, value: readonly unknown[], path: string, key: string | null, missing: string | null, out: Fault[]): void {
  const { contains, items } = node;
  if (value.length < (node.minItems ?? 0)) out.push({ path, key: missing, fill: {} });
  else if (contains && !value.some((each) => valid(contains, each))) out.push({ path, key: missing, fill: { allowed: contains.enum?.join(', ') ?? '' } });
  if (value.length > (node.maxItems ?? Infinity)) out.push({ path, key: null, fill: {} });
  if (node.uniqueItems && new Set(value).size < value.length) out.push({ path, key: null, fill: {} });
  if (items) value.forEach((each, i) => out.push(...faults(items, each, at(path, i), key)));
}

function objectFaults(node: Schema, value: Record<string, unknown>, path: string, missing: string | null, out: Fault[]): void {
  const names = Object.keys(value);
  if (names.length < (node.minProperties ?? 0)) out.push({ path, key: missing, fill: {} });
  for (const name of node.required ?? []) {
    if (name in value) continue;
    const wanted = node.properties?.[name];
    const part = wanted ? resolve(wanted) : {};
    out.push({ path: at(path, name), key: part['x-required-key'] ?? null, fill: { allowed: part.items?.enum?.join(', ') ?? '' } });
  }
  for (const name of names) {
    const pattern = Object.entries(node.patternProperties ?? {}).find(([each]) => matches(each, name))?.[1];
    const part = node.properties?.[name] ?? pattern ?? (typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined);
    if (part) out.push(...faults(part, value[name], at(path, name), null));
    else if (node.additionalProperties === false) out.push({ path: at(path, name), key: 'unknown_field', fill: {} });
  }
}

/** The words of an error; what is not known of it is left open. */
export function wordsOf(key: string, fill: Record<string, string> = {}): string {
  return (schema['x-errors'][key]?.text ?? key.replaceAll('_', ' ')).replaceAll(/\{(\w+)\}/g, (_, name: string) => fill[name] ?? '…');
}

/** What of a document breaks a rule that the form can judge: one for each place. */
export function check(document: unknown): Broken[] {
  const seen = new Set<string>();
  const out: Broken[] = [];
  for (const { path, key, fill } of faults({ $ref: '#/$defs/document' }, document, '', null)) {
    if (key === null || seen.has(path)) continue;
    seen.add(path);
    out.push({ path, key, text: wordsOf(key, fill) });
  }
  return out;
}

const part = (name: string): Schema => schema.$defs[name] ?? {};
const listed = (node: Schema | undefined): readonly string[] => node?.enum ?? [];

/** The types of an interface. */
export const types: readonly string[] = listed(part('plain').properties?.type?.items);
/** Types of interfaces that have no address. */
export const addressless: ReadonlySet<string> = new Set(listed(part('plain').if?.properties?.type?.contains));
/** What a node may do; the role that is always added is not among them. */
export const roles: readonly string[] = listed(part('document').properties?.roles?.contains);
/** The role that every document has. */
export const addedRoles: readonly string[] = listed(part('document').properties?.roles?.items).filter((role) => !roles.includes(role));
/** Packet sizes; without the word for none. */
export const mtus: readonly string[] = listed(part('properties').properties?.mtu).filter((mtu) => mtu !== 'NULL');
