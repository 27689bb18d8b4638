/** Which part of the catalogue is shown. */
export type ArtifactsShow = 'broken' | 'used' | 'unused';

/** What the URL says of the catalogue's page. */
export interface ArtifactsSearch {
  /** Words that must be in name, kind, version, sum or user. */
  q?: string;
  show?: ArtifactsShow;
}

/** Reads the URL; what makes no sense is left out. */
export function parseArtifactsSearch(raw: Record<string, unknown>): ArtifactsSearch {
  const search: ArtifactsSearch = {};
  if (typeof raw.q === 'string' && raw.q !== '') search.q = raw.q;
  else if (typeof raw.q === 'number') search.q = String(raw.q);
  if (raw.show === 'broken' || raw.show === 'used' || raw.show === 'unused') search.show = raw.show;
  return search;
}
