import { statusWords, type StatusKind } from '@/lib/states';
import classes from './StatusMark.module.css';

const stroke = { fill: 'none', stroke: 'currentColor', strokeWidth: 1.75, strokeLinecap: 'round', strokeLinejoin: 'round' } as const;

// One shape per kind: told apart without colour, in greyscale and at 14 px.
const shapes: Record<StatusKind, React.ReactNode> = {
  registered: <circle cx="8" cy="8" r="5.6" {...stroke} strokeDasharray="1.2 2.7" />,
  queued: <circle cx="8" cy="8" r="5.6" {...stroke} />,
  waiting: (
    <>
      <circle cx="8" cy="8" r="5.6" {...stroke} />
      <path d="M8 5v3l2 1.4" {...stroke} />
    </>
  ),
  running: (
    <>
      <circle cx="8" cy="8" r="5.6" {...stroke} />
      <path d="M8 2.4a5.6 5.6 0 0 1 0 11.2z" fill="currentColor" />
    </>
  ),
  // A sand-glass: time has run through.
  late: (
    <>
      <path d="M4 2h8M4 14h8M5 2.2v2.2L8 8l3-3.6V2.2M5 13.8v-2.2L8 8l3 3.6v2.2" {...stroke} strokeWidth={1.5} />
      <path d="M6.3 13.2 8 11l1.7 2.2z" fill="currentColor" />
    </>
  ),
  stalled: (
    <>
      <path d="M8 1.9 14.4 13.4H1.6z" {...stroke} />
      <path d="M6.9 7.2v3.6M9.1 7.2v3.6" {...stroke} strokeWidth={1.5} />
    </>
  ),
  succeeded: (
    <>
      <circle cx="8" cy="8" r="6.5" fill="currentColor" />
      <path d="m5.1 8.2 2 2 3.8-4.1" {...stroke} stroke="var(--sw-surface)" />
    </>
  ),
  failed: (
    <>
      <path d="M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2z" fill="currentColor" />
      <path d="m5.9 5.9 4.2 4.2M10.1 5.9l-4.2 4.2" {...stroke} stroke="var(--sw-surface)" />
    </>
  ),
  canceling: (
    <>
      <circle cx="8" cy="8" r="5.6" {...stroke} strokeDasharray="3.2 2.2" />
      <path d="m4.4 11.6 7.2-7.2" {...stroke} />
    </>
  ),
  canceled: (
    <>
      <circle cx="8" cy="8" r="5.6" {...stroke} />
      <path d="m4.1 11.9 7.8-7.8" {...stroke} />
    </>
  ),
  cleaning: (
    <>
      <rect x="2" y="4" width="12" height="8" rx="1" {...stroke} />
      <path d="M5 8h5.6M8.6 6.2 10.6 8l-2 1.8" {...stroke} strokeWidth={1.4} />
    </>
  ),
  cleaned: <rect x="2" y="4" width="12" height="8" rx="1" {...stroke} />,
  skipped: <path d="m3.4 4 4 4-4 4M8.6 4l4 4-4 4" {...stroke} />,
  unknown: (
    <>
      <rect x="2.2" y="2.2" width="11.6" height="11.6" rx="3" {...stroke} />
      <path d="M6.3 6.4c.2-2 3.4-2 3.4 0 0 1.3-1.7 1.3-1.7 2.7M8 11.3v.05" {...stroke} strokeWidth={1.5} />
    </>
  ),
};

export interface StatusMarkProps {
  kind: StatusKind;
  /** The word beside the shape; the kind's own when left out. */
  word?: string;
  /** Shows the shape alone; the word is still there for assistive technology. */
  compact?: boolean;
  /** Turns while it is running; for the one mark a page is about. */
  live?: boolean;
}

/** A status: shape, word and colour together. */
export function StatusMark({ kind, word = statusWords[kind], compact = false, live = false }: StatusMarkProps) {
  return (
    <span className={classes.mark} data-kind={kind} data-live={live || undefined}>
      <svg className={classes.shape} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
        {shapes[kind]}
      </svg>
      <span className={compact ? classes.hidden : classes.word}>{word}</span>
    </span>
  );
}
