import { useState } from 'react';

import type { SetNodeProtectionInput } from '@/gql/generated/graphql';
import { TextInput } from '@/ui';
import type { NodeDetails } from '../useNode';
import classes from '@/verbs/verbs.module.css';
import { ActionDialog, Effects, type Asking } from '@/verbs/shared';

export interface ProtectDialogProps {
  node: NodeDetails;
  verb: Asking;
  run: (input: SetNodeProtectionInput) => void;
  onClose: () => void;
}

/** Holds a node, or lets it go. */
export function ProtectDialog({ node, verb, run, onClose }: ProtectDialogProps) {
  const [protect] = useState(!node.protected);
  const [note, setNote] = useState('');
  if (!protect) {
    return (
      <ActionDialog title={`Unprotect ${node.name}`} verb={verb} does="Take the protection away" onDo={() => run({ id: node.id, protected: false })} onClose={onClose}>
        <Effects>
          <li>From then on the node can be cleaned up and reinitialized again.</li>
          {node.protectNote === null ? null : <li>It was protected with the note “{node.protectNote}”, which is dropped.</li>}
        </Effects>
      </ActionDialog>
    );
  }
  return (
    <ActionDialog title={`Protect ${node.name}`} verb={verb} does="Protect the node" onDo={() => run({ id: node.id, protected: true, note: note.trim() === '' ? null : note.trim() })} onClose={onClose}>
      <Effects>
        <li>The node is neither cleaned up nor reinitialized, whoever asks, until the protection is taken away.</li>
        <li>A deployment that is under way goes on.</li>
      </Effects>
      <div className={classes.field}>
        <TextInput label="Why (shown to whoever is refused)" maxLength={400} data-autofocus value={note} onChange={(event) => setNote(event.currentTarget.value)} />
      </div>
    </ActionDialog>
  );
}
