import { useRef, useState } from 'react';

import { Button, Dialog, DialogButtons, Problems, TextArea } from '@/ui';
import classes from './ApplyPage.module.css';
import type { Card } from './model/card';
import { readRequest } from './model/read';

export interface ImportDialogProps {
  onClose: () => void;
  onImport: (cards: readonly Card[]) => void;
}

/** The largest file that is read, in bytes: more than the server takes. */
const largest = 16 * 1024 * 1024;

/** Reads cards from a file, or from what is pasted. */
export function ImportDialog({ onClose, onImport }: ImportDialogProps) {
  const [text, setText] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const file = useRef<HTMLInputElement>(null);
  const take = (content: string): void => {
    const read = readRequest(content);
    if (read.problem === null) onImport(read.cards);
    else setProblem(read.problem);
  };
  const takeFile = async (chosen: File | undefined): Promise<void> => {
    if (!chosen) return;
    if (chosen.size > largest) {
      setProblem('The file is too large.');
      return;
    }
    const content = await chosen.text();
    setText(content);
    take(content);
  };
  return (
    <Dialog opened onClose={onClose} title="Import nodes" wide>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          take(text);
        }}
      >
        <p className={classes.about}>
          JSON as it is sent to <code>POST /store-deployment-configs</code>: an object of documents by address or name, a list of documents, or one document.
        </p>
        <div
          className={classes.drop}
          onDragOver={(event) => event.preventDefault()}
          onDrop={(event) => {
            event.preventDefault();
            void takeFile(event.dataTransfer.files[0]);
          }}
        >
          <TextArea label="Paste it here, or drop a file" rows={10} autoComplete="off" spellCheck={false} data-autofocus value={text} onChange={(event) => setText(event.currentTarget.value)} />
        </div>
        {problem === null ? null : <Problems title="It was not read" problems={[{ message: problem, code: null, field: null, requestId: null }]} />}
        <input ref={file} type="file" accept=".json,application/json" hidden aria-label="File to import" onChange={(event) => void takeFile(event.currentTarget.files?.[0])} />
        <DialogButtons>
          <Button size="sm" variant="default" onClick={() => file.current?.click()}>
            Choose a file…
          </Button>
          <Button size="sm" variant="default" onClick={onClose}>
            Close
          </Button>
          <Button type="submit" size="sm" disabled={text.trim() === ''}>
            Import
          </Button>
        </DialogButtons>
      </form>
    </Dialog>
  );
}
