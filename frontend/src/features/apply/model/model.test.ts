import { describe, expect, it } from 'vitest';

import { addRow, copyOf, gatewayRow, newCard, newRow, nextName, noCloud, withBonds, withMode, withRow, withType, type Card } from './card';
import { toDocument } from './document';
import { readRequest } from './read';
import { asFile, identityOf, mergeErrors, placeErrors, requestOf } from './request';
import { addedRoles, addressless, check, mtus, roles, types } from './schema';

const files = import.meta.glob<string>('../../../../../deploy/hostconfig/testdata/golden/*.json', { query: '?raw', import: 'default', eager: true });
const goldens = Object.entries(files).map(([path, text]) => ({ file: path.slice(path.lastIndexOf('/') + 1), text }));
const shapes = ['default', 'default-single', 'default-bond', 'default-bond-single', 'segregated', 'segregated-bond'];

const only = (text: string): Card => {
  const { cards, problem } = readRequest(text);
  expect(problem).toBeNull();
  expect(cards).toHaveLength(1);
  return cards[0] as Card;
};

const right = (): Card => only(goldens.find(({ file }) => file === 'default.json')?.text ?? '');
const keysAt = (card: Card): Record<string, string | null> => Object.fromEntries(requestOf([card]).errors.map(({ field, key }) => [field ?? '', key]));

describe('documents of the server as cards, and back', () => {
  it('has a golden file of each of the six shapes', () => {
    for (const shape of shapes) expect(goldens.map(({ file }) => file)).toContain(`${shape}.json`);
  });

  it.each(goldens)('$file comes back byte for byte, and nothing is wrong with it', ({ text }) => {
    const card = only(text);
    expect(card.leftOut).toEqual([]);
    expect(`${JSON.stringify(toDocument(card).document, null, 2)}\n`).toBe(text);
    expect(requestOf([card]).errors).toEqual([]);
  });

  it('comes back from its own export', () => {
    const cards = goldens.slice(0, 3).map(({ text }, i) => ({ ...only(text), hostname: `SQDN-00${i}` }));
    const again = readRequest(asFile(cards));
    expect(again.cards.map((card) => toDocument(card).document)).toEqual(cards.map((card) => toDocument(card).document));
  });

  it('knows what the schema knows', () => {
    expect(types).toEqual(['Primary', 'Secondary', 'Mgmt', 'VXLAN', 'Storage', 'External_Traffic']);
    expect([...addressless]).toEqual(['Secondary', 'External_Traffic']);
    expect(roles).toEqual(['Control', 'Compute', 'Storage', 'Monitoring']);
    expect(addedRoles).toEqual(['Network']);
    expect(mtus).toEqual(['1500', '9000']);
  });
});

describe('a lenient import', () => {
  it('takes other spellings for what they mean', () => {
    const card = only(`{"192.0.2.9": {"using_interfaces": {"interface_1": {"interface_name": " eno1 ", "type": "management", "vlan_id": 88, "Properties": {"IP_ADDRESS": "192.0.2.21", "Netmask": 24, "mtu": 1500}},
      "interface_2": {"interface_name": "eno2", "type": ["external traffic"], "vlan_id": null}}, "hostname": "a", "disk": "sda", "roles": ["control", "NETWORK"]}}`);
    expect(card).toMatchObject({ key: '192.0.2.9', mode: 'segregated', hostname: 'a', disks: 'sda', roles: ['Control'], leftOut: [] });
    expect(card.rows).toMatchObject([{ name: 'eno1', type: 'Mgmt', vlan: '88', mask: '24', mtu: '1500' }, { name: 'eno2', type: 'External_Traffic', vlan: '' }]);
  });

  it('tells what has no place, and loses nothing else', () => {
    const card = only('{"using_interfaces": {"eth0": {}, "interface_01": {"interface_name": "eno1", "type": ["Primary", "Mgmt"], "Properties": {"IP_ADDRESS": "192.0.2.21", "ip6": "::1", "gateway": "192.0.2.1"}}, "interface_02": {"Bond_Slave": "YES", "Bond_Interface_Name": "bond7", "interface_name": "eno3"}}, "hostname": "a", "note": 1}');
    expect(card.leftOut).toEqual([
      'using_interfaces.eth0 is not a field of the document',
      'using_interfaces.interface_01.type must have one type only: Mgmt',
      'using_interfaces.interface_01.Properties.ip6 is not a field of the document',
      'note is not a field of the document',
    ]);
    expect(card.rows).toMatchObject([{ type: 'Primary', address: '192.0.2.21' }, { bonded: true, bondName: 'bond7', members: ['eno3', ''] }]);
    expect(card.gateway).toBe('192.0.2.1');
  });

  it('keeps the wrong row of a gateway, and the third member of a bond, for the server to refuse', () => {
    const text = (goldens.find(({ file }) => file === 'segregated-bond.json')?.text ?? '').replace('"gateway": "10.20.0.1"', '"x": ""').replace('"mtu": "9000"', '"mtu": "9000", "gateway": "10.20.2.1"').replaceAll('"bond3"', '"bond2"');
    const card = only(text);
    expect(gatewayRow(card)?.type).toBe('Storage');
    expect(toDocument(card).places.get('using_interfaces.bond3.Properties.gateway')).toBe('gateway');
    expect(card.rows.map(({ members }) => members.length)).toContain(4);
  });

  it('says why it reads nothing', () => {
    expect(readRequest('{"a":').problem).toMatch(/^This is not JSON: /);
    expect(readRequest('[]').problem).toMatch(/has no node/);
    expect(readRequest('3').problem).toMatch(/has no node/);
    expect(only('{"192.0.2.1": null}')).toMatchObject({ key: '192.0.2.1', leftOut: ['the node is no document but null'] });
  });
});

describe('errors at their fields', () => {
  it('are told with the keys of the server', () => {
    expect(keysAt(newCard())).toEqual({
      'rows.0.name': 'interface_required', 'rows.0.address': 'address_required', 'rows.0.mask': 'mask_required', 'rows.0.dns': 'dns_required', 'rows.1.name': 'interface_required',
      hostname: 'hostname_required', roles: 'role_required',
    });
  });

  it.each([
    ['rows.0.address', 'address', '192.0.2.1.', 'address_bad'],
    ['rows.0.address', 'address', '999.1.1.1', 'address_bad'],
    ['rows.0.mask', 'mask', '255.0.255.0', 'mask_bad'],
    ['rows.0.mask', 'mask', '0.0.0.0', 'mask_bad'],
    ['rows.0.dns', 'dns', '192.0.2.2, 192.0.2.3', 'dns_bad'],
    ['rows.0.vlan', 'vlan', '5000', 'vlan_bad'],
    ['rows.0.vlan', 'vlan', '0', 'vlan_bad'],
    ['rows.0.mtu', 'mtu', '1600', 'mtu_bad'],
    ['rows.0.name', 'name', 'a name', 'interface_bad'],
    ['rows.0.type', 'type', '', 'type_required'],
    ['rows.0.type', 'type', 'Other', 'type_unknown'],
  ])('%s: %s of "%s" is %s', (field, name, value, key) => {
    expect(keysAt(withRow(right(), 0, { [name]: value }))).toEqual({ [field]: key });
  });

  it('leave alone what one may type in another way', () => {
    for (const change of [{ mask: '/24' }, { mask: '24' }, { address: ' 192.0.2.21 ' }, { address: 'FE80::A', mask: '64' }, { vlan: '', mtu: '' }]) expect(keysAt(withRow(right(), 0, change))).toEqual({});
  });

  it('are told of bonds at their own fields', () => {
    const card = withRow(withBonds(right(), true), 0, { bondName: 'team0', members: ['eno1', ''] });
    expect(keysAt(card)).toEqual({ 'rows.0.bondName': 'bond_name_bad', 'rows.0.members.1': 'interface_required', 'rows.1.members.1': 'interface_required' });
  });

  it('want a disk where Storage is chosen, and names of disks', () => {
    expect(keysAt({ ...right(), roles: ['Storage'], disks: '' })).toEqual({ disks: 'disk_required' });
    expect(keysAt({ ...right(), roles: ['Control'], disks: '' })).toEqual({});
    expect(requestOf([{ ...right(), disks: 'sdä' }]).errors).toMatchObject([{ field: 'disks', key: 'disk_bad', text: 'has sdä, which is not the name of a disk: 1 to 128 printable ASCII characters are expected' }]);
  });

  it('are told of a first cloud', () => {
    const cloud = { ...noCloud, vip: 'x', provider: 'given' as const, providerCidr: '999.1.1.1/24', providerGateway: '198.51.100.1', providerStart: '1', providerEnd: '198.51.100.9' };
    expect(keysAt({ ...right(), cloud })).toEqual({ vip: 'vip_bad', providerCidr: 'provider_cidr_bad', providerStart: 'provider_start_bad' });
    expect(keysAt({ ...right(), cloud: { ...noCloud, provider: 'none' } })).toEqual({});
  });

  it('come from the server by path, whichever way it spells names', () => {
    const first = right();
    const second = withBonds({ ...right(), id: 'second', hostname: 'b' }, true);
    const request = requestOf([first, second]);
    const { placed, rest } = placeErrors(
      [
        { code: 'INVALID', key: 'mask_not_contiguous', message: 'Netmask is not a subnet mask: its ones must come before its zeros', field: ['cards', '0', 'using_interfaces', 'interface_01', 'Properties', 'Netmask'] },
        { code: 'INVALID', key: 'gateway_outside_subnet', message: 'is outside of 192.0.2.0/24', field: ['cards', '1', 'usingInterfaces', 'bond1', 'Properties', 'gateway'] },
        { code: 'INVALID', key: 'bond_members', message: 'must have exactly two members, and has 1', field: ['input.documents.cards.1.using_interfaces.bond2'] },
        { code: 'INVALID', key: 'interface_twice', message: 'uses eno1', field: ['cards.1.using_interfaces.interface_04.interface_name'] },
        { code: 'ALREADY_EXISTS', key: 'node_twice', message: 'is the same node as cards.0', field: ['cards', '1'] },
        { code: 'TOO_LARGE', key: 'too_large', message: 'has more than 4 bytes', field: ['body'] },
      ],
      request,
    );
    expect(placed.map(({ cardId, field, key, text }) => [cardId === 'second' ? 1 : 0, field, key, text])).toEqual([
      [0, 'rows.0.mask', 'mask_not_contiguous', 'is not a subnet mask: its ones must come before its zeros'],
      [1, 'gateway', 'gateway_outside_subnet', 'is outside of 192.0.2.0/24'],
      [1, 'rows.1.members.0', 'bond_members', 'must have exactly two members, and has 1'],
      [1, 'rows.1.members.1', 'interface_twice', 'uses eno1'],
      [1, null, 'node_twice', 'is the same node as cards.0'],
    ]);
    expect(rest).toMatchObject([{ key: 'too_large' }]);
  });

  it('are one for each field: the server knows better than the form', () => {
    const card = withRow(right(), 0, { mask: '255.0.255.0' });
    const server = [{ cardId: card.id, field: 'rows.0.mask', key: 'mask_not_contiguous', text: 'is none', by: 'server' as const }];
    expect(mergeErrors(requestOf([card]).errors, server).get(card.id)).toEqual(server);
  });

  it('have nothing to say of what only the server can judge', () => {
    expect(check(toDocument(withRow(right(), 0, { address: '10.20.0.1' })).document)).toEqual([]);
  });
});

describe('the request', () => {
  it('is a list in the order of the cards, or an object in the order of its names', () => {
    const a = { ...right(), id: 'a', hostname: 'a' };
    const b = { ...withRow(right(), 0, { address: '10.20.0.3' }), id: 'b', hostname: 'b' };
    expect(requestOf([b, a])).toMatchObject({ order: ['b', 'a'], body: [{ hostname: 'b' }, { hostname: 'a' }] });
    const keyed = requestOf([b, { ...a, key: '10.0.0.9' }]);
    expect(Object.keys(keyed.body)).toEqual(['10.0.0.9', '10.20.0.3']);
    expect(keyed.order).toEqual(['a', 'b']);
    expect(identityOf({ ...a, rows: [newRow('Primary')] })).toBe('a');
  });

  it('tells of a key that two cards have, and loses neither', () => {
    const a = { ...right(), id: 'a', key: '10.0.0.9' };
    const { body, errors } = requestOf([a, { ...a, id: 'b' }]);
    expect(body).toHaveLength(2);
    expect(errors).toMatchObject([{ cardId: 'b', field: 'key', key: 'node_twice' }]);
  });
});

describe('what one does with a card', () => {
  it('swaps types, and the address goes to the row that needs one', () => {
    const swapped = withType(right(), 0, 'Secondary');
    expect(swapped.rows.map(({ type, name, address }) => [type, name, address])).toEqual([['Secondary', 'eno1', ''], ['Primary', 'eno2', '10.20.0.21']]);
    expect(keysAt(swapped)).toEqual({});
  });

  it('finds what was there when it goes back to a mode', () => {
    const card = right();
    const there = withMode(card, 'segregated');
    expect(there.rows.map(({ type }) => type)).toEqual(['Mgmt', 'VXLAN', 'Storage', 'External_Traffic']);
    expect(there.rows[0]).toMatchObject({ name: 'eno1', address: '10.20.0.21' });
    expect(toDocument(withMode(there, 'default')).document).toEqual(toDocument(card).document);
  });

  it('makes bonds of interfaces, and interfaces of bonds', () => {
    const card = right();
    const bonded = withBonds(card, true);
    expect(bonded.rows).toMatchObject([{ bondName: 'bond0', members: ['eno1', ''] }, { bondName: 'bond1', members: ['eno2', ''] }]);
    expect(toDocument(withBonds(bonded, false)).document).toEqual(toDocument(card).document);
  });

  it('copies without what a node has for itself, and counts the name on', () => {
    const card = { ...right(), hostname: 'SQDN-009' };
    const copy = copyOf(card, [card, { ...card, hostname: 'sqdn-010' }]);
    expect(copy.hostname).toBe('SQDN-011');
    expect(copy.rows[0]).toMatchObject({ name: 'eno1', address: '', mask: '255.255.255.0' });
    expect(copy.disks).toBe('');
    expect(nextName('node', new Set())).toBe('');
  });

  it('adds the row that is missing', () => {
    const card = only(goldens.find(({ file }) => file === 'default-single.json')?.text ?? '');
    expect(addRow(card).rows.map(({ type }) => type)).toEqual(['Primary', 'Secondary']);
  });
});
