import type { ReactNode } from 'react';

import classes from './DeployPage.module.css';

/**
 * What stands between a field's name and the field: what it means, or else what
 * is wrong with it. An error takes the place of the description, so that a
 * check moves nothing on the page.
 */
export function told(description: string, error: string | undefined): { description: ReactNode; error?: true } {
  if (error === undefined) return { description: description === '' ? '\u00a0' : description };
  return { description: <span className={classes.wrong}>{error}</span>, error: true };
}
