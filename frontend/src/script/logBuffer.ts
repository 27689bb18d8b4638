import type { LogPiece } from '@/stream';
import { plainLine } from './plainLine';

/** What of a log is drawn. */
export interface LogView {
  /** Whole, without colours and cursor moves. */
  text: string;
  /** Lines before it that are not drawn. */
  hidden: number;
  /** Output before the first line was never read. */
  cutBefore: boolean;
  /** Grows with every change. */
  revision: number;
}

/** Lines that are drawn at most; more make a page slow, and nobody reads them there. */
const mostLines = 2000;
/** A line is cut after this many characters. */
const longest = 4000;

/** The end of a log, bounded, as text. */
export class LogBuffer {
  private lines: string[] = [];
  private last = '';
  private hidden = 0;
  private next: number | null = null;
  private cutBefore = false;
  private revision = 0;

  /** Adds pieces in their order; what was there already is passed over. */
  add(pieces: readonly LogPiece[]): void {
    for (const { text, offset } of pieces) {
      if (this.next === null && offset > 0) {
        this.cutBefore = true;
        this.skipHalfLine = true;
      }
      if (this.next !== null && offset < this.next) continue;
      this.next = offset + 1;
      this.take(text);
    }
    this.revision += 1;
  }

  view(): LogView {
    const open = plainLine(this.last);
    return { text: [...this.lines, ...(open === '' ? [] : [open])].join('\n'), hidden: this.hidden, cutBefore: this.cutBefore, revision: this.revision };
  }

  private skipHalfLine = false;

  private take(text: string): void {
    const parts = (this.last + text).split('\n');
    this.last = parts.pop() ?? '';
    // A line without an end must not grow for ever.
    if (this.last.length > 4 * longest) this.last = this.last.slice(-2 * longest);
    if (this.skipHalfLine && parts.length > 0) {
      parts.shift();
      this.skipHalfLine = false;
    }
    for (const part of parts) this.lines.push(plainLine(part).slice(0, longest));
    if (this.lines.length > mostLines) {
      this.hidden += this.lines.length - mostLines;
      this.lines = this.lines.slice(-mostLines);
    }
  }
}
