import { curlGet, type Handoff } from '@/lib/handoff';

/** The catalogue, for a terminal or a script. */
export function handoffArtifacts(origin: string): Handoff {
  return {
    title: 'The catalogue',
    curl: curlGet(origin, '/api/artifacts'),
    graphql: `query {
  artifacts { name kind version size sha256 state problem inPlace registeredAt inUseBy }
}`,
    cli: 'slipway artifacts served',
  };
}
