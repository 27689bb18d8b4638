package access

import (
	"context"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// Role is what a person or program may do. Each role may do what the one
// before it may.
type Role string

// The roles, from the least to the most.
const (
	RoleViewer   Role = "viewer"   // look at everything
	RoleOperator Role = "operator" // deploy and change machines
	RoleAdmin    Role = "admin"    // manage access as well
)

var rank = map[Role]int{RoleViewer: 1, RoleOperator: 2, RoleAdmin: 3}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return rank[r] > 0 }

// Allows reports whether somebody with role r may do what needs role needed. A
// role that does not exist allows nothing, and nothing allows it.
func (r Role) Allows(needed Role) bool { return rank[needed] > 0 && rank[r] >= rank[needed] }

// Kind is what a principal identified itself with.
type Kind string

// The kinds of principal.
const (
	KindToken   Kind = "token"   // a program, with an API token
	KindSession Kind = "session" // a person, signed in at the app
	KindMachine Kind = "machine" // a machine, with its report token
)

// Principal is somebody whose secret was good.
type Principal struct {
	Kind    Kind
	Role    Role   // empty for a machine: it has rights of its own only
	Name    string // of the token, or of who signed in
	TokenID int64

	// A machine's only.
	NodeID       int64
	DeploymentID int64
	Attempt      int
	ManagementIP string // of its node, up to CacheFor old; "" if it holds none
	// Ended is set when the machine's deployment is over: the token still says
	// who it is, so that a repeated last report gets its answer, and no more.
	Ended bool

	ExpiresAt time.Time // zero: never
}

// May reports whether the principal may do what needs a role. A machine has none.
func (p *Principal) May(needed Role) bool {
	return p != nil && p.Kind != KindMachine && p.Role.Allows(needed)
}

// Actor is the principal as history names it.
func (p *Principal) Actor() deploy.Actor {
	switch p.Kind {
	case KindMachine:
		return deploy.Actor{Kind: deploy.ActorMachine, Name: p.Name}
	case KindSession:
		return deploy.Actor{Kind: deploy.ActorUser, Name: p.Name}
	default:
		return deploy.Actor{Kind: deploy.ActorToken, Name: p.Name}
	}
}

type contextKey struct{}

// NewContext puts the principal into a context.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// FromContext gives the principal of a context, nil if nobody identified
// themselves.
func FromContext(ctx context.Context) *Principal {
	p, _ := ctx.Value(contextKey{}).(*Principal)
	return p
}
