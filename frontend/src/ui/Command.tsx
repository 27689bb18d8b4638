import { Button } from '@mantine/core';
import { useClipboard } from '@mantine/hooks';

import classes from './Command.module.css';

/** A command line to copy. */
export function Command({ children, label = 'Command' }: { children: string; label?: string }) {
  const clipboard = useClipboard({ timeout: 2000 });
  return (
    <div className={classes.command}>
      <code className={classes.text} title={label}>
        {children}
      </code>
      <Button size="compact-xs" variant="default" className={classes.copy} onClick={() => clipboard.copy(children)}>
        {clipboard.copied ? 'Copied' : 'Copy'}
      </Button>
    </div>
  );
}
