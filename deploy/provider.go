package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Order is everything a provider needs to make a node's machine.
type Order struct {
	NodeID       int64
	NodeName     string
	DeploymentID int64
	Attempt      int
	// AttemptSince is when the attempt began: a machine that is older must be
	// made to boot again. Zero for a first attempt.
	AttemptSince time.Time
	Spec         Spec
	// Run is the run of the deployment script that writes the node's document;
	// zero for other providers.
	Run RunKey
	// BootURL mints a boot locator and gives the URL that the machine must
	// boot from. Each call mints another one; earlier ones stay valid. Call it
	// right before the create.
	BootURL func(ctx context.Context) (string, error)
	// Note records what the order does at the moment, for people who watch.
	Note func(ctx context.Context, message string)
}

// Machine is what a provider made.
type Machine struct {
	ServerID     string
	ServerStatus string // the provider's own word
	ManagementIP string
	WorkloadIP   string
	AHVIP        string   // hypervisor's address, bound to the management interface; empty if none
	CVMIP        string   // controller VM's, likewise
	MACs         []string // boot interface first
}

// Observation is what a provider says of a machine now.
type Observation struct {
	ServerStatus string
	Reasons      []string // the provider's own words on why
	// Failed is set when the provider says that the machine will not come.
	Failed *ProviderError
}

// Names are the DNS names a node gets.
type Names struct {
	NodeID       int64
	NodeName     string
	DeploymentID int64
	ManagementIP string
	// ClusterName and ClusterVIP are set for the member that created a cluster
	// with an address of its own: that address gets names too, after the node's.
	ClusterName string
	ClusterVIP  string
}

// Provider owns machines of one kind. Every method is idempotent: it is
// called again after a crash, a time-out or a doubtful answer.
type Provider interface {
	// Order makes what is missing of the node's addresses, interfaces and
	// server, and returns once the provider has accepted the server.
	Order(ctx context.Context, o Order) (Machine, error)
	// Observe asks for the machine's own status.
	Observe(ctx context.Context, nodeID int64) (Observation, error)
	// RegisterNames makes the DNS records, and returns when they exist.
	RegisterNames(ctx context.Context, n Names) error
	// HasNames reports whether a DNS zone is set, so that names are needed.
	HasNames() bool
}

// ProviderError is a provider's failure in words that people can act on.
type ProviderError struct {
	Code      Code   // quota_exceeded, upstream_unavailable, conflict, invalid …
	Message   string // what happened, with the provider's own code
	Hint      string // what to do
	Temporary bool   // trying again may help: the step waits and is repeated
	Wait      time.Duration
}

// Error gives code and message.
func (e *ProviderError) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// The states of a resource.
const (
	ResourceIntent    = "intent"    // its row is committed, the cloud may not have been asked yet
	ResourceDoubtful  = "doubtful"  // asked, and the answer is not known
	ResourcePresent   = "present"   // it exists and is ours
	ResourceReleasing = "releasing" // its removal was asked for
	ResourceGone      = "gone"      // proven absent
)

// Resource is a row of the journal of what is made in a cloud for a node.
type Resource struct {
	ID         int64
	NodeID     int64
	CreatedBy  int64
	HeldBy     int64
	Provider   string
	Kind       string
	Role       string
	Name       string
	Generation int
	State      string
	CloudID    string
	Details    json.RawMessage
	LastError  string // of the last try that did not end well
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Intent asks for a row in the journal.
type Intent struct {
	NodeID       int64
	DeploymentID int64
	Provider     string
	Kind         string // reserved_ip, vni, server, dns_a, dns_ptr
	Role         string // management, workload-1, ahv, cvm
	Name         string
	Generation   int
	Details      json.RawMessage
}

// NoCloudID in place of a resource's id says that it has none any more: what was
// made was taken back.
const NoCloudID = "-"

// Journal is the record of cloud resources: intent is committed before the
// cloud is called.
type Journal interface {
	// Intend commits the row, or gives the row that is already there under
	// the same provider, kind and name. Nothing is intended for a deployment
	// that has ended or no longer holds its node: that is a wrong_state Error,
	// and so is settling a row as doubtful then. So nothing is asked of the cloud after a
	// cancel, but what had been asked for before it.
	Intend(ctx context.Context, i Intent) (Resource, error)
	// Settle records what became of it: state, the cloud's id, details and,
	// for a doubtful one, the error's text. An empty id and nil details leave
	// what is there; NoCloudID takes the id away.
	Settle(ctx context.Context, id int64, state, cloudID string, details json.RawMessage, problem string) error
	// Amend changes the details of a resource that is present: change gets
	// them as they are, with nobody changing them meanwhile, and an error of it
	// leaves them so. It is refused with wrong_state for a resource that is not
	// present, and, as an intent is, when the deployment that holds it has ended.
	Amend(ctx context.Context, id int64, change func(details json.RawMessage) (json.RawMessage, error)) error
	// Held lists what the node holds that is not gone, oldest first.
	Held(ctx context.Context, nodeID int64) ([]Resource, error)
	// ByNode lists all that was ever made for the node, oldest first, what is
	// gone included.
	ByNode(ctx context.Context, nodeID int64) ([]Resource, error)
	// All lists all that was ever made at a provider, oldest first, what is
	// gone included.
	All(ctx context.Context, provider string) ([]Resource, error)
}
