/**
 * The live side of the app. One module owns the subscriptions, outside React;
 * components read the cache, `Stream.fleet` and `Stream.status`, and nothing else.
 */
export { Connection } from './connection';
export { Backoff } from './backoff';
export { Stream } from './stream';
export type { Fleet, FleetSnapshot } from './fleet';
export type { HistoryFilter, HistoryListener } from './historyChannel';
export type { NodeListener } from './nodeChannel';
export type { LogPiece, RunListener } from './runChannel';
export { readWholeLog } from './wholeLog';
export { isBehind, type StreamMode, type StreamStatus } from './status';
