import { useState, type ReactNode } from 'react';

import { Button, Command, Dialog, DialogButtons } from '@/ui';
import classes from './SettingsPage.module.css';

export interface OnceDialogProps {
  title: string;
  /** What it is, for who cannot see it. */
  label: string;
  secret: string;
  children: ReactNode;
  onClose: () => void;
}

/** Shows a secret that nobody can show again: closing it by the way asks once. */
export function OnceDialog({ title, label, secret, children, onClose }: OnceDialogProps) {
  const [warned, setWarned] = useState(false);
  return (
    <Dialog opened onClose={() => (warned ? onClose() : setWarned(true))} title={title}>
      <div className={classes.once}>
        {children}
        <Command label={label}>{secret}</Command>
        <p className={classes.warn} role={warned ? 'alert' : undefined}>
          {warned ? 'It cannot be shown again. Close it only once it is stored.' : 'It is shown now and never again; Slipway itself keeps only its hash.'}
        </p>
      </div>
      <DialogButtons>
        <Button size="sm" onClick={onClose}>
          I have stored it
        </Button>
      </DialogButtons>
    </Dialog>
  );
}
