package lifecycle

import (
	"encoding/json"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Report is what somebody says of a deployment's phase.
type Report struct {
	NodeID       int64 // required unless DeploymentID is given
	DeploymentID int64 // 0 = the node's current deployment
	// TokenAttempt is the attempt that the reporter's token belongs to, 0 if
	// it is bound to none. A machine of an older attempt is refused.
	TokenAttempt   int
	Phase          string // key; an unknown one is kept as a step
	Status         phase.Status
	Message        string
	Progress       *int // 0-100
	ServerStatus   string
	Details        json.RawMessage // a JSON object or nil
	LogTail        string
	OccurredAt     time.Time // the reporter's clock; zero = ours
	IdempotencyKey string
	Source         deploy.Source
	Actor          deploy.Actor
	// As says whose phases the reporter may report.
	As phase.Reporter
	// Code is the failure's code for a failed report; empty = reported_failure.
	Code string
	Hint string
	// NotRetryable marks a failure that a retry cannot cure.
	NotRetryable bool
}

// Receipt answers a report.
type Receipt struct {
	NodeID       int64
	DeploymentID int64
	EventID      int64 // of the event, or of the one it duplicates
	Sequence     int   // of the event, or of the one it duplicates
	Position     int64
	Phase        string // where the deployment is now
	PhaseStatus  phase.Status
	State        string
	Attempt      int
	Outcome      Outcome
	Duplicate    bool
	// AlreadyPassed: the report was right but late; the machine is further.
	AlreadyPassed bool
}

// Outcome is what became of a report.
type Outcome string

// The outcomes.
const (
	Accepted Outcome = "accepted" // it moved the phase
	Step     Outcome = "step"     // recorded and shown, no transition
	Refused  Outcome = "refused"  // recorded, state untouched; comes with an error
)

// NewDeployment asks for a deployment of a node, which is made if the name is
// new. An existing node with that name is a conflict (name_in_use) unless
// NodeID names it: then it is deployed again.
type NewDeployment struct {
	NodeID         int64 // deploy this existing node again
	Name           string
	Spec           deploy.Spec
	ClusterName    string
	ClusterID      int64 // of the cluster that it is to become a member of; 0 = none, or the one that its node belongs to already
	Labels         map[string]string
	Maintenance    bool
	IdempotencyKey string
	Actor          deploy.Actor
}

// NewBatch asks for several deployments together.
type NewBatch struct {
	Name               string
	Deployments        []NewDeployment
	MaxParallel        int
	StopOnFailureCount *int
	IdempotencyKey     string
	Actor              deploy.Actor
}

// Deployed answers NewDeployment.
type Deployed struct {
	NodeID       int64
	DeploymentID int64
	Number       int
	Existing     bool // the same idempotency key was used before: nothing new was made
}

// BatchItem is one deployment of a batch, or why it was refused.
type BatchItem struct {
	Deployed
	Err error
}

// BatchResult answers NewBatch.
type BatchResult struct {
	BatchID int64
	Items   []BatchItem
}

// NewNode registers a node without deploying it.
type NewNode struct {
	Name           string
	Provider       string
	ServerProfile  string
	ManagementIP   string
	MACs           []string
	Serial         string // of a rack machine; see deploy.NormalSerial
	ClusterName    string
	Labels         map[string]string
	IdempotencyKey string
	Actor          deploy.Actor
}

// NodeChange edits a node; nil fields stay as they are.
type NodeChange struct {
	ID              int64
	ExpectedVersion int
	Name            *string
	Labels          map[string]string // nil = unchanged
}

// NodeFacts is what was learnt about a node's machine; empty fields are left.
type NodeFacts struct {
	NodeID       int64
	ServerID     string
	ServerStatus string
	ManagementIP string
	WorkloadIP   string
	AHVIP        string // hypervisor
	CVMIP        string // controller VM
	MACs         []string
	SSHHostKey   string
	SSHPort      int
	BootID       string
	CVMHostKey   string // of the controller VM's SSH server
}

// BootRequest is a machine that asks what to boot.
type BootRequest struct {
	DeploymentID int64 // from the locator
	Remote       string
	MAC          string
	// Serial is the machine's own serial number, once it has shown that it is the
	// node: then MAC becomes the node's, if the node has none yet.
	Serial string
}

// BootAnswer is what the machine must do.
type BootAnswer struct {
	Decision     phase.BootDecision
	NodeID       int64
	NodeName     string
	DeploymentID int64
	Number       int
	Attempt      int
	Phase        string
	State        string
	ManagementIP string
	Message      string // for the console
}
