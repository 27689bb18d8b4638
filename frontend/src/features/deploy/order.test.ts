import { describe, expect, it } from 'vitest';

import { batchOf, emptyOrder, emptyPower, formErrors, inputsOf, inZone, namesOf, parseLabels, subnetsIn, type Offer, type Order } from './order';
import { parseDeploySearch } from './search';

const subnet = (id: string, zone: string) => ({ id, name: id, zone, cidr: '10.0.0.0/24', availableAddresses: 9 });
const offer = { subnets: [subnet('a', 'z1'), subnet('b', 'z1'), subnet('c', 'z2')] } as unknown as Offer;
const of = (over: Partial<Order>): Order => ({ ...emptyOrder, ...over });

describe('an order of a server', () => {
  it('leaves to the server what was left empty', () => {
    expect(inputsOf(of({ name: ' metal-1 ', profile: 'p' }))).toEqual([{ name: 'metal-1', clusterName: null, spec: { ibmVpc: { serverProfile: 'p', zone: null, managementSubnet: null } } }]);
  });

  it('carries all that was filled in', () => {
    const order = of({
      name: 'n', profile: 'p', zone: 'z1', managementSubnet: 'a', workloadSubnets: ['b'], vlans: [{ id: '7', subnet: 'b', float: true }], image: 'img', keys: ['k'], securityGroups: ['g', 'h'], managementIp: ' 10.0.0.9 ', clusterName: 'c', labels: 'row=7, x', installer: 'ahv', dnsServers: '10.0.0.2, 10.0.0.3', maintenance: true,
    });
    expect(inputsOf(order)).toEqual([
      {
        name: 'n',
        clusterName: 'c',
        maintenance: true,
        labels: [
          { key: 'row', value: '7' },
          { key: 'x', value: '' },
        ],
        spec: {
          ibmVpc: {
            serverProfile: 'p', zone: 'z1', managementSubnet: 'a', workloadSubnets: ['b'], vlans: [{ id: 7, subnet: 'b', float: true }], image: 'img', keys: ['k'], securityGroups: ['g', 'h'], installer: 'ahv',
            network: { managementIp: '10.0.0.9', ahvIp: null, cvmIp: null, dnsServers: ['10.0.0.2', '10.0.0.3'] },
          },
        },
      },
    ]);
  });

  it('lets go of subnets of another zone', () => {
    const order = of({ zone: 'z1', managementSubnet: 'a', workloadSubnets: ['b', 'c'], vlans: [{ id: '7', subnet: 'a', float: false }] });
    expect(inZone(order, 'z2', offer)).toMatchObject({ zone: 'z2', managementSubnet: '', workloadSubnets: ['c'], vlans: [{ id: '7', subnet: '' }] });
    expect(inZone(order, '', offer)).toMatchObject({ zone: '', managementSubnet: 'a', workloadSubnets: ['b', 'c'], vlans: [{ subnet: 'a' }] });
    expect(subnetsIn(offer, 'z1').map(({ id }) => id)).toEqual(['a', 'b']);
    expect(subnetsIn(null, '')).toEqual([]);
  });
});

describe('an order of one’s own machine', () => {
  it('says how it is known and where it is', () => {
    expect(inputsOf(of({ ground: 'RACK', name: 'rack-1', mac: '52-54-00-12-34-56', managementIp: '10.0.8.20', netmask: '24', gateway: '10.0.8.1', profile: 'not of a rack', vlans: [{ id: '', subnet: '', float: false }] }))).toEqual([
      { name: 'rack-1', clusterName: null, spec: { rack: { mac: '52-54-00-12-34-56', serial: null, managementIp: '10.0.8.20', netmask: '24', gateway: '10.0.8.1' } } },
    ]);
  });

  it('names the controller and the secret, never a password', () => {
    const power = { ...emptyPower, byController: true, url: 'https://10.0.9.20', username: 'slipway', passwordRef: 'lab', bootMode: 'UEFI' as const };
    expect(inputsOf(of({ ground: 'RACK', name: 'r', serial: '7CX', managementIp: '10.0.8.20', power }))[0]?.spec.rack?.power).toEqual({
      type: 'REDFISH', url: 'https://10.0.9.20', username: 'slipway', passwordRef: 'lab', systemId: null, caFile: null, insecureTls: false, bootFrom: 'PXE', offAtRelease: false, bootMode: 'UEFI',
    });
  });
});

describe('several of one’s own', () => {
  const table = of({ ground: 'RACK', name: 'row 7', table: true, rows: 'rack-1\t52:54:00:12:34:56\t10.0.8.21\nrack-2\t7CX1Y23\t10.0.8.22', netmask: '24', mac: 'of the other way', managementIp: '10.9.9.9', parallel: '3', labels: 'row=7' });

  it('are a line each, and one batch', () => {
    expect(batchOf(table, 'key')).toEqual({
      batchName: 'row 7', maxParallel: 3, idempotencyKey: 'key',
      nodes: [
        { name: 'rack-1', clusterName: null, labels: [{ key: 'row', value: '7' }], spec: { rack: { mac: '52:54:00:12:34:56', serial: null, managementIp: '10.0.8.21', netmask: '24', gateway: null } } },
        { name: 'rack-2', clusterName: null, labels: [{ key: 'row', value: '7' }], spec: { rack: { mac: null, serial: '7CX1Y23', managementIp: '10.0.8.22', netmask: '24', gateway: null } } },
      ],
    });
    expect(batchOf({ ...table, name: ' ' }, 'key')).not.toHaveProperty('batchName');
  });

  it('have a controller each', () => {
    const power = { ...emptyPower, byController: true, url: 'https://of-the-other-way', username: 'slipway', passwordRef: 'lab' };
    const [one, two] = inputsOf({ ...table, power, rows: 'rack-1, 7CX1Y23, 10.0.8.21, https://10.0.9.21\nrack-2, 7CX1Y24, 10.0.8.22, https://10.0.9.22' });
    expect([one, two].map((input) => input?.spec.rack?.power)).toMatchObject([{ url: 'https://10.0.9.21', username: 'slipway' }, { url: 'https://10.0.9.22', passwordRef: 'lab' }]);
  });
});

describe('several', () => {
  it('have their numbers where the marks are', () => {
    expect(namesOf(of({ name: 'metal-##-a', count: '3', first: '8' }))).toEqual(['metal-08-a', 'metal-09-a', 'metal-10-a']);
    expect(namesOf(of({ name: 'm#', count: '2', first: '99' }))).toEqual(['m99', 'm100']);
    expect(namesOf(of({ name: 'm#', count: '51' }))).toEqual([]);
    expect(namesOf(of({ ground: 'RACK', name: 'm#' }))).toEqual(['m#']);
    expect(namesOf(of({ ground: 'RACK', name: 'm#', table: true, rows: 'a 7CX 10.0.0.1\nb 8CX 10.0.0.2' }))).toEqual(['a', 'b']);
  });

  it('share no address, and are one batch', () => {
    const batch = batchOf(of({ name: 'm#', count: '2', profile: 'p', managementIp: '10.0.0.9', parallel: '2', stopAfter: '1' }), 'key');
    expect(batch).toMatchObject({ batchName: 'm#', maxParallel: 2, stopOnFailureCount: 1, idempotencyKey: 'key' });
    expect(batch.nodes.map(({ name }) => name)).toEqual(['m1', 'm2']);
    expect(batch.nodes[0]?.spec.ibmVpc).not.toHaveProperty('network');
  });

  it('are refused here when they make no sense', () => {
    expect(formErrors(of({ name: 'm#-#', count: '0', first: 'x', parallel: '501', stopAfter: '0' }))).toEqual({
      vlans: [], name: expect.any(String) as string, count: expect.any(String) as string, first: expect.any(String) as string, parallel: expect.any(String) as string, stopAfter: expect.any(String) as string,
    });
    expect(formErrors(of({ name: 'm', count: '0' }))).toEqual({ vlans: [] });
    expect(formErrors(of({ vlans: [{ id: '4095', subnet: 'a', float: false }, { id: '7', subnet: '', float: false }, { id: '7', subnet: 'a', float: false }] })).vlans).toEqual(['A VLAN from 1 to 4094.', 'Choose its subnet.', null]);
  });
});

it('reads labels with an equals sign in their value', () => {
  expect(parseLabels(' a = b=c ,, ')).toEqual([{ key: 'a', value: 'b=c' }]);
});

it('takes a name and a ground from the address, and nothing that is none', () => {
  expect(parseDeploySearch({ name: 'metal-1' })).toEqual({ name: 'metal-1' });
  expect(parseDeploySearch({ name: 'rack-1', on: 'rack' })).toEqual({ name: 'rack-1', on: 'rack' });
  expect(parseDeploySearch({ name: 'x'.repeat(41), on: 'moon' })).toEqual({});
  expect(parseDeploySearch({ name: 7 })).toEqual({});
});
