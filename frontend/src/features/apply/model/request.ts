import type { Card } from './card';
import { fieldOf, toDocument, type Field, type NodeDocument, type Written } from './document';
import { ownAddress } from './read';
import { check, wordsOf } from './schema';

/** What is wrong with a field of a card. */
export interface FieldError {
  cardId: string;
  /** Null: it is about the card as a whole. */
  field: Field | null;
  key: string | null;
  /** To be read after the name of the field, or alone. */
  text: string;
  /** Who says so. */
  by: 'form' | 'server';
}

/** The body of a request, and whose its parts are. */
export interface Request {
  /** An object of documents by address or name, or a list of documents. */
  body: Record<string, NodeDocument> | readonly NodeDocument[];
  /** Ids of the cards by their position in the body. */
  order: readonly string[];
  /** What each card was written as. */
  written: ReadonlyMap<string, Written>;
  /** What the form itself finds wrong. */
  errors: readonly FieldError[];
}

const writtenCards = new WeakMap<Card, { written: Written; errors: readonly FieldError[] }>();

/** A card's document, and what of it breaks a rule that the form can judge. Remembered for each card as it is. */
export function writtenCard(card: Card): { written: Written; errors: readonly FieldError[] } {
  const held = writtenCards.get(card);
  if (held) return held;
  const written = toDocument(card);
  const errors = check(written.document).map(({ path, key, text }): FieldError => ({ cardId: card.id, field: fieldOf(path, written.places), key, text, by: 'form' }));
  const made = { written, errors };
  writtenCards.set(card, made);
  return made;
}

/** Whom a card is for, as far as it says so. */
export const identityOf = (card: Card): string => card.key.trim() || ownAddress(card) || card.hostname.trim();

/**
 * The request for some cards. It is a list unless one of them has a key, for a
 * list keeps the order of the cards. The members of an object are in the order
 * of their names: so they are numbered by whoever reads them.
 */
export function requestOf(cards: readonly Card[]): Request {
  const made = cards.map((card) => ({ card, ...writtenCard(card) }));
  const written = new Map(made.map(({ card, written: each }) => [card.id, each]));
  const errors = made.flatMap((each) => each.errors);
  const keyed = cards.some(({ key }) => key.trim() !== '');
  const byKey = new Map<string, Card>();
  const twice: FieldError[] = [];
  for (const card of keyed ? cards : []) {
    const key = identityOf(card);
    const other = byKey.get(key);
    if (other) twice.push({ cardId: card.id, field: 'key', key: 'node_twice', text: wordsOf('node_twice', { other: other.hostname.trim() || key }), by: 'form' });
    else byKey.set(key, card);
  }
  if (!keyed || twice.length > 0) return { body: made.map((each) => each.written.document), order: cards.map(({ id }) => id), written, errors: [...twice, ...errors] };
  const sorted = [...byKey].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    body: Object.fromEntries(sorted.map(([key, card]) => [key, written.get(card.id)?.document ?? {}])),
    order: sorted.map(([, card]) => card.id),
    written,
    errors,
  };
}

/** As much of a refusal as tells where it belongs. */
export interface ServerError {
  code: string | null;
  message: string;
  field: readonly string[] | null;
  key?: string | null;
}

/** Puts the server's errors at the fields of the cards; what belongs to none of them comes back as it is. */
export function placeErrors(errors: readonly ServerError[], { order, written }: Pick<Request, 'order' | 'written'>): { placed: FieldError[]; rest: ServerError[] } {
  const placed: FieldError[] = [];
  const rest: ServerError[] = [];
  for (const error of errors) {
    // The path may come as one text with dots, and within an input of another name.
    const parts = (error.field ?? []).flatMap((part) => part.split('.'));
    const at = parts.indexOf('cards');
    const cardId = at < 0 ? undefined : order[Number(parts[at + 1])];
    if (cardId === undefined) {
      rest.push(error);
      continue;
    }
    const path = parts.slice(at + 2);
    const last = path.at(-1);
    const text = last !== undefined && error.message.startsWith(`${last} `) ? error.message.slice(last.length + 1) : error.message;
    placed.push({ cardId, field: path.length === 0 ? null : fieldOf(path.join('.'), written.get(cardId)?.places ?? new Map()), key: error.key ?? null, text, by: 'server' });
  }
  return { placed, rest };
}

/** What is told of each card: the server's word where it has one, else the form's. One for each field. */
export function mergeErrors(form: readonly FieldError[], server: readonly FieldError[]): Map<string, FieldError[]> {
  const byCard = new Map<string, Map<string, FieldError>>();
  for (const error of [...server, ...form]) {
    const fields = byCard.get(error.cardId) ?? new Map<string, FieldError>();
    byCard.set(error.cardId, fields);
    // What is about a card as a whole is told beside what else is.
    const name = error.field ?? `card ${error.text}`;
    if (!fields.has(name)) fields.set(name, error);
  }
  return new Map([...byCard].map(([id, fields]) => [id, [...fields.values()]]));
}

/** The body as a file. */
export const asFile = (cards: readonly Card[]): string => `${JSON.stringify(requestOf(cards).body, null, 2)}\n`;
