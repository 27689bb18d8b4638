import { useQuery } from '@apollo/client/react';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useRef, useState } from 'react';

import { ErrorPage } from '@/app/ErrorPage';
import { useMay } from '@/app/session';
import { useShortcuts } from '@/app/shortcuts';
import { useTitle } from '@/app/useTitle';
import { ArtifactsDocument } from '@/gql/generated/graphql';
import { formatBytes } from '@/lib/bytes';
import { plural } from '@/lib/format';
import { Button, Command, CopyAs, EmptyState, Panel, StatusMark, TextInput, useTyped } from '@/ui';
import classes from './ArtifactsPage.module.css';
import { CatalogueTable } from './CatalogueTable';
import { handoffArtifacts } from './handoff';
import { RemoveDialog } from './RemoveDialog';
import { parseArtifactsSearch, type ArtifactsSearch, type ArtifactsShow } from './search';
import { countShows, selectArtifacts, type Artifact } from './select';
import { UploadDialog } from './UploadDialog';

/** The catalogue: what machines fetch while they boot and install. */
export function ArtifactsPage() {
  const search = parseArtifactsSearch(useSearch({ strict: false }));
  const navigate = useNavigate();
  return <Catalogue search={search} change={(next) => void navigate({ to: '/artifacts', search: next, replace: true })} />;
}

export interface CatalogueProps {
  search: ArtifactsSearch;
  change: (next: ArtifactsSearch) => void;
}

/** The page, with its URL given. */
export function Catalogue({ search, change }: CatalogueProps) {
  useTitle('Artifacts');
  const { data, error, loading, refetch } = useQuery(ArtifactsDocument, { fetchPolicy: 'cache-and-network' });
  const may = useMay('admin');
  const [uploading, setUploading] = useState(false);
  const [removing, setRemoving] = useState<Artifact | null>(null);
  if (data === undefined) return error ? <ErrorPage error={error} retry={() => void refetch().catch(() => undefined)} /> : <div role="status" aria-label="Loading the catalogue" className={classes.loading} />;
  const { artifacts } = data;
  const shown = selectArtifacts(artifacts, search);
  const broken = countShows(artifacts).broken;
  const upload = may ? (
    <Button size="compact-sm" onClick={() => setUploading(true)}>
      Upload…
    </Button>
  ) : null;
  return (
    <>
      <div className={classes.top}>
        <h1 className={classes.title}>Artifacts</h1>
        <p className={classes.quiet}>
          {plural(artifacts.length, 'file')}, {formatBytes(artifacts.reduce((sum, { size }) => sum + size, 0))}
          {broken > 0 ? `, ${broken} cannot be served` : ''}
        </p>
        <div className={classes.tools}>
          <CopyAs handoff={handoffArtifacts(globalThis.location.origin)} />
          <Button size="compact-sm" variant="default" disabled={loading} onClick={() => void refetch().catch(() => undefined)}>
            Refresh
          </Button>
          {upload}
        </div>
      </div>
      {artifacts.length > 0 ? <Filters artifacts={artifacts} search={search} change={change} /> : null}
      <Panel title="Served at /boot/images/" tone={broken > 0 ? 'failed' : 'plain'} flush>
        {artifacts.length === 0 ? (
          <EmptyState title="The catalogue is empty">
            <p>Machines cannot be installed before kernel, initrd and images are registered.</p>
            {may ? <p>Upload them here, or register files that are on the server already:</p> : <p>An administrator can upload them, or register files on the server:</p>}
            <Command label="Command that registers a file">slipway artifacts add vmlinuz ./vmlinuz --kind=kernel</Command>
          </EmptyState>
        ) : shown.length === 0 ? (
          <EmptyState title="No file matches the filter">
            <Button size="xs" variant="default" onClick={() => change({})}>
              Show all files
            </Button>
          </EmptyState>
        ) : (
          <CatalogueTable artifacts={shown} onRemove={may ? setRemoving : null} />
        )}
      </Panel>
      {may && artifacts.length > 0 ? (
        <div className={classes.how}>
          <p className={classes.quiet}>Large files go better from a terminal, which checks them on both ends. What a machine may still fetch is neither replaced nor removed.</p>
          <Command label="Command that uploads a file">slipway artifacts upload NAME FILE --kind=image</Command>
        </div>
      ) : null}
      {uploading ? <UploadDialog artifacts={artifacts} onClose={() => setUploading(false)} onStored={() => void refetch().catch(() => undefined)} /> : null}
      {removing === null ? null : (
        <RemoveDialog
          key={removing.name}
          artifact={removing}
          onClose={() => setRemoving(null)}
          onRemoved={() => {
            setRemoving(null);
            void refetch().catch(() => undefined);
          }}
        />
      )}
    </>
  );
}

const shows: readonly { show: ArtifactsShow; word: string }[] = [
  { show: 'broken', word: 'Broken' },
  { show: 'used', word: 'Needed' },
  { show: 'unused', word: 'Not needed' },
];

function Filters({ artifacts, search, change }: CatalogueProps & { artifacts: readonly Artifact[] }) {
  const input = useRef<HTMLInputElement>(null);
  useShortcuts({ '/': () => input.current?.focus() });
  const counts = countShows(artifacts);
  const { show, q, ...rest } = search;
  const words = q === undefined ? {} : { q };
  const typed = useTyped(q ?? '', (text) => change({ ...rest, ...(show === undefined ? {} : { show }), ...(text === '' ? {} : { q: text }) }));
  return (
    <div className={classes.filters}>
      <TextInput ref={input} size="xs" className={classes.search} aria-label="Filter the catalogue" placeholder="Name, kind, version, sum or node" {...typed} />
      <div className={classes.counts} role="group" aria-label="Filter by state">
        {shows
          .filter(({ show: each }) => counts[each] > 0 || show === each)
          .map(({ show: each, word }) => (
            <button key={each} type="button" aria-pressed={show === each} onClick={() => change({ ...words, ...(show === each ? {} : { show: each }) })}>
              {each === 'broken' ? <StatusMark kind="failed" word={`${word} ${counts[each]}`} /> : `${word} ${counts[each].toLocaleString('en')}`}
            </button>
          ))}
      </div>
    </div>
  );
}
