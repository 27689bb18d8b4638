import { useEffect, useId, useRef, useState } from 'react';

import { announce } from '@/app/announcer';
import { sessionEnded } from '@/app/session';
import type { Problem } from '@/gql/client/ask';
import { formatBytes } from '@/lib/bytes';
import { Button, Command, Dialog, DialogButtons, NativeSelect, Problems, Progress, StatusMark, TextInput } from '@/ui';
import classes from './ArtifactsPage.module.css';
import { putArtifact, type Stored } from './rest';
import type { Artifact } from './select';
import { checkUpload, kindOf, kinds, nameOf, type UploadErrors } from './upload';

export interface UploadDialogProps {
  /** The catalogue as it is. */
  artifacts: readonly Artifact[];
  onClose: () => void;
  /** The catalogue has changed. */
  onStored: () => void;
}

interface Form {
  file: File | null;
  name: string;
  kind: string;
  version: string;
  sha256: string;
}

/** Sends a file into the catalogue, with its progress; at the end its sum, as the server computed it. */
export function UploadDialog({ artifacts, onClose, onStored }: UploadDialogProps) {
  const [form, setForm] = useState<Form>({ file: null, name: '', kind: 'image', version: '', sha256: '' });
  const [tried, setTried] = useState(false);
  const [part, setPart] = useState<number | null>(null);
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  const [stored, setStored] = useState<Stored | null>(null);
  const abort = useRef<AbortController | null>(null);
  // Leaving gives it up: nothing goes on unseen.
  useEffect(() => () => abort.current?.abort(), []);

  const errors = checkUpload(form);
  const known = artifacts.find(({ name }) => name === form.name);
  const send = async (): Promise<void> => {
    setTried(true);
    if (form.file === null || Object.keys(errors).length > 0 || part !== null) return;
    const controller = new AbortController();
    abort.current = controller;
    setProblems([]);
    setPart(0);
    const result = await putArtifact({ ...form, file: form.file, sha256: form.sha256.trim().toLowerCase() }, setPart, controller.signal);
    setPart(null);
    if (result === null) return;
    if (result.problem !== null) {
      if (result.problem.status === 401) sessionEnded();
      setProblems([result.problem]);
      return;
    }
    announce(`${result.answer.name} is in the catalogue`);
    setStored(result.answer);
    onStored();
  };

  if (stored !== null) return <Done stored={stored} file={form.file} onClose={onClose} />;
  return (
    <Dialog opened onClose={part === null ? onClose : () => undefined} title="Upload a file">
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        <Fields form={form} errors={tried ? errors : {}} busy={part !== null} onChange={(next) => setForm({ ...form, ...next })} />
        {known === undefined ? null : <Replaces known={known} />}
        <Problems title="It was not stored" problems={problems} />
        {part === null ? null : <Sending part={part} size={form.file?.size ?? 0} />}
        <DialogButtons>
          <Button size="sm" variant="default" onClick={() => (part === null ? onClose() : abort.current?.abort())}>
            {part === null ? 'Leave it' : 'Stop the upload'}
          </Button>
          <Button type="submit" size="sm" loading={part !== null}>
            {known === undefined ? 'Upload' : 'Replace'}
          </Button>
        </DialogButtons>
      </form>
    </Dialog>
  );
}

interface FieldsProps {
  form: Form;
  errors: UploadErrors;
  busy: boolean;
  onChange: (next: Partial<Form>) => void;
}

function Fields({ form, errors, busy, onChange }: FieldsProps) {
  const id = useId();
  const pick = (file: File | null): void => {
    if (file === null) {
      onChange({ file });
      return;
    }
    // What somebody typed is kept.
    const name = form.name === '' || form.name === nameOf(form.file?.name ?? '') ? nameOf(file.name) : form.name;
    onChange({ file, name, kind: form.file === null ? kindOf(file.name) : form.kind });
  };
  return (
    <div className={classes.fields}>
      <div>
        <label className={classes.fileLabel} htmlFor={`${id}-file`}>
          File
        </label>
        <input
          id={`${id}-file`}
          className={classes.file}
          type="file"
          disabled={busy}
          data-autofocus
          aria-invalid={errors.file !== undefined || undefined}
          aria-describedby={errors.file === undefined ? undefined : `${id}-error`}
          onChange={(event) => pick(event.currentTarget.files?.[0] ?? null)}
        />
        {errors.file === undefined ? null : (
          <p id={`${id}-error`} className={classes.fieldError}>
            {errors.file}
          </p>
        )}
      </div>
      <TextInput label="Name" description="What machines ask for, at /boot/images/." disabled={busy} value={form.name} error={errors.name} autoComplete="off" autoCapitalize="off" spellCheck={false} onChange={(event) => onChange({ name: event.currentTarget.value.trim() })} />
      <div className={classes.pair}>
        <NativeSelect label="Kind" disabled={busy} data={[...kinds]} value={form.kind} onChange={(event) => onChange({ kind: event.currentTarget.value })} />
        <TextInput label="Version (for people)" disabled={busy} value={form.version} error={errors.version} autoComplete="off" onChange={(event) => onChange({ version: event.currentTarget.value })} />
      </div>
      <TextInput
        label="SHA-256 that it must have (optional)"
        description="The server refuses other bytes. Without it, compare what is shown at the end."
        disabled={busy}
        value={form.sha256}
        error={errors.sha256}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => onChange({ sha256: event.currentTarget.value })}
      />
    </div>
  );
}

/** There is one of this name: what an upload means then. */
function Replaces({ known }: { known: Artifact }) {
  return (
    <p className={classes.warn} role="status">
      <StatusMark kind={known.inUseBy.length > 0 ? 'failed' : 'late'} word="In the catalogue" />
      {known.inUseBy.length > 0
        ? ` Machines may still fetch ${known.name} (${known.inUseBy.slice(0, 3).join(', ')}${known.inUseBy.length > 3 ? ', …' : ''}): other bytes are refused until they are through.`
        : ` ${known.name} (${formatBytes(known.size)}) is replaced once the whole file is there.`}
    </p>
  );
}

function Sending({ part, size }: { part: number; size: number }) {
  const storing = part >= 1;
  return (
    <div className={classes.sending}>
      <Progress value={part} kind="running" label="Upload" />
      <p className={classes.quiet}>{storing ? 'All of it is sent; the server checks and stores it …' : `${formatBytes(part * size)} of ${formatBytes(size)}. Keep this dialog open.`}</p>
    </div>
  );
}

function Done({ stored, file, onClose }: { stored: Stored; file: File | null; onClose: () => void }) {
  return (
    <Dialog opened onClose={onClose} title={stored.created ? 'It is in the catalogue' : 'It was replaced'}>
      <p>
        <StatusMark kind="succeeded" word="Stored" /> <code className={classes.mono}>{stored.name}</code>, {formatBytes(stored.size)} ({stored.size.toLocaleString('en')} bytes)
      </p>
      <div className={classes.sum}>
        <p className={classes.quiet}>SHA-256 of what the server has</p>
        <Command label="SHA-256">{stored.sha256}</Command>
        <p className={classes.quiet}>Compare it on the machine where the file comes from:</p>
        <Command label="Command that computes the sum">{`sha256sum ${/^[A-Za-z0-9_.-]+$/.test(file?.name ?? '') ? (file?.name ?? 'FILE') : 'FILE'}`}</Command>
      </div>
      <DialogButtons>
        <Button size="sm" data-autofocus onClick={onClose}>
          Close
        </Button>
      </DialogButtons>
    </Dialog>
  );
}
