import { describe, expect, it } from 'vitest';

import { emptyOrder, inputOf, inZone, parseLabels, subnetsIn, type Offer } from './order';
import { parseDeploySearch } from './search';

const subnet = (id: string, zone: string) => ({ id, name: id, zone, cidr: '10.0.0.0/24', availableAddresses: 9 });
const offer = { subnets: [subnet('a', 'z1'), subnet('b', 'z1'), subnet('c', 'z2')] } as unknown as Offer;

describe('an order', () => {
  it('leaves to the server what was left empty', () => {
    expect(inputOf({ ...emptyOrder, name: ' metal-1 ', profile: 'p' })).toEqual({
      name: 'metal-1',
      clusterName: null,
      spec: { ibmVpc: { serverProfile: 'p', zone: null, managementSubnet: null } },
    });
  });

  it('carries all that was filled in', () => {
    const order = { ...emptyOrder, name: 'n', profile: 'p', zone: 'z1', managementSubnet: 'a', workloadSubnets: ['b'], managementIp: ' 10.0.0.9 ', clusterName: 'c', labels: 'row=7, x' };
    expect(inputOf(order, 'key')).toEqual({
      name: 'n',
      clusterName: 'c',
      idempotencyKey: 'key',
      labels: [
        { key: 'row', value: '7' },
        { key: 'x', value: '' },
      ],
      spec: { ibmVpc: { serverProfile: 'p', zone: 'z1', managementSubnet: 'a', workloadSubnets: ['b'], network: { managementIp: '10.0.0.9', ahvIp: null, cvmIp: null } } },
    });
  });

  it('lets go of subnets of another zone', () => {
    const order = { ...emptyOrder, zone: 'z1', managementSubnet: 'a', workloadSubnets: ['b', 'c'] };
    expect(inZone(order, 'z2', offer)).toMatchObject({ zone: 'z2', managementSubnet: '', workloadSubnets: ['c'] });
    expect(inZone(order, '', offer)).toMatchObject({ zone: '', managementSubnet: 'a', workloadSubnets: ['b', 'c'] });
    expect(subnetsIn(offer, 'z1').map(({ id }) => id)).toEqual(['a', 'b']);
    expect(subnetsIn(null, '')).toEqual([]);
  });

  it('reads labels with an equals sign in their value', () => {
    expect(parseLabels(' a = b=c ,, ')).toEqual([{ key: 'a', value: 'b=c' }]);
  });

  it('takes a name from the address, and nothing that is none', () => {
    expect(parseDeploySearch({ name: 'metal-1' })).toEqual({ name: 'metal-1' });
    expect(parseDeploySearch({ name: 'x'.repeat(41) })).toEqual({});
    expect(parseDeploySearch({ name: 7 })).toEqual({});
  });
});
