import { useEffect } from 'react';

import { useStore } from '@/lib/store';
import { isBehind } from '@/stream';
import { useStream } from './services';

/** Sets the title of the browser's tab; says there, too, when the page is not live. */
export function useTitle(title: string): void {
  const { mode } = useStore(useStream().status);
  const prefix = isBehind(mode) ? '(not live) ' : '';
  useEffect(() => {
    document.title = `${prefix}${title} · Slipway`;
  }, [prefix, title]);
}
