import { emptyOrder, emptyPower, type Order, type Vlan } from './order';

/** Where the form is kept between visits. It has no secrets: passwords are only ever named. */
const place = 'slipway.deploy.draft';

type Kept = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

// A browser may refuse to keep anything; the form then lives as long as the page.
function storage(): Kept | null {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Takes what has the shape of the form; anything else is as in an empty one. */
function like<T extends object>(empty: T, raw: unknown): T {
  if (!isObject(raw)) return empty;
  const entries = Object.entries(empty).map(([name, value]: [string, unknown]) => [name, typeof raw[name] === typeof value && !isObject(value) && !Array.isArray(value) ? raw[name] : value]);
  return Object.fromEntries(entries) as T;
}

const texts = (raw: unknown): string[] => (Array.isArray(raw) ? raw.filter((each) => typeof each === 'string') : []);

/** Reads a draft; what an older or newer app has kept differently is left out. */
export function readDraft(text: string): Order {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return emptyOrder;
  }
  if (!isObject(raw)) return emptyOrder;
  const flat = like(emptyOrder, raw);
  const power = like(emptyPower, raw.power);
  const vlan: Vlan = { id: '', subnet: '', float: false };
  return {
    ...flat,
    ground: flat.ground === 'RACK' ? 'RACK' : 'IBM_VPC',
    workloadSubnets: texts(raw.workloadSubnets),
    keys: texts(raw.keys),
    securityGroups: texts(raw.securityGroups),
    vlans: Array.isArray(raw.vlans) ? raw.vlans.slice(0, 16).map((each) => like(vlan, each)) : [],
    power: { ...power, bootFrom: power.bootFrom === 'HTTP' ? 'HTTP' : 'PXE', bootMode: power.bootMode === 'UEFI' || power.bootMode === 'LEGACY' ? power.bootMode : '' },
  };
}

/** The form as it was left; null when it was left empty. */
export function loadDraft(from: Kept | null = storage()): Order | null {
  const text = from?.getItem(place) ?? null;
  return text === null ? null : readDraft(text);
}

/** Keeps the form over a reload; what cannot be kept is not worth an error. */
export function saveDraft(order: Order, to: Kept | null = storage()): void {
  try {
    to?.setItem(place, JSON.stringify(order));
  } catch {
    // Full, or not allowed.
  }
}

/** It was ordered, or given up. */
export function dropDraft(from: Kept | null = storage()): void {
  try {
    from?.removeItem(place);
  } catch {
    // As above.
  }
}
