import { expect, it } from 'vitest';

import { formatBytes } from './bytes';

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '0.98 KiB'],
  [1024, '1 KiB'],
  [1536, '1.5 KiB'],
  [432_013_312, '412 MiB'],
  [1_181_116_006, '1.1 GiB'],
  [1023 * 1024, '1 MiB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
