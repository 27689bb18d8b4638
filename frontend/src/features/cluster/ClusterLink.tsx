import { useQuery } from '@apollo/client/react';
import { Link } from '@tanstack/react-router';

import { Fact } from '@/features/node/DeploymentFacts';
import { ClusterOfNodeDocument } from '@/gql/generated/graphql';

function useClusterOf(id: string) {
  const { data } = useQuery(ClusterOfNodeDocument, { variables: { id }, fetchPolicy: 'cache-and-network' });
  const found = data?.node;
  return found?.__typename === 'BareMetalNode' || found?.__typename === 'Deployment' ? found.cluster : null;
}

/**
 * The cluster of a node or of a deployment, as a link to its page; the plain
 * name where it is a name only, and nothing where there is none.
 */
export function ClusterLink({ of, name }: { /** Global id of the node or the deployment. */ of: string; /** The name that is known of it. */ name: string | null }) {
  const cluster = useClusterOf(of);
  if (cluster === null) return name;
  return (
    <Link to="/clusters/$clusterId" params={{ clusterId: cluster.id }}>
      {cluster.name}
    </Link>
  );
}

/** The cluster that a deployment is for, among the facts of its page; nothing when it is for none. */
export function ClusterFact({ deploymentId }: { deploymentId: string }) {
  const cluster = useClusterOf(deploymentId);
  if (cluster === null) return null;
  return (
    <Fact name="Cluster">
      <Link to="/clusters/$clusterId" params={{ clusterId: cluster.id }}>
        {cluster.name}
      </Link>
    </Fact>
  );
}
