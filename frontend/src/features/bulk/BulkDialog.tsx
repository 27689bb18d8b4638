import { useQuery } from '@apollo/client/react';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';

import { announce } from '@/app/announcer';
import { problemsOf, useVerb } from '@/gql/client/ask';
import type { RequestContext } from '@/gql/client/client';
import { BulkActionDocument, BulkPreviewDocument, type BulkPreviewQuery } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import { uniqueKey } from '@/lib/key';
import { markPending, operationTaken, takeBack } from '@/lib/pending';
import { Button, Choices, Problems, TextInput } from '@/ui';
import { ActionDialog, Effects } from '@/verbs/shared';
import classes from './Bulk.module.css';
import { actionInput, checkBulk, selectionInput, type BulkChoice, type BulkErrors, type BulkForm } from './request';
import { actionWords, leftOut, type BulkActionName } from './words';

export interface BulkDialogProps {
  choice: BulkChoice;
  action: BulkActionName;
  /** How many were selected as it was shown. */
  shown?: number;
  /** Rows that show at once that it was asked of them. */
  targets?: (action: BulkActionName) => { id: string; version: number }[];
  onClose: () => void;
  /** It was taken; the page of the operation is shown next. */
  onStarted: () => void;
}

type Preview = BulkPreviewQuery['bulkPreview'];

/** Says of how many an action will be asked, and how; asks when that number still holds. */
export function BulkDialog({ choice, action, shown, targets, onClose, onStarted }: BulkDialogProps) {
  const [requestId, setRequestId] = useState<string | null>(null);
  // One and the same: another context would be another question.
  const [identify] = useState<RequestContext & Record<string, unknown>>(() => ({ onRequestId: setRequestId }));
  const preview = useQuery(BulkPreviewDocument, { variables: { input: selectionInput(choice, action) }, fetchPolicy: 'no-cache', context: identify });
  const navigate = useNavigate();
  const verb = useVerb(BulkActionDocument);
  const [form, setForm] = useState<BulkForm>({ action, mode: 'AFTER_CURRENT_PHASE', parallel: '10', stopAfter: action === 'CANCEL' ? '' : '3', reason: '' });
  const [typed, setTyped] = useState('');
  // A second answer to the same question is the same operation; another question is another one.
  const [key, setKey] = useState(uniqueKey);
  const seen = preview.data?.bulkPreview ?? null;
  const errors = checkBulk(form);
  const confirmed = seen !== null && (seen.confirmation === null || typed.trim() === seen.confirmation);
  const change = (next: Partial<BulkForm>): void => {
    setForm({ ...form, ...next });
    setKey(uniqueKey());
  };
  const run = async (): Promise<void> => {
    if (seen === null) return;
    const mark = uniqueKey();
    markPending(targets?.(action) ?? [], actionWords[action].asked, mark);
    const answer = await verb.run({ input: actionInput(choice, form, { expectedCount: seen.matched, confirm: seen.confirmation, key }) });
    if (!answer?.operation) {
      takeBack(mark);
      return;
    }
    operationTaken(mark, answer.operation.id);
    announce(`${actionWords[action].label}: asked of ${plural(answer.matched, 'deployment')}`);
    onStarted();
    onClose();
    void navigate({ to: '/bulk/$bulkId', params: { bulkId: answer.operation.id } });
  };
  const lookAgain = (): void => {
    verb.forget();
    setTyped('');
    setKey(uniqueKey());
    void preview.refetch();
  };
  const changed = verb.problems.some(({ code }) => code === 'VERSION_MISMATCH');
  const { label, destroys, effects, description } = actionWords[action];
  const does = seen === null || seen.matched === 0 ? label : `${label} ${seen.matched.toLocaleString('en')}`;
  return (
    <ActionDialog title={`${label} many`} verb={verb} does={does} destroys={destroys} blocked={!confirmed || seen.matched === 0 || preview.loading || changed || Object.keys(errors).length > 0} onDo={() => void run()} onClose={onClose}>
      <p>{description}</p>
      <Matched seen={seen} shown={shown} requestId={requestId} loading={preview.loading} problems={preview.error ? problemsOf(preview.error) : []} />
      {seen !== null && seen.matched > 0 ? (
        <>
          <Effects>
            {effects.map((effect) => (
              <li key={effect}>{effect}</li>
            ))}
          </Effects>
          <Options form={form} errors={errors} onChange={change} />
          {seen.confirmation === null ? null : (
            <div className={classes.field}>
              <TextInput
                label={
                  <>
                    Type <span className={classes.word}>{seen.confirmation}</span> to confirm
                  </>
                }
                autoComplete="off"
                autoCapitalize="off"
                spellCheck={false}
                value={typed}
                onChange={(event) => setTyped(event.currentTarget.value)}
              />
            </div>
          )}
        </>
      ) : null}
      {changed ? (
        <Button size="xs" variant="default" className={classes.again} onClick={lookAgain}>
          Look again
        </Button>
      ) : null}
    </ActionDialog>
  );
}

function Matched({ seen, shown, requestId, loading, problems }: { seen: Preview | null; shown: number | undefined; requestId: string | null; loading: boolean; problems: ReturnType<typeof problemsOf> }) {
  if (problems.length > 0) return <Problems title="It could not be looked at" problems={problems} />;
  if (loading || seen === null) {
    return (
      <p className={classes.matched} role="status">
        The server is looking which are possible …
      </p>
    );
  }
  const wrong = seen.errors.map(({ code, message, field }) => ({ code, message, field, requestId }));
  if (wrong.length > 0) return <Problems title="It cannot be asked of these" problems={wrong} />;
  return (
    <div className={classes.matched} role="status">
      <p>
        {seen.matched === 0 ? 'It is possible for none' : <strong>It is possible for {seen.matched.toLocaleString('en')}</strong>} of {plural(seen.chosen, 'selected deployment')}.
      </p>
      {shown !== undefined && shown !== seen.chosen ? <p>{`${shown.toLocaleString('en')} ${shown === 1 ? 'was' : 'were'} selected in the table; the fleet has changed since.`}</p> : null}
      {seen.leftOut.length > 0 ? (
        <ul>
          {seen.leftOut.map((each) => (
            <li key={each.reason}>{leftOut(each)}</li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}

function Options({ form, errors, onChange }: { form: BulkForm; errors: BulkErrors; onChange: (next: Partial<BulkForm>) => void }) {
  return (
    <>
      {form.action === 'CANCEL' ? (
        <Choices
          legend="When"
          value={form.mode}
          onChange={(mode) => onChange({ mode })}
          choices={[
            { value: 'AFTER_CURRENT_PHASE', label: 'When the phase of each ends', description: 'At once where it only waits.' },
            { value: 'IMMEDIATE', label: 'Now', description: 'Machines may be left half-way through their installation.' },
          ]}
        />
      ) : null}
      <div className={classes.pair}>
        <TextInput label="At the same time" description="1 to 500 are under way at once." inputMode="numeric" value={form.parallel} error={errors.parallel} onChange={(event) => onChange({ parallel: event.currentTarget.value })} />
        <TextInput label="Stop after failures" description="Begins no more after this many." placeholder="never" inputMode="numeric" value={form.stopAfter} error={errors.stopAfter} onChange={(event) => onChange({ stopAfter: event.currentTarget.value })} />
      </div>
      <div className={classes.field}>
        <TextInput label="Why (optional)" value={form.reason} error={errors.reason} onChange={(event) => onChange({ reason: event.currentTarget.value })} />
      </div>
    </>
  );
}
