/** Whether the server can read it as an address: IPv4, or IPv6 without a zone. */
export function isAddress(text: string): boolean {
  if (!text.includes(':')) return /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split('.').every((part) => Number(part) <= 255 && String(Number(part)) === part);
  if (!/^[0-9a-f:.]+$/i.test(text)) return false;
  try {
    return new URL(`http://[${text}]/`).hostname !== '';
  } catch {
    return false;
  }
}

/** Whether the server can read it as a MAC address: six pairs, apart by colons or by hyphens. */
export const isMac = (text: string): boolean => /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text) || /^[0-9a-f]{2}(-[0-9a-f]{2}){5}$/i.test(text);
