import { createElement, useCallback, useEffect, useId, useReducer, useRef, useState, type ComponentType, type ReactNode } from 'react';
import { createPortal } from 'react-dom';

import { Button } from '@mantine/core';
import { EmptyState } from './EmptyState';
import classes from './lazyPart.module.css';
import { StatusMark } from './StatusMark';
import { useFocusBack } from './useFocusBack';

/** Where it is written down when the page was last loaded anew for a part. */
const reloadedAt = 'slipway.reloaded-for-a-part';

export interface LazyPartOptions {
  /** It is a whole page: its title is the page's. */
  page?: boolean;
  /** Whether the server gives the page itself: if so, it has another version's parts by now. */
  answers?: () => Promise<boolean>;
  reload?: () => void;
  /** What it is called: it is a dialog, and so is what says that it could not be loaded. */
  dialog?: string;
}

/** A component whose code comes when it is first needed. */
export type LazyPart<Props extends object> = ((props: Props) => ReactNode) & {
  /** Fetches the code before it is needed; a failure is found out when it is. */
  preload: () => Promise<void>;
};

/**
 * Makes one. Other than React's and the router's own it does not keep a failure
 * for ever, and never takes the page away that is shown: while the server is
 * away it says so in the part's place, and tries again by itself. If the server
 * is there and has no such part any more, it has been replaced by another
 * version, and the page is loaded anew, once a minute at most.
 */
export function lazyPart<Props extends object>(importer: () => Promise<ComponentType<Props>>, { page = false, answers = pageAnswers, reload = () => window.location.reload(), dialog }: LazyPartOptions = {}): LazyPart<Props> {
  let part: ComponentType<Props> | undefined;
  let failed = false;
  let loading: Promise<void> | undefined;
  const load = (): Promise<void> =>
    (loading ??= importer()
      .then(
        (loaded) => {
          part = loaded;
          failed = false;
        },
        () => {
          failed = true;
        },
      )
      .finally(() => {
        loading = undefined;
      }));
  const retry = async (): Promise<void> => {
    await load();
    if (part === undefined && (await answers()) && mayReload()) reload();
  };
  const Lazy = (props: Props) => {
    const [, look] = useReducer((n: number) => n + 1, 0);
    const again = useCallback(async () => {
      await retry();
      look();
    }, []);
    if (part !== undefined) return createElement(part, props);
    if (failed && dialog === undefined) return <Missing page={page} retry={again} />;
    if (failed && dialog !== undefined) {
      const close = (): void => {
        // Whoever opens it again asks for it again.
        failed = false;
        (props as Partial<Closable>).onClose?.();
      };
      return <MissingDialog what={dialog} retry={again} onClose={close} />;
    }
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- to suspend; use() may not be left out when it is there
    throw load();
  };
  return Object.assign(Lazy, { preload: load });
}

interface Closable {
  onClose: () => void;
}

/** A dialog whose code comes when it is first opened. */
export function lazyDialog<Props extends Closable>(what: string, importer: () => Promise<ComponentType<Props>>, options: LazyPartOptions = {}): LazyPart<Props> {
  return lazyPart(importer, { ...options, dialog: what });
}

/** Tries again, by itself and by hand. */
function useRetry(retry: () => Promise<void>): { busy: boolean; again: () => Promise<void> } {
  const [tries, tried] = useReducer((n: number) => n + 1, 0);
  const [busy, setBusy] = useState(false);
  const again = useCallback(async () => {
    setBusy(true);
    await retry();
    setBusy(false);
    tried();
  }, [retry]);
  useEffect(() => {
    const timer = setTimeout(() => void again(), Math.min(2000 * 2 ** tries, 30_000));
    return () => clearTimeout(timer);
  }, [tries, again]);
  return { busy, again };
}

/** What stands in the place of a part that could not be loaded. */
function Missing({ page, retry }: { page: boolean; retry: () => Promise<void> }) {
  const { busy, again } = useRetry(retry);
  return (
    <EmptyState page={page} title="This could not be loaded yet" mark={<StatusMark kind="stalled" word="Waiting for the server" />}>
      <p>The server does not answer. It is tried again by itself.</p>
      <Button size="xs" variant="default" loading={busy} onClick={() => void again()}>
        Try again
      </Button>
    </EmptyState>
  );
}

/** What is shown instead of a dialog that could not be loaded: over the page, which stays as it is. Made of what is there from the start. */
function MissingDialog({ what, retry, onClose }: { what: string; retry: () => Promise<void>; onClose: () => void }) {
  const { busy, again } = useRetry(retry);
  const id = useId();
  const first = useRef<HTMLButtonElement>(null);
  useFocusBack(true);
  useEffect(() => first.current?.focus(), []);
  return createPortal(
    // Escape closes it, wherever the focus is in it.
    // eslint-disable-next-line jsx-a11y-x/no-noninteractive-element-interactions
    <div role="alertdialog" aria-labelledby={`${id}-title`} aria-describedby={`${id}-text`} className={classes.missing} onKeyDown={({ key }) => (key === 'Escape' ? onClose() : undefined)}>
      <p id={`${id}-title`} className={classes.title}>
        {what} could not be loaded
      </p>
      <p id={`${id}-text`} className={classes.text}>
        The server does not answer. It is tried again by itself.
      </p>
      <div className={classes.buttons}>
        <Button size="xs" variant="default" onClick={onClose}>
          Close
        </Button>
        <Button ref={first} size="xs" loading={busy} onClick={() => void again()}>
          Try again
        </Button>
      </div>
    </div>,
    document.body,
  );
}

async function pageAnswers(): Promise<boolean> {
  try {
    return (await fetch(window.location.href, { method: 'HEAD', cache: 'no-store' })).ok;
  } catch {
    return false;
  }
}

function mayReload(): boolean {
  const last = Number(sessionStorage.getItem(reloadedAt) ?? 0);
  if (Date.now() - last < 60_000) return false;
  sessionStorage.setItem(reloadedAt, String(Date.now()));
  return true;
}
