import { useNavigate } from '@tanstack/react-router';
import { useEffect, useId, useMemo, useRef, useState, type KeyboardEvent } from 'react';

import { nextTimeMode, timeMode } from '@/lib/preferences';
import { Dialog, Kbd, StatusMark, TextInput, useTheme, type ThemeChoice } from '@/ui';
import classes from './Palette.module.css';
import { paletteItems, type PaletteItem } from './paletteItems';
import { useStream } from './services';
import { signOut, useMay } from './session';

const nextTheme: Record<ThemeChoice, ThemeChoice> = { auto: 'light', light: 'dark', dark: 'auto' };

export interface PaletteProps {
  onClose: () => void;
  onShortcuts: () => void;
}

/** Goes anywhere and does what has no place of its own, by typing a few letters. */
export function Palette({ onClose, onShortcuts }: PaletteProps) {
  const [typed, setTyped] = useState('');
  const [at, setAt] = useState(0);
  const navigate = useNavigate();
  const { fleet } = useStream();
  const operator = useMay('operator');
  const admin = useMay('admin');
  const { choice, choose } = useTheme();
  const id = useId();
  const list = useRef<HTMLUListElement>(null);
  // The fleet as it was when one began to type: a list must not move under one's fingers.
  const items = useMemo(() => paletteItems(typed, fleet.get().rows.values(), (role) => (role === 'admin' ? admin : operator)), [typed, fleet, operator, admin]);
  const chosen = Math.min(at, items.length - 1);

  useEffect(() => {
    list.current?.querySelector(`[data-at="${chosen}"]`)?.scrollIntoView({ block: 'nearest' });
  }, [chosen]);

  const run = (item: PaletteItem): void => {
    onClose();
    if (item.kind === 'page') void navigate({ to: item.to });
    else if (item.kind === 'filter') void navigate({ to: '/', search: { show: item.show } });
    else if (item.kind === 'id' && item.of === 'deployment') void navigate({ to: '/deployments/$deploymentId', params: { deploymentId: item.id } });
    else if (item.kind === 'id' && item.of === 'batch') void navigate({ to: '/batches/$batchId', params: { batchId: item.id } });
    else if (item.kind === 'id' && item.of === 'bulk') void navigate({ to: '/bulk/$bulkId', params: { bulkId: item.id } });
    else if (item.kind === 'id' && item.of === 'cluster') void navigate({ to: '/clusters/$clusterId', params: { clusterId: item.id } });
    else if (item.kind === 'id') void navigate({ to: '/history', search: { event: item.id } });
    else if (item.kind === 'node') void navigate({ to: '/nodes/$nodeId', params: { nodeId: item.nodeId } });
    else if (item.action === 'theme') choose(nextTheme[choice]);
    else if (item.action === 'time') timeMode.update(nextTimeMode);
    else if (item.action === 'shortcuts') onShortcuts();
    else void signOut();
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    const item = items[chosen];
    if (event.key === 'ArrowDown') setAt(Math.min(items.length - 1, chosen + 1));
    else if (event.key === 'ArrowUp') setAt(Math.max(0, chosen - 1));
    else if (event.key === 'Enter' && item) run(item);
    else return;
    event.preventDefault();
  };

  return (
    <Dialog opened onClose={onClose} title="Go to">
      <TextInput
        data-autofocus
        role="combobox"
        aria-label="Node, page or action"
        aria-expanded={items.length > 0}
        aria-controls={id}
        aria-autocomplete="list"
        aria-activedescendant={items.length === 0 ? undefined : `${id}-${chosen}`}
        placeholder="Name or address of a node, page, action …"
        autoComplete="off"
        spellCheck={false}
        value={typed}
        onChange={(event) => {
          setTyped(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
      />
      {items.length === 0 ? (
        <p className={classes.none} role="status">
          No node, page or action has this name.
        </p>
      ) : (
        <ul ref={list} id={id} role="listbox" aria-label="What there is" className={classes.list}>
          {items.map((item, i) => (
            // The keyboard is served by the field above, which owns this list.
            // eslint-disable-next-line jsx-a11y-x/click-events-have-key-events
            <li key={`${item.kind} ${item.key}`} id={`${id}-${i}`} data-at={i} role="option" aria-selected={i === chosen} className={classes.item} onClick={() => run(item)} onPointerMove={() => setAt(i)}>
              {item.kind === 'node' ? <StatusMark kind={item.status} compact /> : null}
              <span className={classes.label}>{item.label}</span>
              {item.hint === '' ? null : item.kind === 'page' || item.kind === 'action' ? (
                <span>
                  {item.hint.split(' ').map((key) => (
                    <Kbd key={key}>{key}</Kbd>
                  ))}
                </span>
              ) : (
                <span className={classes.hint}>{item.hint}</span>
              )}
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}
