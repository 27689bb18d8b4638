/**
 * A key that nobody else has, so that asking for the same thing twice does it
 * once. `crypto.randomUUID` is not there on pages without TLS.
 */
export function uniqueKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
