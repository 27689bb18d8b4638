import type { ReactNode } from 'react';

import classes from './EmptyState.module.css';

/** Says why there is nothing here, and what to do next. */
export function EmptyState({ title, children, mark }: { title: string; children?: ReactNode; mark?: ReactNode }) {
  return (
    <div className={classes.empty}>
      {mark === undefined ? null : <div className={classes.mark}>{mark}</div>}
      <p className={classes.title}>{title}</p>
      {children === undefined ? null : <div className={classes.text}>{children}</div>}
    </div>
  );
}
