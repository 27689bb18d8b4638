/** Something that was said of the input: where, and what. */
export type Said = readonly { field: readonly string[] | null; message: string }[];

const verbs: ReadonlySet<string> = new Set(['is', 'must', 'has', 'may', 'cannot']);

/** What is said of one field of the form: by its check, or by whoever refused the order. */
export function fieldError(said: Said, ...path: string[]): string | undefined {
  const found = said.find(({ field }) => field !== null && path.every((part) => field.includes(part)));
  // At the field everybody sees which one it is; its name in the interface says nothing to them.
  const [name, verb] = found?.message.split(' ', 2) ?? [];
  return name !== undefined && verb !== undefined && name === found?.field?.at(-1) && verbs.has(verb) ? `This${found.message.slice(name.length)}` : found?.message;
}
