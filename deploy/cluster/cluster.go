package cluster

import (
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// State is how far a cluster is. It is never stored.
type State string

// The states.
const (
	Queued     State = "queued"      // every member waits for a slot
	Installing State = "installing"  // members are on their way to the barrier
	Forming    State = "forming"     // all are there; the cluster is being made
	Validating State = "validating"  // it was formed; names and health are what is left
	Growing    State = "growing"     // it was formed, and another node is to join
	Deployed   State = "deployed"    // every member is deployed and belongs to it
	Blocked    State = "blocked"     // a member failed or was canceled: somebody has to decide
	Canceled   State = "canceled"    // every member was canceled
	CleaningUp State = "cleaning_up" // everything of it is being released
	CleanedUp  State = "cleaned_up"  // proven gone
)

// States lists the states in their order.
func States() []State {
	return []State{Queued, Installing, Forming, Validating, Growing, Deployed, Blocked, Canceled, CleaningUp, CleanedUp}
}

// MemberState is a node's place in a cluster.
type MemberState string

// The states of members.
const (
	// Member: the cluster waits for it, or has it.
	Belongs MemberState = "member"
	// Late: the cluster goes on without it; it joins when it is ready.
	Late MemberState = "late"
	// Replaced: it left its place. Another node took that, or nobody.
	Replaced MemberState = "replaced"
	// Released: the cluster is being cleaned up, or was.
	Released MemberState = "released"
)

// Failure is why a member's deployment failed.
type Failure struct {
	Phase, Code, Message, Hint string
}

// Node is a member with its node and the last deployment of that for the cluster.
type Node struct {
	MemberID int64
	Position int
	State    MemberState
	Note     string
	AddedAt  time.Time
	FormedAt *time.Time // since when it belongs to the formed cluster

	NodeID                   int64
	Name                     string
	Provider                 string
	ManagementIP, CVMIP, Key string // Key is the controller VM's host key
	Stale                    bool

	DeploymentID    int64 // 0 = never deployed
	Number, Attempt int
	Deployment      phase.State // of the deployment
	Phase           phase.Key
	PhaseStatus     phase.Status
	Failure         *Failure
	Maintenance     bool // its clocks stand
	Current         bool // it is the node's current deployment: its machine is as that left it
	Before          bool // it was deployed before it was taken into the cluster as it is
	// Begun: it has begun to join the formed cluster, and may be a member; nobody
	// has seen yet that it is, or that it is not.
	Begun bool
	Spec  deploy.Spec
}

// Ready reports whether it is at the barrier.
func (n *Node) Ready() bool {
	return n.Deployment == phase.Running && n.Phase == phase.ClusterFormation
}

// Ended reports whether its deployment is over without having succeeded.
func (n *Node) Ended() bool {
	return n.DeploymentID == 0 || !phase.Active(n.Deployment) && n.Deployment != phase.Succeeded
}

// FormationStatus is how a formation stands.
type FormationStatus string

// The statuses of a formation.
const (
	FormationRunning FormationStatus = "running"
	FormationFailed  FormationStatus = "failed"
	FormationDone    FormationStatus = "formed"
	// FormationVoid: it did not come to its end, for somebody decided about one
	// of its nodes, or one failed for another reason. It is never stored.
	FormationVoid FormationStatus = "void"
)

// Formation is how the last formation, or the joining of a node, stands. Nodes
// are named by their ids.
type Formation struct {
	Kind    string          `json:"kind"` // create, join, or clear for what an earlier formation left half-done
	Token   string          `json:"token"`
	Status  FormationStatus `json:"status"`
	Leader  int64           `json:"leader"`  // on whose controller VM commands are run
	Members []int64         `json:"members"` // who is to belong to it
	// Begun: the token of the last formation that began a command; Runner is on
	// whose controller VM it did, and Tried are the members of all that did.
	Begun  string  `json:"begun,omitempty"`
	Runner int64   `json:"runner,omitempty"`
	Tried  []int64 `json:"tried,omitempty"`
	// TriedAt are the addresses that the controller VMs of Tried had then.
	TriedAt map[int64]string `json:"tried_at,omitempty"`
	// Adding is the doubt about who has begun to join.
	Adding *Adding `json:"adding,omitempty"`
	// Cleared: since when nothing is left of an earlier formation.
	Cleared *time.Time `json:"cleared,omitempty"`

	Action   string    `json:"action"` // see cvm.Action
	Reason   string    `json:"reason"` // see cvm.Reason
	Message  string    `json:"message"`
	Hint     string    `json:"hint,omitempty"`
	Culprits []int64   `json:"culprits,omitempty"`
	Evidence []string  `json:"evidence,omitempty"`
	Command  string    `json:"command,omitempty"`
	Since    time.Time `json:"since"`
	// Spent is for how long it was looked at until At. While nobody looks, or its
	// clock stands, it uses up no time.
	Spent time.Duration `json:"spent,omitempty"`
	At    time.Time     `json:"at"`
}

// The kinds of formation.
const (
	KindCreate = "create"
	KindJoin   = "join"
	KindClear  = "clear"
)

// HealthCheck is one check of a cluster, with its evidence.
type HealthCheck struct {
	Name     string   `json:"name"` // see cvm.CheckName
	Address  string   `json:"address,omitempty"`
	Node     string   `json:"node,omitempty"`
	OK       bool     `json:"ok"`
	Class    string   `json:"class,omitempty"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
	Evidence []string `json:"evidence,omitempty"`
}

// Health is what the last look at a cluster found.
type Health struct {
	OK     bool          `json:"ok"`
	At     time.Time     `json:"at"`
	Checks []HealthCheck `json:"checks"`
}

// Cluster is a cluster with all that ever belonged to it.
type Cluster struct {
	ID            int64
	Identity      string
	Name          string
	Type          cvm.Type
	RF            int
	VIP           string
	DNS, NTP      []string
	SkipDiscovery bool
	Formation     *Formation
	Health        *Health
	RequestedBy   deploy.Actor
	Version       int
	CreatedAt     time.Time
	UpdatedAt     time.Time
	FormedAt      *time.Time
	CleanupAt     *time.Time
	CleanupBy     string
	Nodes         []Node // by position, what was replaced too
}

// Members are those that the cluster waits for or has, by position. Once it is
// being cleaned up they are all that it releases.
func (c *Cluster) Members() []*Node {
	return c.those(func(n *Node) bool { return n.State == Belongs || c.CleanupAt != nil && n.State == Released })
}

// Formed are the members that belong to the formed cluster.
func (c *Cluster) Formed() []*Node {
	return c.those(func(n *Node) bool { return n.State == Belongs && n.FormedAt != nil })
}

func (c *Cluster) those(which func(*Node) bool) []*Node {
	var out []*Node
	for i := range c.Nodes {
		if which(&c.Nodes[i]) {
			out = append(out, &c.Nodes[i])
		}
	}
	return out
}

// GivenUp reports whether its deployment ended when it waited for the cluster.
func (n *Node) GivenUp() bool {
	failed := ""
	if n.Failure != nil {
		failed = n.Failure.Phase
	}
	return n.Current && lifecycle.GivenUp(n.Deployment, n.Phase, failed)
}

// Node gives the row of a node, nil if it has none: the newest, if it was
// replaced and came back.
func (c *Cluster) Node(id int64) *Node {
	all := c.those(func(n *Node) bool { return n.NodeID == id })
	if len(all) == 0 {
		return nil
	}
	if i := slices.IndexFunc(all, func(n *Node) bool { return n.State != Replaced }); i >= 0 {
		return all[i]
	}
	return all[len(all)-1]
}

// Creator is who created the cluster, or is to: the first of its members.
func (c *Cluster) Creator() *Node {
	if c.FormedAt != nil && c.Formation != nil {
		if n := c.Node(c.Formation.Leader); n != nil && n.FormedAt != nil {
			return n
		}
	}
	if m := c.Members(); len(m) > 0 {
		return m[0]
	}
	return nil
}

// StateOf says how far a cluster is. It calls no cluster deployed unless every
// member is, by its own deployment and by the formed cluster's word.
func StateOf(c *Cluster) State {
	members := c.Members()
	count := func(which func(*Node) bool) (n int) {
		for _, m := range members {
			if which(m) {
				n++
			}
		}
		return n
	}
	all := func(which func(*Node) bool) bool { return len(members) > 0 && count(which) == len(members) }
	is := func(s phase.State) func(*Node) bool {
		return func(n *Node) bool { return n.Deployment == s }
	}
	if c.CleanupAt != nil {
		switch {
		case len(members) == 0, all(func(n *Node) bool { return n.Deployment == phase.CleanedUp || n.DeploymentID == 0 }):
			return CleanedUp
		case count(func(n *Node) bool { return n.Deployment == phase.StateFail }) > 0:
			return Blocked
		}
		return CleaningUp
	}
	formed := func(n *Node) bool { return n.FormedAt != nil }
	switch {
	case len(members) == 0, all(is(phase.StateStop)): // none, if all that it had were given back
		return Canceled
	case count((*Node).Ended) > 0 || count(func(n *Node) bool { return n.Deployment == phase.CleaningUp }) > 0:
		return Blocked
	case all(formed) && all(is(phase.Succeeded)):
		return Deployed
	case all(formed):
		return Validating
	case count(formed) > 0:
		return Growing
	case all(is(phase.Queued)):
		return Queued
	case all((*Node).Ready):
		return Forming
	}
	return Installing
}

// void reports whether nobody goes on with the formation, although it has not
// ended: its attempts are not those any more that it was begun for.
func (c *Cluster) void(f *Formation) bool {
	if c.CleanupAt != nil {
		return true
	}
	var of []*Node
	if f.Kind == KindJoin {
		for _, id := range f.Members {
			of = append(of, c.Node(id))
		}
	} else if of = c.Members(); c.FormedAt != nil {
		return true
	}
	if slices.Contains(of, nil) || slices.ContainsFunc(of, func(n *Node) bool { return !n.Ready() }) {
		return true
	}
	kind := KindCreate
	if f.Kind == KindJoin {
		kind = KindJoin
	}
	return tokenOf(c, kind, of) != f.Token
}

// State is StateOf.
func (c *Cluster) State() State { return StateOf(c) }

// targets are the controller VMs of nodes.
func (s *Service) targets(nodes []*Node) []cvm.Target {
	out := make([]cvm.Target, len(nodes))
	for i, n := range nodes {
		addr, _ := netip.ParseAddr(n.CVMIP) // Form looked at it
		out[i] = cvm.Target{Addr: addr, Port: s.deps.SSHPort, HostKey: n.Key, PrismPort: s.deps.PrismPort}
	}
	return out
}

// addresses parses what was stored as valid.
func addresses(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			out = append(out, a)
		}
	}
	return out
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("cluster: encoding: " + err.Error()) // only our own types come here
	}
	return string(b)
}
