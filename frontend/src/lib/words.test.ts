import { expect, it } from 'vitest';

import type { Provider } from '@/gql/generated/graphql';
import { phaseLabel } from './phases';
import { providerName } from './providers';
import { resourceKind } from './resources';

it('has words for what programs call otherwise, and shows the name of what is new to it', () => {
  expect((['IBM_VPC', 'RACK', 'SCRIPT'] as const).map(providerName)).toEqual(['IBM Cloud VPC', 'Own hardware', 'Scripted host']);
  expect(providerName('MOON_BASE' as Provider)).toBe('moon_base');
  expect(resourceKind('reserved_ip', 'ahv')).toBe('Reserved address, hypervisor');
  expect(resourceKind('dns_a', 'cvm')).toBe('DNS record (A), controller VM');
  expect(resourceKind('floating_ip', 'some_role')).toBe('floating ip, some role');
  expect(phaseLabel('MONITORING_START', 'monitoring_start')).toBe('Waiting for boot');
});
