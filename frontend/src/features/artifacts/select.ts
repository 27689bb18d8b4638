import type { ArtifactsQuery } from '@/gql/generated/graphql';
import type { ArtifactsSearch, ArtifactsShow } from './search';

export type Artifact = ArtifactsQuery['artifacts'][number];

const belongs: Record<ArtifactsShow, (artifact: Artifact) => boolean> = {
  broken: ({ state }) => state === 'BROKEN',
  used: ({ inUseBy }) => inUseBy.length > 0,
  unused: ({ inUseBy }) => inUseBy.length === 0,
};

/** How many of the catalogue each filter would show. */
export function countShows(artifacts: readonly Artifact[]): Record<ArtifactsShow, number> {
  const count = (show: ArtifactsShow): number => artifacts.filter(belongs[show]).length;
  return { broken: count('broken'), used: count('used'), unused: count('unused') };
}

/** What the URL asks for: broken ones first, as deployments will fail by them, then by name. */
export function selectArtifacts(artifacts: readonly Artifact[], { q = '', show }: ArtifactsSearch): Artifact[] {
  const words = q.toLowerCase().split(/\s+/).filter((word) => word !== '');
  return artifacts
    .filter((artifact) => {
      if (show !== undefined && !belongs[show](artifact)) return false;
      const text = [artifact.name, artifact.kind, artifact.version, artifact.sha256, ...artifact.inUseBy].join('\n').toLowerCase();
      return words.every((word) => text.includes(word));
    })
    .sort((a, b) => Number(b.state === 'BROKEN') - Number(a.state === 'BROKEN') || a.name.localeCompare(b.name, 'en', { numeric: true }));
}
