import { render, screen, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';

import type { CleanupStepRowFragment } from '@/gql/generated/graphql';
import { timeMode } from '@/lib/preferences';
import { at, live } from '@/test/fixtures';
import { UiProvider } from '@/ui';
import { CleanupPanel } from './CleanupPanel';
import { ResourcesPanel } from './ResourcesPanel';
import type { DeploymentDetails } from './useNode';

beforeEach(() => timeMode.set('utc'));

const step = (over: Partial<CleanupStepRowFragment>): CleanupStepRowFragment => ({
  resourceId: 'res_1', resourceKind: 'server', role: null, name: 's-1', cloudId: '0717-1', action: 'stop and delete', status: 'WAITING', message: null, ...over,
});
const cleanup = (state: DeploymentDetails['state'], steps: CleanupStepRowFragment[]) =>
  render(
    <UiProvider>
      <CleanupPanel deployment={live({ state, cleanup: steps }) as unknown as DeploymentDetails} />
    </UiProvider>,
  );

describe('the cleanup', () => {
  it('is not there before it was asked for', () => {
    cleanup('SUCCEEDED', []);
    expect(screen.queryByRole('region')).not.toBeInTheDocument();
  });

  it('says so while nothing is known yet', () => {
    cleanup('CLEANING_UP', []);
    expect(screen.getByRole('region', { name: 'Cleanup' })).toHaveTextContent('being looked up');
  });

  it('shows each thing with how it stands, and the proof', () => {
    cleanup('CLEANING_UP', [
      step({ status: 'SUCCEEDED', message: 'not found at 10:00:11 UTC' }),
      step({ resourceId: 'res_2', resourceKind: 'vni', role: 'management', name: 'v', status: 'IN_PROGRESS', message: 'still attached' }),
      step({ resourceId: 'res_3', resourceKind: 'reserved_ip', name: 'r', cloudId: null }),
      step({ resourceId: 'res_4', resourceKind: 'dns_a', name: 'a', status: 'SKIPPED', message: 'not ours' }),
    ]);
    const items = within(screen.getByRole('list', { name: 'What is released' })).getAllByRole('listitem');
    expect(items.map((item) => item.textContent)).toEqual([
      'GoneServers-10717-1not found at 10:00:11 UTC',
      'ReleasingNetwork interface, managementv0717-1still attached',
      'WaitingReserved addressrstop and delete',
      'StaysDNS record (A)a0717-1not ours',
    ]);
    expect(screen.getByText('2 of 4 resources done')).toBeInTheDocument();
    expect(screen.getByRole('progressbar')).toHaveAttribute('aria-valuenow', '50');
  });

  it('keeps the proof after its end', () => {
    cleanup('CLEANED_UP', [step({ status: 'SUCCEEDED', message: 'not found' })]);
    expect(screen.getByRole('region', { name: 'Cleaned up' })).toHaveTextContent('not found');
    expect(screen.queryByRole('progressbar')).not.toBeInTheDocument();
  });
});

describe('the resources', () => {
  const resource = { id: 'res_1', kind: 'server', role: null, name: 's-1', cloudId: '0717-1', state: 'PRESENT', createdByNumber: 1, heldByNumber: 2, lastError: null, updatedAt: at(0) } as const;

  it('are listed with who made them and who holds them', () => {
    render(
      <UiProvider>
        <ResourcesPanel resources={[resource, { ...resource, id: 'res_2', kind: 'new_thing', role: 'workload-1', state: 'GONE', cloudId: null, createdByNumber: null, lastError: 'a message' }]} />
      </UiProvider>,
    );
    expect(screen.getByText('holds 1 resource')).toBeInTheDocument();
    const rows = screen.getAllByRole('row').slice(1);
    expect(rows.map((row) => within(row).getAllByRole('cell').map((cell) => cell.textContent))).toEqual([
      ['Present', 'Server', 's-1', '0717-1', '#1', '#2', expect.stringContaining('10:00:00')],
      ['Gonea message', 'new thing, workload-1', 's-1', '–', '–', '#2', expect.stringContaining('10:00:00')],
    ]);
  });

  it('say that there are none', () => {
    render(
      <UiProvider>
        <ResourcesPanel resources={[]} />
      </UiProvider>,
    );
    expect(screen.getByText('Nothing was made for this node.')).toBeInTheDocument();
  });
});
