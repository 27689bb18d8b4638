import { useState } from 'react';

import { announce } from '@/app/announcer';
import { useVerb } from '@/gql/client/ask';
import { RemoveOrphanDocument, type DriftRowFragment } from '@/gql/generated/graphql';
import { resourceKind } from '@/lib/resources';
import { Button, Dialog, DialogButtons, Problems, TextInput } from '@/ui';
import classes from './DriftPage.module.css';

export interface RemoveDialogProps {
  orphan: DriftRowFragment;
  onClose: () => void;
  onRemoved: (result: { done: boolean; message: string | null }) => void;
}

/** Deletes one thing that nobody holds, once its name was typed. */
export function RemoveDialog({ orphan, onClose, onRemoved }: RemoveDialogProps) {
  const [typed, setTyped] = useState('');
  const remove = useVerb(RemoveOrphanDocument);
  const confirmed = typed === orphan.name;
  return (
    <Dialog opened onClose={onClose} title={`Delete ${resourceKind(orphan.kind).toLowerCase()}`}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!confirmed) return;
          void remove.run({ input: { provider: 'IBM_VPC', kind: orphan.kind, cloudId: orphan.cloudId, name: orphan.name } }).then((answer) => {
            if (!answer) return;
            announce(answer.done ? 'It is gone' : 'It is being deleted');
            onRemoved(answer);
          });
        }}
      >
        <p>
          <code className={classes.name}>{orphan.name}</code> is deleted for good at IBM Cloud. Slipway looks once more that no node holds it before it asks.
        </p>
        <div className={classes.field}>
          <TextInput
            label={
              <>
                Type <span className={classes.word}>{orphan.name}</span> to confirm
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
        <Problems title="It was not done" problems={remove.problems} />
        <DialogButtons>
          <Button size="sm" variant="default" onClick={onClose}>
            Leave it
          </Button>
          <Button type="submit" size="sm" color="red.9" loading={remove.busy} disabled={!confirmed}>
            Delete
          </Button>
        </DialogButtons>
      </form>
    </Dialog>
  );
}
