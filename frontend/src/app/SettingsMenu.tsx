import { timeMode } from '@/lib/preferences';
import type { TimeMode } from '@/lib/format';
import { useStore } from '@/lib/store';
import { IconButton, Menu, useTheme, type ThemeChoice } from '@/ui';
import { session, signOut } from './session';
import classes from './SettingsMenu.module.css';

const themes: { value: ThemeChoice; label: string }[] = [
  { value: 'auto', label: 'Like the system' },
  { value: 'light', label: 'Light' },
  { value: 'dark', label: 'Dark' },
];
const times: { value: TimeMode; label: string }[] = [
  { value: 'local', label: 'Local time' },
  { value: 'utc', label: 'UTC' },
  { value: 'relative', label: 'Relative' },
];

/** Theme, times and who is signed in. */
export function SettingsMenu() {
  const { choice, choose } = useTheme();
  const time = useStore(timeMode);
  const who = useStore(session);
  return (
    <Menu position="bottom-end" width={210} shadow="md" transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <IconButton variant="subtle" color="gray" size="md" aria-label="Settings" title="Theme, times, sign-out" className={classes.button}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d="M2 4.5h7M13 4.5h1M2 11.5h1M7 11.5h7" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" />
            <circle cx="11" cy="4.5" r="1.9" fill="none" stroke="currentColor" strokeWidth="1.6" />
            <circle cx="5" cy="11.5" r="1.9" fill="none" stroke="currentColor" strokeWidth="1.6" />
          </svg>
        </IconButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Theme</Menu.Label>
        {themes.map(({ value, label }) => (
          <Choice key={value} chosen={choice === value} label={label} onChoose={() => choose(value)} />
        ))}
        <Menu.Divider />
        <Menu.Label>Times</Menu.Label>
        {times.map(({ value, label }) => (
          <Choice key={value} chosen={time === value} label={label} onChoose={() => timeMode.set(value)} />
        ))}
        <Menu.Divider />
        {who.status === 'signed-in' ? (
          <Menu.Label>
            {who.name} · {who.role}
          </Menu.Label>
        ) : null}
        <Menu.Item onClick={() => void signOut()}>Sign out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function Choice({ chosen, label, onChoose }: { chosen: boolean; label: string; onChoose: () => void }) {
  return (
    <Menu.Item role="menuitemradio" aria-checked={chosen} onClick={onChoose} rightSection={<span aria-hidden="true">{chosen ? '✓' : ''}</span>}>
      {label}
    </Menu.Item>
  );
}
