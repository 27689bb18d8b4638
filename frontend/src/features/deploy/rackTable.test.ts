import { describe, expect, it } from 'vitest';

import { mostLines, readTable } from './rackTable';

const wrong = (text: string, byController = false) => readTable(text, byController).map((line) => line.wrong);

describe('a table of machines', () => {
  it('is read as it comes from a spreadsheet, a file or a person', () => {
    const machines = [
      { line: 1, name: 'rack-1', mac: '52:54:00:12:34:56', serial: '', managementIp: '10.0.8.21', controller: '', wrong: null },
      { line: 2, name: 'rack-2', mac: '', serial: '7CX1Y23', managementIp: '10.0.8.22', controller: '', wrong: null },
    ];
    for (const text of [
      'rack-1\t52:54:00:12:34:56\t10.0.8.21\nrack-2\t7CX1Y23\t10.0.8.22\n',
      'rack-1,52:54:00:12:34:56,10.0.8.21\r\nrack-2, 7CX1Y23, 10.0.8.22\r\n',
      'rack-1;52:54:00:12:34:56;10.0.8.21\nrack-2;7CX1Y23;10.0.8.22;;',
      '  rack-1   52:54:00:12:34:56  10.0.8.21\nrack-2 7CX1Y23 10.0.8.22',
    ]) expect(readTable(text)).toEqual(machines);
    expect(readTable('rack-1\tVMware-56 4d\t10.0.8.21')).toMatchObject([{ serial: 'VMware-56 4d', wrong: null }]);
  });

  it('counts lines as an editor does, and leaves out what is no machine', () => {
    expect(readTable('\n# row 7\nrack-1 52-54-00-12-34-56 10.0.8.21\n\nrack-2 7CX 10.0.8.22').map(({ line }) => line)).toEqual([3, 5]);
    expect(readTable('')).toEqual([]);
  });

  it('says at the line what is wrong', () => {
    expect(wrong('Rack_1 7CX 10.0.8.21\nrack-2\nrack-3 52:54:00:12:34 10.0.8.23\nrack-4 7CY 127.64.0.300\nrack-5 7CZ\nrack-6 a b c\n\t7CA\t10.0.8.27\nrack-8\t\t10.0.8.28')).toEqual([
      expect.stringContaining('“Rack_1” is no name'),
      'The MAC address or the serial number is missing.',
      '“52:54:00:12:34” is not a MAC address.',
      '“127.64.0.300” is not an IP address.',
      'The management IP is missing.',
      expect.stringContaining('There are 4 columns'),
      'The name is missing.',
      'The MAC address or the serial number is missing.',
    ]);
  });

  it('finds what stands there twice, and names the first line', () => {
    expect(wrong('a 52:54:00:12:34:56 10.0.8.1\na 7CX 10.0.8.2\nb 52-54-00-12-34-56 10.0.8.3\nc 7cx 10.0.8.4\nd 7CY 10.0.8.1')).toEqual([
      null, 'The same name stands in line 1.', 'The same machine stands in line 1.', 'The same machine stands in line 2.', 'The same address stands in line 1.',
    ]);
  });

  it('has at most fifty', () => {
    const text = Array.from({ length: mostLines + 1 }, (_, i) => `rack-${i} S${i} 10.0.8.${i + 1}`).join('\n');
    expect(wrong(text).slice(0, mostLines).every((each) => each === null)).toBe(true);
    expect(wrong(text).at(-1)).toBe('At most 50 machines are ordered at once.');
  });

  it('names the controllers of machines that have one', () => {
    expect(wrong('a 7CX 10.0.8.1 https://10.0.9.1\nb 7CY 10.0.8.2\nc 7CZ 10.0.8.3 https://10.0.9.1', true)).toEqual([null, 'The address of its controller is missing.', 'The same controller stands in line 1.']);
    expect(readTable('a 7CX 10.0.8.1 https://10.0.9.1', true)[0]?.controller).toBe('https://10.0.9.1');
  });
});
