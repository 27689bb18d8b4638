import { expect, it } from 'vitest';

import type { DeploymentState, FleetRowFragment, Phase } from '@/gql/generated/graphql';
import { nodesExport } from '@/lib/exports';
import { card, row } from '@/test/fixtures';
import { fleetFilter, parseSearch, selectRows } from './filters';
// The server's tests hold that each query gives these names.
import cases from '../../../../server/testdata/fleetselection.json';

interface Planted {
  name: string;
  profile: string;
  managementIp?: string;
  workloadIp?: string;
  macs?: string[];
  serial?: string;
  cluster?: string;
  labels?: Record<string, string>;
  state?: string;
  phase?: string;
  failurePhase?: string;
  failureCode?: string;
  stale?: boolean;
  late?: boolean;
}

const stateOf = (text: string): DeploymentState => text.toUpperCase() as DeploymentState;
const phaseOf = (text: string): Phase => text.toUpperCase() as Phase;

function rowOf(node: Planted, i: number): FleetRowFragment {
  const { failurePhase, failureCode, phase = '', state } = node;
  const failure = failurePhase === undefined || failureCode === undefined ? null : { phase: phaseOf(failurePhase), phaseKey: failurePhase, code: failureCode, message: '', hint: null, retryable: true, at: '' };
  return row(`node_${i}`, {
    name: node.name,
    serverProfile: node.profile,
    managementIp: node.managementIp ?? null,
    workloadIp: node.workloadIp ?? null,
    macAddresses: node.macs ?? [],
    serial: node.serial ?? null,
    clusterName: node.cluster ?? null,
    labels: Object.entries(node.labels ?? {}).map(([key, value]) => ({ __typename: 'Label', key, value })),
    state: state === undefined ? null : stateOf(state),
    stale: node.stale ?? false,
    late: node.state === 'running' && (node.late ?? false),
    currentDeployment: state === undefined ? null : card({ state: stateOf(state), phase: phaseOf(phase), phaseKey: phase, failure: failure as never }),
  });
}

const rows = (cases.nodes as Planted[]).map(rowOf);

it.each(cases.cases)('shows and exports the same: $search', ({ search, query, names }) => {
  const read = parseSearch(search);
  expect(parseSearch({ ...read })).toEqual(read);
  expect(selectRows(rows, read).map(({ name }) => name).sort()).toEqual(names);
  expect(nodesExport(fleetFilter(read), 'csv')).toBe(`/api/export/nodes.csv${query === '' ? '' : `?${query}`}`);
});
