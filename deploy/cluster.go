package deploy

import "context"

// ClusterMove is what a member of a cluster is to do next.
type ClusterMove string

// The moves.
const (
	// ClusterHold: it waits for others; its clock stands still.
	ClusterHold ClusterMove = "hold"
	// ClusterGo: something is being done for it; its clock runs.
	ClusterGo ClusterMove = "go"
	// ClusterDone: what the phase is for is proven.
	ClusterDone ClusterMove = "done"
	// ClusterAlone: its place is another's by now, so it goes on by itself, as a
	// node of no cluster.
	ClusterAlone ClusterMove = "alone"
	// ClusterFail: it will not become so by itself.
	ClusterFail ClusterMove = "fail"
)

// ClusterStand is how a member of a cluster stands.
type ClusterStand struct {
	Move ClusterMove
	// Message says what happens, or what is waited for, and of whom.
	Message string
	// Evidence is the newest thing that is known of it.
	Evidence string
	Failure  *ProviderError // of ClusterFail
}

// Clusters brings the members of clusters together; package cluster's Service
// does. Every method looks before it acts and may be called again after
// anything.
type Clusters interface {
	// Form makes one step towards the membership of a deployment's node.
	Form(ctx context.Context, deploymentID int64) (ClusterStand, error)
	// Validate looks at the health of the cluster of a deployment's node.
	Validate(ctx context.Context, deploymentID int64) (ClusterStand, error)
	// Address gives name and address of the cluster that a deployment's node
	// created; empty for every other node.
	Address(ctx context.Context, deploymentID int64) (name, vip string, err error)
}
