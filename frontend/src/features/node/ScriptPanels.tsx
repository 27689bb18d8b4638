import { useQuery } from '@apollo/client/react';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';

import { NodeDocumentsDocument } from '@/gql/generated/graphql';
import { DocumentView } from '@/script/DocumentView';
import { HostPanel } from '@/script/HostPanel';
import { runNumber } from '@/script/hostState';
import { useProbes } from '@/script/useHost';
import { Button, Instant, Panel } from '@/ui';
import classes from './ScriptPanels.module.css';
import type { NodeDetails } from './useNode';

/** Documents that are shown, the newest first. */
const most = 20;

/** What a node has that the deployment script configures: its way back, and what was applied to it. */
export function ScriptPanels({ node, deploymentId }: { node: NodeDetails; deploymentId: string }) {
  useProbes();
  return (
    <div className={classes.panels}>
      <Panel title="Restart and SSH" flush>
        <HostPanel deploymentId={deploymentId} ownVerbsOnly stepsOnly />
      </Panel>
      {/* Another deployment or attempt has another document. */}
      <Documents key={`${deploymentId} ${node.currentDeployment?.attempt ?? 0}`} nodeId={node.id} />
    </div>
  );
}

/** Every configuration that was applied, each with what it changed. */
function Documents({ nodeId }: { nodeId: string }) {
  const [opened, setOpened] = useState<number | null>(null);
  const { data, error } = useQuery(NodeDocumentsDocument, { variables: { id: nodeId, first: most }, fetchPolicy: 'cache-and-network' });
  const read = data?.node?.__typename === 'BareMetalNode' ? data.node : null;
  if (read === null) {
    return (
      <Panel title="Configurations that were applied" flush>
        <p className={classes.none} role="status">
          {error ? 'They could not be read.' : 'Reading them …'}
        </p>
      </Panel>
    );
  }
  return (
    <Panel title="Configurations that were applied" flush actions={read.hostKeyFingerprint === null ? null : <code className={classes.key}>{read.hostKeyFingerprint}</code>}>
      {read.documents.length === 0 ? <p className={classes.none}>None yet.</p> : null}
      <ol className={classes.list} aria-label="Configurations, the newest first">
        {read.documents.map((document, i) => (
          <li key={`${document.run.id} ${document.createdAt}`} className={classes.item}>
            <div className={classes.line}>
              <Instant at={document.createdAt} />
              <code className={classes.file}>{document.file}</code>
              <Link to="/apply/runs/$runId" params={{ runId: document.run.id }}>
                Run {runNumber(document.run.id)}
              </Link>
              <span className={classes.quiet}>by {document.run.requestedBy.name}</span>
              <Button size="compact-xs" variant="default" aria-expanded={opened === i} onClick={() => setOpened(opened === i ? null : i)} aria-label={`${opened === i ? 'Hide' : 'Show'} the configuration of run ${runNumber(document.run.id)}`}>
                {opened === i ? 'Hide' : 'Show'}
              </Button>
            </div>
            {opened === i ? <DocumentView label={`Configuration of run ${runNumber(document.run.id)}`} content={document.content} before={read.documents[i + 1]?.content ?? null} /> : null}
          </li>
        ))}
      </ol>
    </Panel>
  );
}
