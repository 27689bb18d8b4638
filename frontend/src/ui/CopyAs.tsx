import { Button, Popover } from '@mantine/core';

import type { Handoff } from '@/lib/handoff';
import { Command } from './Command';
import classes from './CopyAs.module.css';

/** What the page shows, as commands to copy. */
export function CopyAs({ handoff, size = 'compact-sm' }: { handoff: Handoff; size?: 'compact-sm' | 'compact-xs' }) {
  return (
    <Popover position="bottom-end" width="min(460px, calc(100vw - 24px))" shadow="md" trapFocus transitionProps={{ duration: 0 }}>
      <Popover.Target>
        <Button size={size} variant="default">
          Copy as…
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={`${handoff.title}: the same by other means`} className={classes.box}>
        {handoff.cli === null ? null : (
          <div>
            <p className={classes.title}>Command line</p>
            <Command label="Command of slipway">{handoff.cli}</Command>
          </div>
        )}
        <div>
          <p className={classes.title}>curl</p>
          <Command label="Call by curl">{handoff.curl}</Command>
        </div>
        <div>
          <p className={classes.title}>GraphQL</p>
          <Command label="Document of GraphQL">{handoff.graphql}</Command>
        </div>
        <p className={classes.note}>The token comes from the environment, SLIPWAY_TOKEN; it is not copied.</p>
      </Popover.Dropdown>
    </Popover>
  );
}
