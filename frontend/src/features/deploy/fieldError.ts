/** Something that was said of the input: where, and what. */
export type Said = readonly { field: readonly string[] | null; message: string }[];

/** What is said of one field of the form: by its check, or by whoever refused the order. */
export function fieldError(said: Said, ...path: string[]): string | undefined {
  return said.find(({ field }) => field !== null && path.every((part) => field.includes(part)))?.message;
}
