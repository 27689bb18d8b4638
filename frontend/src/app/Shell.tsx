import { Link, Outlet, useLocation, useNavigate } from '@tanstack/react-router';
import { Suspense, useEffect, useRef, useState } from 'react';

import { problemsOf } from '@/gql/client/ask';
import { nextTimeMode, timeMode } from '@/lib/preferences';
import { useStore } from '@/lib/store';
import { isBehind } from '@/stream';
import { IconButton, Problems, VisuallyHidden, lazyDialog } from '@/ui';
import { announcement } from './announcer';
import { FleetAnnouncer } from './FleetAnnouncer';
import { FreshnessPill } from './FreshnessPill';
import { placeOf, placesFor } from './places';
import { useMay } from './session';
import { SettingsMenu } from './SettingsMenu';
import { useStream } from './services';
import classes from './Shell.module.css';
import { useShortcuts } from './shortcuts';

const ShortcutsDialog = lazyDialog('The list of shortcuts', () => import('./ShortcutsDialog').then(({ ShortcutsDialog: component }) => component));
const Palette = lazyDialog('Search', () => import('./Palette').then(({ Palette: component }) => component));

/** The frame of every page: where one is, how fresh it is, and one's settings. */
export function Shell() {
  const [help, setHelp] = useState(false);
  const [palette, setPalette] = useState(false);
  const navigate = useNavigate();
  const { mode } = useStore(useStream().status);
  useShortcuts({
    '?': () => setHelp(true),
    t: () => timeMode.update(nextTimeMode),
    'g f': () => void navigate({ to: '/' }),
    'g o': () => void navigate({ to: '/overview' }),
    'g h': () => void navigate({ to: '/history' }),
    'g c': () => void navigate({ to: '/clusters' }),
    'g d': () => void navigate({ to: '/deploy' }),
    'g a': () => void navigate({ to: '/artifacts' }),
    'g s': () => void navigate({ to: '/settings' }),
    'g i': () => void navigate({ to: '/insights' }),
    'g b': () => void navigate({ to: '/bulk' }),
    'g p': () => void navigate({ to: '/apply' }),
    'g r': () => void navigate({ to: '/apply/runs' }),
  });
  usePaletteKey(() => setPalette((opened) => !opened));
  return (
    <div className={classes.shell}>
      <a className={classes.skip} href="#main">
        Skip to content
      </a>
      <header className={classes.bar}>
        <Link to="/" className={classes.brand} aria-label="Slipway">
          <Logo />
          <span>Slipway</span>
        </Link>
        <Places />
        <div className={classes.right}>
          <FreshnessPill />
          <IconButton variant="subtle" color="gray" size="md" aria-label="Go to a node, page or action" title="Go to … (Ctrl K or ⌘K)" onClick={() => setPalette(true)} className={classes.find}>
            <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
              <circle cx="7" cy="7" r="4.4" fill="none" stroke="currentColor" strokeWidth="1.7" />
              <path d="m10.4 10.4 3.4 3.4" stroke="currentColor" strokeWidth="1.7" strokeLinecap="round" />
            </svg>
          </IconButton>
          <IconButton variant="subtle" color="gray" size="md" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={() => setHelp(true)} className={classes.help}>
            <span aria-hidden="true">?</span>
          </IconButton>
          <SettingsMenu />
        </div>
      </header>
      <main id="main" tabIndex={-1} className={classes.main} data-behind={isBehind(mode) || undefined}>
        <Refusal />
        <Outlet />
      </main>
      <LiveRegion />
      <FleetAnnouncer />
      <Suspense>{help ? <ShortcutsDialog opened onClose={() => setHelp(false)} /> : null}</Suspense>
      {palette ? (
        <Suspense fallback={null}>
          <Palette onClose={() => setPalette(false)} onShortcuts={() => setHelp(true)} />
        </Suspense>
      ) : null}
    </div>
  );
}

/** Why nothing live comes although the connection stands. */
export function Refusal() {
  const refused = useStore(useStream().refusal);
  if (refused === null) return null;
  return <Problems title="The server refuses to stream. It is asked again by itself; what is shown may be old or missing." problems={problemsOf(refused.error)} />;
}

/** Ctrl K and ⌘K, also while one types. */
function usePaletteKey(toggle: () => void): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (event.key.toLowerCase() !== 'k' || event.shiftKey || event.altKey || event.ctrlKey === event.metaKey) return;
      event.preventDefault();
      toggle();
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  });
}

/** Where one may go. On a narrow screen the row is moved so that where one is can be seen. */
function Places() {
  const operator = useMay('operator');
  const admin = useMay('admin');
  const pathname = useLocation({ select: (location) => location.pathname });
  const here = placeOf(pathname);
  const list = useRef<HTMLElement>(null);
  useEffect(() => {
    list.current?.querySelector('[aria-current="page"]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [here]);
  return (
    <nav ref={list} aria-label="Pages" className={classes.places}>
      {placesFor((role) => (role === 'admin' ? admin : operator)).map(({ to, label }) => (
        // Where one is follows from the address alone; the router's own guess knows no pages below others.
        <Link key={to} to={to} activeProps={{}} aria-current={here === to ? 'page' : undefined} className={here === to ? `${classes.place} ${classes.here}` : classes.place}>
          {label}
        </Link>
      ))}
    </nav>
  );
}

function LiveRegion() {
  const text = useStore(announcement);
  return (
    <VisuallyHidden role="status" aria-live="polite">
      {text}
    </VisuallyHidden>
  );
}

function Logo() {
  return (
    <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
      <path d="M3 19.5 21 11" stroke="currentColor" strokeWidth="2" strokeLinecap="round" />
      <path d="m6.2 12.6 9.3-4.4-.700 4.3-6.3 3z" fill="currentColor" />
      <path d="M3 22.5h18" stroke="var(--sw-muted)" strokeWidth="1.5" strokeLinecap="round" />
    </svg>
  );
}
