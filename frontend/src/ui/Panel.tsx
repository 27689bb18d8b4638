import { useId, type ReactNode } from 'react';

import classes from './Panel.module.css';

export interface PanelProps {
  title: string;
  /** Beside the title, on the right. */
  actions?: ReactNode;
  /** Draws attention to what is wrong. */
  tone?: 'plain' | 'failed' | 'stalled';
  /** The content reaches the edges. */
  flush?: boolean;
  children: ReactNode;
}

/** A titled part of a page. */
export function Panel({ title, actions, tone = 'plain', flush = false, children }: PanelProps) {
  const id = useId();
  return (
    <section className={classes.panel} data-tone={tone} aria-labelledby={id}>
      <header className={classes.head}>
        <h2 className={classes.title} id={id}>
          {title}
        </h2>
        {actions === undefined ? null : <div className={classes.actions}>{actions}</div>}
      </header>
      <div className={flush ? undefined : classes.body}>{children}</div>
    </section>
  );
}
