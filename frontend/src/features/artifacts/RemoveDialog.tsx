import { useState } from 'react';

import { announce } from '@/app/announcer';
import { sessionEnded } from '@/app/session';
import type { Problem } from '@/gql/client/ask';
import { formatBytes } from '@/lib/bytes';
import { ActionDialog, Effects, useConfirmation } from '@/verbs/shared';
import classes from './ArtifactsPage.module.css';
import { deleteArtifact } from './rest';
import type { Artifact } from './select';

export interface RemoveDialogProps {
  artifact: Artifact;
  onClose: () => void;
  onRemoved: () => void;
}

/** Takes a file out of the catalogue, once its name was typed. */
export function RemoveDialog({ artifact, onClose, onRemoved }: RemoveDialogProps) {
  const [busy, setBusy] = useState(false);
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  const { confirmed, field } = useConfirmation(artifact.name);
  const remove = async (): Promise<void> => {
    setBusy(true);
    setProblems([]);
    const { problem } = await deleteArtifact(artifact.name);
    setBusy(false);
    // Somebody else was faster: what was asked for is so.
    if (problem === null || problem.status === 404) {
      announce(`${artifact.name} was removed`);
      onRemoved();
      return;
    }
    if (problem.status === 401) sessionEnded();
    setProblems([problem]);
  };
  return (
    <ActionDialog title="Remove a file" verb={{ busy, problems }} does="Remove" destroys blocked={!confirmed} onDo={() => void remove()} onClose={onClose}>
      <p>
        <code className={classes.mono}>{artifact.name}</code> ({artifact.kind}, {formatBytes(artifact.size)}) is taken out of the catalogue.
      </p>
      <Effects>
        <li>Machines that ask for it from now on get none, and deployments that need it are refused.</li>
        <li>{artifact.inPlace ? 'The file itself stays where it lies on the server.' : 'The file itself is deleted from the server’s disk.'}</li>
        <li>The server refuses while a machine may still fetch it.</li>
      </Effects>
      {field}
    </ActionDialog>
  );
}
