import { createElement, useCallback, useEffect, useReducer, useState, type ComponentType, type ReactNode } from 'react';

import { Button } from '@mantine/core';
import { EmptyState } from './EmptyState';
import { StatusMark } from './StatusMark';

/** Where it is written down when the page was last loaded anew for a part. */
const reloadedAt = 'slipway.reloaded-for-a-part';

export interface LazyPartOptions {
  /** It is a whole page: its title is the page's. */
  page?: boolean;
  /** Whether the server gives the page itself: if so, it has another version's parts by now. */
  answers?: () => Promise<boolean>;
  reload?: () => void;
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
export function lazyPart<Props extends object>(importer: () => Promise<ComponentType<Props>>, { page = false, answers = pageAnswers, reload = () => window.location.reload() }: LazyPartOptions = {}): LazyPart<Props> {
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
    if (failed) return <Missing page={page} retry={again} />;
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- to suspend; use() may not be left out when it is there
    throw load();
  };
  return Object.assign(Lazy, { preload: load });
}

/** What stands in the place of a part that could not be loaded. */
function Missing({ page, retry }: { page: boolean; retry: () => Promise<void> }) {
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
  return (
    <EmptyState page={page} title="This could not be loaded yet" mark={<StatusMark kind="stalled" word="Waiting for the server" />}>
      <p>The server does not answer. It is tried again by itself.</p>
      <Button size="xs" variant="default" loading={busy} onClick={() => void again()}>
        Try again
      </Button>
    </EmptyState>
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
