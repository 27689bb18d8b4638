package bulk

import (
	"encoding/json"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/query"
)

// What bounds an operation.
const (
	Most            = 10_000 // deployments of one
	DefaultParallel = 10
	MostParallel    = 500
	reasonMax       = 500 // bytes
)

// The states of an operation.
const (
	Running   = "running"   // the next are begun as places become free
	Stopping  = "stopping"  // too many failed: those under way are awaited
	Canceling = "canceling" // somebody ended it: those under way are awaited
	Done      = "done"      // every deployment had its turn
	Stopped   = "stopped"   // ended after too many failures
	Canceled  = "canceled"  // ended by somebody
)

// The states of an item.
const (
	ItemWaiting   = "waiting"   // its turn has not come
	ItemRunning   = "running"   // asked; the end of what was asked is awaited
	ItemSucceeded = "succeeded" // what was asked came about
	ItemFailed    = "failed"    // accepted, but it ended otherwise
	ItemRefused   = "refused"   // not possible when its turn came; nothing was done
	ItemSkipped   = "skipped"   // the operation ended before its turn
)

// Operation is one verb for many deployments.
type Operation struct {
	ID                int64
	Action            string // of package phase: cancel, retry, cleanup, reinitialize
	Immediate         bool   // cancel: now, not when the open phase ends
	Reason            string
	Selection         json.RawMessage // the filter that chose, as its asker wrote it; nil = deployments were named
	Total             int
	MaxParallel       int
	StopAfterFailures *int
	State             string
	CanceledBy        string
	RequestedBy       deploy.Actor
	Version           int // grows with every change of it or its items
	CreatedAt         time.Time
	UpdatedAt         time.Time
	FinishedAt        *time.Time
	Counts            map[string]int // items by state
}

// Over reports whether nothing will change any more.
func (o *Operation) Over() bool { return o.FinishedAt != nil }

// Item is one deployment of an operation.
type Item struct {
	Number       int // 1, 2, 3 …: the order in which they are begun
	DeploymentID int64
	NodeID       int64
	ResultID     int64 // the deployment whose end is awaited; 0 before it was asked
	State        string
	Code         string // why it was refused, failed or skipped
	Message      string
	StartedAt    *time.Time
	FinishedAt   *time.Time
}

// Request asks for an operation.
type Request struct {
	Action    string
	Immediate bool
	Reason    string
	Choice    query.Choice
	Selection json.RawMessage // what is kept to show of the choice
	// Expected is how many deployments its asker saw; another number is a
	// version_mismatch.
	Expected int
	// Confirm must be Confirmation(Action, Expected), where that is not empty.
	Confirm           string
	MaxParallel       int // 0 = DefaultParallel
	StopAfterFailures *int
	IdempotencyKey    string
	Actor             deploy.Actor `json:"-"`
}

// The reasons for which a deployment that was chosen is left out.
const (
	LeftOld       = "not_current" // its node has a newer deployment
	LeftProtected = "protected"   // its node is protected
	LeftState     = "wrong_state" // the verb is not possible in its state
)

// Preview is what an operation would be asked of.
type Preview struct {
	Chosen  int            // deployments that the choice names
	Matched int            // those that the verb can be asked of: what Expected must equal
	LeftOut map[string]int // the others, by reason
	// Confirmation must be sent along; empty = none is needed.
	Confirmation string
	matched      []query.Candidate
}
