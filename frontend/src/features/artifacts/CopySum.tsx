import { useEffect, useState } from 'react';

import { announce } from '@/app/announcer';
import { Button } from '@/ui';
import classes from './ArtifactsPage.module.css';

/** How long a button says that it has copied, in ms. */
const said = 2000;

/**
 * The beginning of a sum, with a button that copies all of it. Where there is no
 * clipboard, as without https, the button shows all of it instead, to be marked.
 */
export function CopySum({ of, sha256 }: { of: string; sha256: string }) {
  const [state, setState] = useState<'short' | 'copied' | 'whole'>('short');
  useEffect(() => {
    if (state !== 'copied') return;
    const timer = setTimeout(() => setState('short'), said);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(sha256);
      setState('copied');
      announce(`SHA-256 of ${of} copied`);
    } catch {
      setState('whole');
    }
  };
  return (
    <span className={classes.copySum} data-whole={state === 'whole' || undefined}>
      <span className={classes.mono} title={sha256}>
        {state === 'whole' ? sha256 : `${sha256.slice(0, 12)}…`}
      </span>
      {state === 'whole' ? null : (
        <Button size="compact-xs" variant="default" aria-label={`Copy SHA-256 of ${of}`} onClick={() => void copy()}>
          {state === 'copied' ? 'Copied' : 'Copy'}
        </Button>
      )}
    </span>
  );
}
