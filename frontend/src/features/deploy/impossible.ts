import type { ErrorCode } from '@/gql/generated/graphql';
import { isAddress, isMac } from './address';
import { formErrors, isSeveral, linesOf, type Order } from './order';

/** A refusal that needs no server; its path is spelt as the server spells its own. */
export interface Impossible {
  code: ErrorCode;
  message: string;
  field: string[];
  retryable: boolean;
  /** As it stands at the field, where there is little room and the value is in view. */
  short: string;
}

/**
 * What is wrong with a form that the server could not even read, or that only
 * the page knows. Such a form is refused here, with every field at once: the
 * server would name the first address that is none, and look at nothing else.
 */
export function impossible(order: Order): Impossible[] {
  const found: Impossible[] = [];
  const put = (message: string, short: string, field: string[]): void => void found.push({ code: 'INVALID', message, short, field, retryable: false });
  const add = (message: string, ...field: string[]): void => put(message, message, field);
  const address = (text: string, ...field: string[]): void => {
    if (text.trim() !== '' && !isAddress(text.trim())) put(`“${text.trim()}” is not an IP address.`, 'This is no IP address.', field);
  };
  const rack = order.ground === 'RACK';
  const spec = ['spec', rack ? 'rack' : 'ibmVpc'];
  const several = isSeveral(order);
  const { vlans, ...own } = formErrors(order);
  for (const [name, message] of Object.entries(own)) add(message, name);
  vlans.forEach((message, i) => {
    if (message !== null) add(message, ...spec, 'vlans', String(i));
  });
  const network = rack ? spec : [...spec, 'network'];
  for (const server of order.dnsServers.split(/[\s,]+/)) address(server, ...network, 'dnsServers');
  if (rack) address(order.gateway, ...spec, 'gateway');
  if (rack && several) {
    const lines = linesOf(order);
    if (lines.length === 0) add('The table has no machine.', 'rows');
    for (const { line, wrong } of lines) if (wrong !== null) add(`Line ${line}: ${wrong}`, 'rows', String(line));
  } else if (rack) {
    if (order.mac.trim() !== '' && !isMac(order.mac.trim())) put(`“${order.mac.trim()}” is not a MAC address.`, 'This is no MAC address.', [...spec, 'mac']);
    if (order.managementIp.trim() === '') add('The management IP is needed.', ...spec, 'managementIp');
    address(order.managementIp, ...spec, 'managementIp');
  } else if (!several) {
    for (const name of ['managementIp', 'ahvIp', 'cvmIp'] as const) address(order[name], ...network, name);
  }
  return found;
}
