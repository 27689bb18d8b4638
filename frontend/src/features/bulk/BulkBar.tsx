import { Suspense, useState, type ReactNode } from 'react';

import { useMay } from '@/app/session';
import { plural } from '@/lib/format';
import { Button, lazyDialog } from '@/ui';
import classes from './Bulk.module.css';
import { mostChosen, type BulkChoice } from './request';
import { actionWords, bulkActions, type BulkActionName } from './words';

// Only for those who ask for it.
const BulkDialog = lazyDialog('This dialog', () => import('./BulkDialog').then(({ BulkDialog: component }) => component));

export interface BulkBarProps {
  /** What is selected: deployments by their ids, or machines by a filter. */
  choice: BulkChoice;
  /** How many that is, as it is shown to whoever selected. */
  count: number;
  /** Nothing is selected any more. */
  onClear: () => void;
  /** Rows that show at once that an action was asked of them. */
  targets?: (action: BulkActionName) => { id: string; version: number }[];
  /** More to choose, beside the count. */
  children?: ReactNode;
}

/**
 * What can be asked of what is selected. To be mounted above a table while at
 * least one row is selected; shows nothing to those who may not.
 */
export function BulkBar({ choice, count, onClear, targets, children }: BulkBarProps) {
  const may = useMay('operator');
  const [asking, setAsking] = useState<BulkActionName | null>(null);
  if (!may || count === 0) return null;
  const tooMany = count > mostChosen;
  return (
    <div className={classes.bar} role="group" aria-label="Selected deployments">
      <span className={classes.selected}>{count.toLocaleString('en')} selected</span>
      {children}
      {bulkActions.map((action) => (
        <Button key={action} size="compact-sm" variant="default" disabled={tooMany} className={actionWords[action].destroys ? classes.destroys : undefined} onClick={() => setAsking(action)}>
          {actionWords[action].label}…
        </Button>
      ))}
      <Button size="compact-sm" variant="subtle" color="gray" onClick={onClear}>
        Clear
      </Button>
      {tooMany ? <span className={classes.quiet}>At most {plural(mostChosen, 'deployment')} at a time: filter first.</span> : null}
      <Suspense>{asking === null ? null : <BulkDialog choice={choice} action={asking} shown={count} {...(targets === undefined ? {} : { targets })} onClose={() => setAsking(null)} onStarted={onClear} />}</Suspense>
    </div>
  );
}
