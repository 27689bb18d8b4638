import { createStore, type Store } from '@/lib/store';
import { copyOf, newCard, type Card } from './card';

/** A card that was taken away, and where it was. */
export interface Removed {
  card: Card;
  index: number;
}

/** The cards of this browser. */
export interface Drafts {
  cards: readonly Card[];
  /** The last ones that were taken away together, for whoever takes that back. */
  removed: readonly Removed[];
}

const key = 'slipway.apply.cards';
const version = 1;
/** Changes are written after this pause, in ms. */
const pause = 300;

const isCard = (value: unknown): value is Card => {
  const card = value as Partial<Card> | null;
  return typeof card === 'object' && card !== null && typeof card.id === 'string' && typeof card.hostname === 'string' && Array.isArray(card.rows) && typeof card.cloud === 'object' && Array.isArray(card.roles);
};

function read(): readonly Card[] {
  try {
    const saved = JSON.parse(localStorage.getItem(key) ?? 'null') as { version?: unknown; cards?: unknown } | null;
    // What another version of the app wrote is not guessed at.
    if (saved?.version !== version || !Array.isArray(saved.cards)) return [];
    return saved.cards.filter(isCard).map((card) => newCard(card));
  } catch {
    // Storage may be forbidden, or hold something else.
    return [];
  }
}

/** The cards that are being filled in: kept in this browser, not on the server, until they are applied. */
export class DraftStore {
  readonly state: Store<Drafts> = createStore<Drafts>({ cards: read(), removed: [] });
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.state.subscribe(() => {
      this.timer ??= setTimeout(() => this.save(), pause);
    });
    globalThis.addEventListener('pagehide', () => this.save());
  }

  /** Writes what there is. */
  save(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    try {
      localStorage.setItem(key, JSON.stringify({ version, cards: this.state.get().cards }));
    } catch {
      // The cards then last as long as the page.
    }
  }

  /** Changes a card by hand. */
  readonly change = (id: string, edit: (card: Card) => Card): void => {
    this.state.update((state) => {
      const cards = state.cards.map((card) => {
        if (card.id !== id) return card;
        const next = edit(card);
        return next === card ? card : { ...next, changedAt: new Date().toISOString() };
      });
      return { ...state, cards };
    });
  };

  /** Opens cards, or closes them; that is no change of what they say. */
  readonly fold = (ids: readonly string[] | 'all', collapsed: boolean): void => {
    this.state.update((state) => ({ ...state, cards: state.cards.map((card) => (card.collapsed !== collapsed && (ids === 'all' || ids.includes(card.id)) ? { ...card, collapsed } : card)) }));
  };

  readonly add = (cards: readonly Card[]): void => {
    this.state.update((state) => ({ ...state, cards: [...state.cards, ...cards] }));
  };

  /** Puts a copy behind a card; gives its id. */
  readonly copy = (id: string): string | null => {
    const { cards } = this.state.get();
    const index = cards.findIndex((card) => card.id === id);
    const card = cards[index];
    if (!card) return null;
    const made = copyOf(card, cards);
    this.state.update((state) => ({ ...state, cards: cards.toSpliced(index + 1, 0, made) }));
    return made.id;
  };

  readonly remove = (ids: readonly string[]): void => {
    this.state.update(({ cards }) => {
      const removed = cards.flatMap((card, index) => (ids.includes(card.id) ? [{ card, index }] : []));
      return { cards: cards.filter(({ id }) => !ids.includes(id)), removed };
    });
  };

  /** Brings back what was taken away last, to where it was. */
  readonly undo = (): void => {
    this.state.update(({ cards, removed }) => {
      const all = [...cards];
      for (const { card, index } of removed) all.splice(Math.min(index, all.length), 0, card);
      return { cards: all, removed: [] };
    });
  };

  /** Puts a whole card in the place of another. */
  readonly replace = (id: string, card: Card): void => {
    this.state.update((state) => ({ ...state, cards: state.cards.map((each) => (each.id === id ? { ...card, id } : each)) }));
  };
}
