import { Link } from '@tanstack/react-router';

import type { TimeMode } from '@/lib/format';
import { timeMode } from '@/lib/preferences';
import { useStore } from '@/lib/store';
import { Button, IconButton, Popover, SegmentedControl, useTheme, type ThemeChoice } from '@/ui';
import { session, signOut } from './session';
import classes from './SettingsMenu.module.css';

const themes: { value: ThemeChoice; label: string }[] = [
  { value: 'auto', label: 'System' },
  { value: 'light', label: 'Light' },
  { value: 'dark', label: 'Dark' },
];
const times: { value: TimeMode; label: string }[] = [
  { value: 'local', label: 'Local' },
  { value: 'utc', label: 'UTC' },
  { value: 'relative', label: 'Relative' },
];

/** Theme and times. */
export function Appearance() {
  const { choice, choose } = useTheme();
  const time = useStore(timeMode);
  return (
    <>
      <div className={classes.part}>
        <span className={classes.name} aria-hidden="true">
          Theme
        </span>
        <SegmentedControl
          fullWidth
          size="xs"
          aria-label="Theme"
          data={themes}
          value={choice}
          onChange={(value) => {
            const theme = themes.find((each) => each.value === value);
            if (theme) choose(theme.value);
          }}
        />
      </div>
      <div className={classes.part}>
        <span className={classes.name} aria-hidden="true">
          Times
        </span>
        <SegmentedControl
          fullWidth
          size="xs"
          aria-label="Times"
          data={times}
          value={time}
          onChange={(value) => {
            const mode = times.find((each) => each.value === value);
            if (mode) timeMode.set(mode.value);
          }}
        />
      </div>
    </>
  );
}

/** Theme, times and who is signed in. */
export function SettingsMenu() {
  const who = useStore(session);
  return (
    <Popover position="bottom-end" width={270} shadow="md" trapFocus transitionProps={{ duration: 0 }}>
      <Popover.Target>
        <IconButton variant="subtle" color="gray" size="md" aria-label="Settings" title="Theme, times, sign-out" className={classes.button}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d="M2 4.5h7M13 4.5h1M2 11.5h1M7 11.5h7" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" />
            <circle cx="11" cy="4.5" r="1.9" fill="none" stroke="currentColor" strokeWidth="1.6" />
            <circle cx="5" cy="11.5" r="1.9" fill="none" stroke="currentColor" strokeWidth="1.6" />
          </svg>
        </IconButton>
      </Popover.Target>
      <Popover.Dropdown aria-label="Settings" className={classes.dropdown}>
        <Appearance />
        <div className={classes.who}>
          {who.status === 'signed-in' ? (
            <span>
              {who.name} <span className={classes.role}>{who.role}</span>
            </span>
          ) : null}
          <Link to="/settings" className={classes.all}>
            All settings
          </Link>
          <Button size="compact-xs" variant="default" onClick={() => void signOut()}>
            Sign out
          </Button>
        </div>
      </Popover.Dropdown>
    </Popover>
  );
}
