import { plural } from '@/lib/format';
import { resourceKind, resourceState } from '@/lib/resources';
import { Instant, Panel, StatusMark } from '@/ui';
import cards from './cards.module.css';
import classes from './ResourcesPanel.module.css';
import type { NodeDetails } from './useNode';

/** What was made at the provider for a machine, as the journal has it. */
export function ResourcesPanel({ resources }: { resources: NodeDetails['resources'] }) {
  const held = resources.filter(({ state }) => state !== 'GONE').length;
  return (
    <div className={cards.space}>
      <Panel title="Resources at the provider" flush actions={<span className={cards.quiet}>{held === 0 ? 'holds nothing' : `holds ${plural(held, 'resource')}`}</span>}>
        {resources.length === 0 ? (
          <p className={cards.pad}>Nothing was made for this node.</p>
        ) : (
          <div className={classes.scroll} tabIndex={0} role="region" aria-label="Table of resources">
            <table className={classes.table}>
              <thead>
                <tr>
                  <th scope="col">State</th>
                  <th scope="col">What</th>
                  <th scope="col">Name</th>
                  <th scope="col">Provider’s id</th>
                  <th scope="col">Made by</th>
                  <th scope="col">Held by</th>
                  <th scope="col">Changed</th>
                </tr>
              </thead>
              <tbody>
                {resources.map((resource) => {
                  const { kind, word } = resourceState(resource.state);
                  return (
                    <tr key={resource.id}>
                      <td>
                        <StatusMark kind={kind} word={word} />
                        {resource.lastError === null ? null : <p className={classes.error}>{resource.lastError}</p>}
                      </td>
                      <td>{resourceKind(resource.kind, resource.role)}</td>
                      <td className={classes.mono}>{resource.name}</td>
                      <td className={classes.mono}>{resource.cloudId ?? '–'}</td>
                      <td className={classes.number}>{numbered(resource.createdByNumber)}</td>
                      <td className={classes.number}>{numbered(resource.heldByNumber)}</td>
                      <td>
                        <Instant at={resource.updatedAt} className={classes.when} />
                      </td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
    </div>
  );
}

const numbered = (number: number | null): string => (number === null ? '–' : `#${number}`);
