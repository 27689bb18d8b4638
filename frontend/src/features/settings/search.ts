/** What the URL says of the settings. */
export interface SettingsSearch {
  /** Tokens that were revoked or have expired as well. */
  ended?: true;
}

/** Reads the URL; what makes no sense is left out. */
export function parseSettingsSearch(raw: Record<string, unknown>): SettingsSearch {
  return raw.ended === true || raw.ended === 'true' ? { ended: true } : {};
}
