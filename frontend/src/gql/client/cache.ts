import { InMemoryCache, type Cache, type FieldFunctionOptions, type Reference, type StoreObject } from '@apollo/client';

import type { DeploymentLiveFragment } from '@/gql/generated/graphql';

type DeploymentFailure = NonNullable<DeploymentLiveFragment['failure']>;

interface Versioned {
  __typename: string;
  id: string;
  version: number;
}

function isVersioned(value: object): value is Versioned {
  const candidate = value as Partial<Versioned>;
  return typeof candidate.id === 'string' && typeof candidate.version === 'number' && typeof candidate.__typename === 'string';
}

/** Fields that only ever grow by merging: an older read adds to them and takes nothing away. */
const cumulative: ReadonlySet<string> = new Set(['events']);

/**
 * The normalised cache with the version rule: an object that carries a version
 * smaller than the one held is dropped, whichever way it came (a page of a
 * query that was slower than the stream, a replayed message, a poll). Messages
 * may therefore be applied in any order and more than once.
 *
 * A `merge` function of a type policy cannot do this: for an object with an id
 * it is given references, after the fields were already merged. So the rule
 * sits where everything is written. What an older object brings that the cache
 * does not hold at all is kept, since there is nothing newer to lose.
 */
export class VersionedCache extends InMemoryCache {
  private versions = new Map<string, number>();

  override write(options: Cache.WriteOptions): Reference | undefined {
    const newer = new Set<string>();
    this.observe(options.result, newer);
    if (newer.size === 0) return super.write(options);

    let written: Reference | undefined;
    // One transaction: nobody sees the older fields between the two steps.
    this.performTransaction(() => {
      const held = [...newer].map((id) => ({ id, fields: this.storedFields(id) }));
      written = super.write(options);
      for (const { id, fields } of held) this.restoreFields(id, fields);
    });
    return written;
  }

  override reset(options?: Cache.ResetOptions): Promise<void> {
    this.versions.clear();
    return super.reset(options);
  }

  override evict(options: Cache.EvictOptions): boolean {
    if (options.id !== undefined && options.fieldName === undefined) this.versions.delete(options.id);
    return super.evict(options);
  }

  /** The version held of an object, by its cache id; undefined when none is. */
  versionOf(id: string): number | undefined {
    return this.versions.get(id);
  }

  private observe(value: unknown, newer: Set<string>): void {
    if (typeof value !== 'object' || value === null) return;
    if (Array.isArray(value)) {
      for (const item of value) this.observe(item, newer);
      return;
    }
    if (isVersioned(value)) {
      const id = this.identify(value as unknown as StoreObject);
      if (id !== undefined) {
        const held = this.versions.get(id);
        if (held !== undefined && held > value.version) newer.add(id);
        else this.versions.set(id, value.version);
      }
    }
    for (const child of Object.values(value)) this.observe(child, newer);
  }

  // Raw fields as stored, by their names with arguments; references stay references.
  private storedFields(id: string): Map<string, unknown> {
    const fields = new Map<string, unknown>();
    this.modify({
      id,
      broadcast: false,
      fields: (value: unknown, { fieldName, storeFieldName }) => {
        if (!cumulative.has(fieldName)) fields.set(storeFieldName, value);
        return value;
      },
    });
    return fields;
  }

  private restoreFields(id: string, fields: Map<string, unknown>): void {
    this.modify({
      id,
      fields: (value: unknown, { storeFieldName }) => (fields.has(storeFieldName) ? fields.get(storeFieldName) : value),
    });
  }
}

interface EventListValue {
  nodes?: readonly Reference[];
  pageInfo?: { hasPreviousPage: boolean; startCursor: string | null };
}

// Only a page that reaches further back moves the beginning; one that closes a gap does not.
function beginningOf(held: EventListValue | undefined, page: EventListValue, before: unknown, readField: FieldFunctionOptions['readField']): EventListValue['pageInfo'] {
  if (page.pageInfo === undefined || held?.pageInfo === undefined) return page.pageInfo ?? held?.pageInfo;
  const first = ({ nodes = [] }: EventListValue): number => (nodes[0] === undefined ? Infinity : (readField<number>('sequence', nodes[0]) ?? Infinity));
  if (first(page) <= first(held)) return page.pageInfo;
  const end = page.nodes?.length === 0 && before === held.pageInfo.startCursor;
  return end ? { ...held.pageInfo, hasPreviousPage: false } : held.pageInfo;
}

/** The app's cache: one object per machine, deployment and event, however it arrived. */
export function createCache(): VersionedCache {
  return new VersionedCache({
    possibleTypes: {
      Node: ['BareMetalNode', 'Deployment', 'DeploymentBatch', 'DeploymentEvent', 'ScriptRun'],
      FleetMessage: ['FleetSnapshotPage', 'FleetDelta', 'StreamHeartbeat', 'StreamReset'],
      ClusterMessage: ['ClusterUpdate', 'StreamHeartbeat', 'StreamReset'],
      DeploymentEventMessage: ['DeploymentEventBatch', 'StreamHeartbeat', 'StreamReset'],
    },
    typePolicies: {
      // Names neither an object nor an identity of its own: part of its deployment.
      PhaseRun: { keyFields: false },
      DeploymentFailure: {
        // A row knows less of a failure than the deployment's page does; the rest
        // is kept while it is the same failure.
        merge(existing: Partial<DeploymentFailure> | null | undefined, incoming: Partial<DeploymentFailure>) {
          return existing?.at === incoming.at ? { ...existing, ...incoming } : { logTail: null, ...incoming };
        },
      },
      // What a node holds is told whole each time: things that are gone go.
      BareMetalNode: { fields: { resources: { merge: false }, documents: { merge: false }, labels: { merge: false } } },
      // A cluster is told whole each time, from first to last: nothing of an older telling is kept.
      Cluster: { fields: { members: { merge: false }, barrier: { merge: false }, formation: { merge: false }, health: { merge: false } } },
      // A document has no id of its own: it is what one run stored for one node.
      NodeDocument: { keyFields: false },
      ScriptRun: { fields: { documents: { merge: false } } },
      // Told whole each time, and not always: a host that was never asked has none.
      SshProbe: { keyFields: false },
      Deployment: {
        fields: {
          cleanup: { merge: false },
          sshProbe: { merge: false },
          events: {
            // All pages and everything the stream brings make one list by sequence.
            keyArgs: false,
            merge(existing: EventListValue | undefined, incoming: EventListValue, { args, readField }) {
              const bySequence = new Map<number, Reference>();
              for (const node of [...(existing?.nodes ?? []), ...(incoming.nodes ?? [])]) {
                const sequence = readField<number>('sequence', node);
                if (sequence !== undefined) bySequence.set(sequence, node);
              }
              const nodes = [...bySequence.entries()].sort(([a], [b]) => a - b).map(([, node]) => node);
              return { ...existing, ...incoming, nodes, pageInfo: beginningOf(existing, incoming, args?.before, readField) };
            },
          },
        },
      },
    },
  });
}
