import type { ReactNode } from 'react';

import classes from './EmptyState.module.css';

/** Says why there is nothing here, and what to do next. */
export function EmptyState({ title, children, mark, page = false }: { title: string; children?: ReactNode; mark?: ReactNode; /** It is the whole page: its title is the page's. */ page?: boolean }) {
  return (
    <div className={classes.empty}>
      {mark === undefined ? null : <div className={classes.mark}>{mark}</div>}
      {page ? <h1 className={classes.title}>{title}</h1> : <p className={classes.title}>{title}</p>}
      {children === undefined ? null : <div className={classes.text}>{children}</div>}
    </div>
  );
}
