import { useState, type ReactNode } from 'react';

import type { Problem } from '@/gql/client/ask';
import { Button, Dialog, DialogButtons, Problems, TextInput } from '@/ui';
import classes from './verbs.module.css';

/** As much of a verb as a dialog looks at. */
export interface Asking {
  busy: boolean;
  problems: readonly Problem[];
}

// Codes that say that what the page showed is not so any more.
const behindCodes: ReadonlySet<string> = new Set(['WRONG_STATE', 'VERSION_MISMATCH', 'RUN_ACTIVE']);

/** Whether something was refused because it has changed since it was shown. */
export const isBehind = ({ code }: Pick<Problem, 'code'>): boolean => code !== null && behindCodes.has(code);

export interface ActionDialogProps {
  title: string;
  verb: Asking;
  /** What the button says. */
  does: string;
  /** Something will be lost. */
  destroys?: boolean;
  /** It cannot be asked for yet. */
  blocked?: boolean;
  wide?: boolean;
  /** What the other button says. */
  leave?: string;
  onDo: () => void;
  onClose: () => void;
  children: ReactNode;
}

/** A dialog that says what will happen before it is asked for. */
export function ActionDialog({ title, verb, does, destroys = false, blocked = false, wide = false, leave = 'Leave it', onDo, onClose, children }: ActionDialogProps) {
  return (
    <Dialog opened onClose={onClose} title={title} wide={wide}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!blocked && !verb.busy) onDo();
        }}
      >
        {children}
        <Problems title="It was not done" problems={verb.problems} />
        {verb.problems.some(isBehind) ? <p className={classes.behind}>It has changed since it was shown. The page shows it as it is now: close this and look at what is possible.</p> : null}
        <DialogButtons>
          <Button size="sm" variant="default" onClick={onClose}>
            {leave}
          </Button>
          <Button type="submit" size="sm" color={destroys ? 'red.9' : undefined} loading={verb.busy} disabled={blocked}>
            {does}
          </Button>
        </DialogButtons>
      </form>
    </Dialog>
  );
}

/** A name that must be typed before something is lost. */
export function useConfirmation(name: string) {
  const [typed, setTyped] = useState('');
  const field = (
    <div className={classes.confirm}>
      <TextInput
        label={
          <>
            Type <span className={classes.word}>{name}</span> to confirm
          </>
        }
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        data-autofocus
        value={typed}
        onChange={(event) => setTyped(event.currentTarget.value)}
      />
    </div>
  );
  return { typed, confirmed: typed === name, field };
}

/** What will happen, point by point. */
export function Effects({ children }: { children: ReactNode }) {
  return <ul className={classes.effects}>{children}</ul>;
}
