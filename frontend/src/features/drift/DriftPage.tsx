import { useApolloClient } from '@apollo/client/react';
import { Link } from '@tanstack/react-router';
import { useCallback, useEffect, useRef, useState } from 'react';

import { useMay } from '@/app/session';
import { useTitle } from '@/app/useTitle';
import { problemsOf, type Problem } from '@/gql/client/ask';
import { DriftReportDocument, type DriftProblem, type DriftRowFragment } from '@/gql/generated/graphql';
import { serverNow } from '@/lib/clock';
import { plural } from '@/lib/format';
import { resourceKind } from '@/lib/resources';
import { Button, EmptyState, Instant, Panel, Problems, StatusMark } from '@/ui';
import classes from './DriftPage.module.css';
import { RemoveDialog } from './RemoveDialog';

/** What the cloud has and the journal does not, and the reverse. */
export function DriftPage() {
  useTitle('Resources and orphans');
  return (
    <>
      <h1 className={classes.title}>Resources and orphans</h1>
      <p className={classes.lead}>What IBM Cloud has with our naming and no node holds, and what the journal holds and IBM Cloud does not have. What a node holds is on its own page.</p>
      {useMay('admin') ? (
        <Report />
      ) : (
        <EmptyState title="You need the admin role to see orphans">
          <p>What nobody holds can be deleted here, so only administrators see it.</p>
        </EmptyState>
      )}
    </>
  );
}

interface Found {
  rows: readonly DriftRowFragment[];
  at: string;
}

/** What became of the removal of a thing, by its identity. */
export type Removals = ReadonlyMap<string, { done: boolean; message: string | null }>;

/** What a thing is known by at its provider. */
export const identity = ({ kind, name, cloudId }: Pick<DriftRowFragment, 'kind' | 'name' | 'cloudId'>): string => `${kind} ${cloudId ?? ''} ${name}`;

function Report() {
  const client = useApolloClient();
  const [found, setFound] = useState<Found | null>(null);
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  const [busy, setBusy] = useState(true);
  const [removing, setRemoving] = useState<DriftRowFragment | null>(null);
  const [removals, setRemovals] = useState<Removals>(new Map());
  const begun = useRef(false);

  const compare = useCallback(async (): Promise<void> => {
    try {
      const { data, error } = await client.query({ query: DriftReportDocument, variables: { provider: 'IBM_VPC' }, fetchPolicy: 'no-cache' });
      if (data === undefined) {
        setProblems(problemsOf(error));
      } else {
        setFound({ rows: data.driftReport, at: new Date(serverNow()).toISOString() });
        setRemovals(new Map());
        setProblems([]);
      }
    } catch (error) {
      setProblems(problemsOf(error));
    }
    setBusy(false);
  }, [client]);
  useEffect(() => {
    // Reading a whole account is dear: once, and then on command only.
    if (begun.current) return;
    begun.current = true;
    void compare();
  }, [compare]);

  const of = (problem: DriftProblem): DriftRowFragment[] => (found?.rows ?? []).filter((row) => row.problem === problem);
  return (
    <>
      <div className={classes.tools}>
        <Button
          size="xs"
          variant="default"
          loading={busy}
          onClick={() => {
            setBusy(true);
            void compare();
          }}
        >
          Compare again
        </Button>
        <span role="status" className={classes.quiet}>
          {busy ? 'Everything in the account is being read …' : null}
          {!busy && found !== null ? (
            <>
              {found.rows.length === 0 ? 'No difference' : plural(found.rows.length, 'difference')}, compared at <Instant at={found.at} />
            </>
          ) : null}
        </span>
      </div>
      <Problems title="It could not be compared" problems={problems} />
      {found !== null && found.rows.length === 0 ? (
        <Panel title="Differences">
          <EmptyState title="Journal and cloud agree" mark={<StatusMark kind="succeeded" word="No difference" />}>
            <p>Everything with our naming is held by a node, and everything that a node holds is there.</p>
          </EmptyState>
        </Panel>
      ) : null}
      <Section title="Orphans" about="In the cloud, held by no node." rows={of('ORPHAN')} removals={removals} onRemove={setRemoving} />
      <Section title="Missing" about="Held by a node, not in the cloud." rows={of('MISSING')} removals={removals} />
      <Section title="Not what the journal describes" about="The name is there, the thing is another one; it is never touched." rows={of('FOREIGN')} removals={removals} />
      {removing === null ? null : (
        <RemoveDialog
          key={identity(removing)}
          orphan={removing}
          onClose={() => setRemoving(null)}
          onRemoved={(result) => {
            setRemovals(new Map(removals).set(identity(removing), result));
            setRemoving(null);
          }}
        />
      )}
    </>
  );
}

interface SectionProps {
  title: string;
  about: string;
  rows: readonly DriftRowFragment[];
  removals: Removals;
  onRemove?: (row: DriftRowFragment) => void;
}

function Section({ title, about, rows, removals, onRemove }: SectionProps) {
  if (rows.length === 0) return null;
  return (
    <div className={classes.section}>
      <Panel title={`${title} (${rows.length.toLocaleString('en')})`} flush actions={<span className={classes.quiet}>{about}</span>}>
        <ul className={classes.list} aria-label={title}>
          {rows.map((row) => (
            <DriftLine key={identity(row)} row={row} removal={removals.get(identity(row))} onRemove={onRemove} />
          ))}
        </ul>
      </Panel>
    </div>
  );
}

interface DriftLineProps {
  row: DriftRowFragment;
  removal: { done: boolean; message: string | null } | undefined;
  onRemove: ((row: DriftRowFragment) => void) | undefined;
}

function DriftLine({ row, removal, onRemove }: DriftLineProps) {
  return (
    <li className={classes.item}>
      <div className={classes.what}>
        <p className={classes.line}>
          <span className={classes.kind}>{resourceKind(row.kind)}</span>
          <code className={classes.name}>{row.name}</code>
          {row.cloudId === null ? null : <code className={classes.id}>{row.cloudId}</code>}
        </p>
        <p className={classes.quiet}>
          {row.message}
          {row.zone === null ? '' : ` · ${row.zone}`}
          {row.status === null ? '' : ` · ${row.status}`}
          {row.createdAt === null ? null : (
            <>
              {' · made '}
              <Instant at={row.createdAt} />
            </>
          )}
          {row.bareMetalNode === null ? null : (
            <>
              {' · node '}
              <Link to="/nodes/$nodeId" params={{ nodeId: row.bareMetalNode.id }}>
                {row.bareMetalNode.name}
              </Link>
            </>
          )}
        </p>
        {removal === undefined ? null : (
          <p className={classes.removal}>
            <StatusMark kind={removal.done ? 'cleaned' : 'cleaning'} word={removal.done ? 'Gone' : 'Being deleted'} />
            {removal.message === null ? null : <span className={classes.quiet}>{removal.message}</span>}
          </p>
        )}
      </div>
      {onRemove === undefined || removal?.done === true ? null : (
        <Button size="compact-sm" variant="default" className={classes.destroys} aria-label={`${removal === undefined ? 'Delete' : 'Ask again for'} ${row.name}`} onClick={() => onRemove(row)}>
          {removal === undefined ? 'Delete…' : 'Ask again…'}
        </Button>
      )}
    </li>
  );
}
