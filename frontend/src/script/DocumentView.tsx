import { useState } from 'react';

import { Button } from '@/ui';
import classes from './DocumentView.module.css';
import { lineDiff } from './lineDiff';

export interface DocumentViewProps {
  /** What it is, for those who cannot see where it stands. */
  label: string;
  content: string;
  /** What it is held against; null: nothing. */
  before: string | null;
}

/** A stored document, whole or as what differs from another. */
export function DocumentView({ label, content, before }: DocumentViewProps) {
  const [whole, setWhole] = useState(false);
  const differs = before !== null && before !== content;
  const lines = differs && !whole ? lineDiff(before, content) : null;
  return (
    <div className={classes.view}>
      {differs ? (
        <div className={classes.bar}>
          <Button size="compact-xs" variant="default" aria-pressed={whole} onClick={() => setWhole(!whole)}>
            {whole ? 'Show what differs' : 'Show the file as it will be'}
          </Button>
        </div>
      ) : null}
      <pre className={classes.text} tabIndex={0} role="region" aria-label={label}>
        {lines === null
          ? content
          : lines.map(({ kind, text }, i) => (
              <span key={i} className={classes.line} data-kind={kind}>
                <span className={classes.sign}>{kind === 'added' ? '+ ' : kind === 'removed' ? '- ' : '  '}</span>
                {text}
                {'\n'}
              </span>
            ))}
      </pre>
    </div>
  );
}
