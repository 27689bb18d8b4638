/** A page of the navigation. */
export interface Place {
  to: '/overview' | '/' | '/history' | '/insights' | '/clusters' | '/deploy' | '/apply' | '/apply/runs' | '/bulk' | '/artifacts' | '/resources';
  label: string;
  /** Who may do something there; anybody when left out. */
  role?: 'operator' | 'admin';
  /** Pages below it that have an address of their own. */
  under?: readonly string[];
}

const places: readonly Place[] = [
  { to: '/overview', label: 'Overview' },
  { to: '/', label: 'Fleet', under: ['/nodes', '/deployments', '/batches'] },
  { to: '/clusters', label: 'Clusters' },
  { to: '/history', label: 'History' },
  { to: '/insights', label: 'Insights' },
  { to: '/deploy', label: 'Deploy', role: 'operator' },
  { to: '/apply', label: 'Apply', role: 'operator' },
  { to: '/apply/runs', label: 'Runs' },
  { to: '/bulk', label: 'Bulk' },
  { to: '/artifacts', label: 'Artifacts' },
  { to: '/resources', label: 'Orphans', role: 'admin' },
];

/** The pages that somebody may use. */
export function placesFor(may: (role: 'operator' | 'admin') => boolean): Place[] {
  return places.filter(({ role }) => role === undefined || may(role));
}

const within = (pathname: string, path: string): boolean => pathname === path || pathname.startsWith(`${path}/`);

/** The page of the navigation that an address belongs to, the closest one; null for those that have no place there. */
export function placeOf(pathname: string): Place['to'] | null {
  const path = pathname.replace(/(.)\/+$/, '$1');
  let found: Place | null = null;
  for (const place of places) {
    const is = place.to === '/' ? path === '/' : within(path, place.to);
    const below = (place.under ?? []).some((each) => within(path, each));
    if ((is || below) && (found === null || place.to.length > found.to.length)) found = place;
  }
  return found?.to ?? null;
}
