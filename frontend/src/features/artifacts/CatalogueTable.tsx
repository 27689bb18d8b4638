import { Link } from '@tanstack/react-router';

import { formatBytes } from '@/lib/bytes';
import { Button, Instant, StatusMark } from '@/ui';
import classes from './ArtifactsPage.module.css';
import { CopySum } from './CopySum';
import type { Artifact } from './select';

/** Machines that an artifact's row names; the rest is counted. */
const mostNames = 4;

export interface CatalogueTableProps {
  artifacts: readonly Artifact[];
  /** Null for those who may not. */
  onRemove: ((artifact: Artifact) => void) | null;
}

/** The files, a row each. */
export function CatalogueTable({ artifacts, onRemove }: CatalogueTableProps) {
  return (
    <div className={classes.scroll} tabIndex={0} role="region" aria-label="The catalogue">
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Name</th>
            <th scope="col">Kind</th>
            <th scope="col">Version</th>
            <th scope="col">Size</th>
            <th scope="col">SHA-256</th>
            <th scope="col">Registered</th>
            <th scope="col">Needed by</th>
            {onRemove === null ? null : <th scope="col">Actions</th>}
          </tr>
        </thead>
        <tbody>
          {artifacts.map((artifact) => (
            <Row key={artifact.name} artifact={artifact} onRemove={onRemove} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ artifact, onRemove }: { artifact: Artifact; onRemove: CatalogueTableProps['onRemove'] }) {
  const { name, kind, version, size, sha256, state, problem, inPlace, registeredAt, inUseBy } = artifact;
  return (
    <tr>
      <td>
        <StatusMark kind={state === 'READY' ? 'succeeded' : 'failed'} word={state === 'READY' ? 'Ready' : 'Broken'} />
      </td>
      <th scope="row">
        <span className={classes.mono}>{name}</span>
        {problem === null ? null : <span className={classes.problem}>{problem}</span>}
      </th>
      <td>{kind}</td>
      <td>{version === '' ? '–' : version}</td>
      <td className={classes.number} title={`${size.toLocaleString('en')} bytes`}>
        {formatBytes(size)}
        {inPlace ? <span className={classes.quiet}> in place</span> : null}
      </td>
      <td>
        <CopySum of={name} sha256={sha256} />
      </td>
      <td className={classes.when}>
        <Instant at={registeredAt} />
      </td>
      <td>
        <Users names={inUseBy} />
      </td>
      {onRemove === null ? null : (
        <td>
          <Button size="compact-xs" variant="default" className={classes.destroys} disabled={inUseBy.length > 0} title={inUseBy.length > 0 ? 'A machine may still fetch it' : undefined} aria-label={`Remove ${name}`} onClick={() => onRemove(artifact)}>
            Remove…
          </Button>
        </td>
      )}
    </tr>
  );
}

function Users({ names }: { names: readonly string[] }) {
  if (names.length === 0) return <span className={classes.quiet}>no node</span>;
  const more = names.length - mostNames;
  return (
    <ul className={classes.users}>
      {names.slice(0, mostNames).map((name) => (
        <li key={name}>
          <Link to="/" search={{ q: name }}>
            {name}
          </Link>
        </li>
      ))}
      {more > 0 ? (
        <li title={names.slice(mostNames, mostNames + 100).join(', ')} className={classes.quiet}>
          and {more.toLocaleString('en')} more
        </li>
      ) : null}
    </ul>
  );
}
