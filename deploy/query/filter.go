package query

import (
	"regexp"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"

	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/deploymentevent"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/predicate"
)

// NodeFilter chooses nodes; an empty field chooses all, all fields must match.
type NodeFilter struct {
	// Text is words, apart by spaces. Each must be a part of the name, an
	// address, a MAC address, the serial number, the profile, the cluster name,
	// or of the current deployment's phase, failed phase or failure code.
	Text string
	// Groups chooses nodes that are in one of these groups, of GroupNames.
	Groups         []string
	States         []string // of the current deployment
	Phases         []string // of the current deployment, or what the node shows after its end
	ClusterNames   []string
	ServerProfiles []string
	Labels         map[string]string // all of them
	Stale          *bool
	Stalled        *bool // active, and stale or past a deadline
	Late           *bool
	// FailurePhases and FailureCodes choose nodes whose current deployment has
	// failed so.
	FailurePhases []string
	FailureCodes  []string
}

// Empty reports whether the filter chooses every node.
func (f NodeFilter) Empty() bool { return len(f.predicates(time.Time{})) == 0 }

// macPart is a text that may be a part of a MAC address.
var macPart = regexp.MustCompile(`^[0-9a-f:-]+$`)

// predicates are those of the filter; now tells what is past a deadline.
func (f NodeFilter) predicates(now time.Time) []predicate.Node {
	var out []predicate.Node
	for _, word := range strings.Fields(strings.ToLower(f.Text)) {
		out = append(out, hasWord(word))
	}
	if len(f.Groups) > 0 {
		of := make([]predicate.Node, len(f.Groups))
		for i, g := range f.Groups {
			of[i] = inGroup(g, now)
		}
		out = append(out, node.Or(of...))
	}
	if f.Stalled != nil {
		is := node.And(node.StateIn(activeStates...), node.Or(node.Stale(true), isOverdue(now)))
		if !*f.Stalled {
			is = node.Not(is)
		}
		out = append(out, is)
	}
	if len(f.States) > 0 {
		out = append(out, node.StateIn(f.States...))
	}
	if len(f.Phases) > 0 {
		phases := f.Phases
		out = append(out, node.Or(node.DeploymentStatusIn(phases...), func(s *sql.Selector) {
			t := sql.Table(deployment.Table)
			s.Where(sql.In(s.C(node.FieldCurrentDeploymentID), sql.Dialect(s.Dialect()).Select(t.C(deployment.FieldID)).From(t).Where(sql.In(t.C(deployment.FieldPhase), anys(phases)...))))
		}))
	}
	if len(f.ClusterNames) > 0 {
		out = append(out, node.ClusterNameIn(f.ClusterNames...))
	}
	if len(f.ServerProfiles) > 0 {
		out = append(out, node.ServerProfileIn(f.ServerProfiles...))
	}
	for k, v := range f.Labels {
		out = append(out, hasLabel(k, v))
	}
	if f.Stale != nil {
		out = append(out, node.Stale(*f.Stale))
	}
	if f.Late != nil {
		out = append(out, node.Late(*f.Late))
	}
	if len(f.FailurePhases)+len(f.FailureCodes) > 0 {
		out = append(out, failedWith(f.FailurePhases, f.FailureCodes))
	}
	return out
}

// hasWord chooses nodes that have a word, in lower case, somewhere in what
// people know them by.
func hasWord(t string) predicate.Node {
	some := []predicate.Node{
		node.NameContainsFold(t), node.ManagementIPContainsFold(t), node.WorkloadIPContainsFold(t),
		node.MACContainsFold(t), node.SerialContainsFold(t), node.ServerProfileContainsFold(t), node.ClusterNameContainsFold(t),
		func(s *sql.Selector) {
			d := sql.Dialect(s.Dialect())
			card := d.Table(deployment.Table).As("card")
			s.Where(sql.Exists(d.Select(card.C(deployment.FieldID)).From(card).Where(sql.And(
				sql.ColumnsEQ(card.C(deployment.FieldID), s.C(node.FieldCurrentDeploymentID)),
				sql.Or(sql.ContainsFold(card.C(deployment.FieldPhase), t), sql.ContainsFold(card.C(deployment.FieldFailurePhase), t), sql.ContainsFold(card.C(deployment.FieldFailureCode), t))))))
		},
	}
	if macPart.MatchString(t) {
		some = append(some, func(s *sql.Selector) {
			s.Where(sql.P(func(b *sql.Builder) {
				b.WriteString("CAST(").Ident(s.C(node.FieldMACAddresses)).WriteString(" AS TEXT) LIKE ").Arg("%" + strings.ReplaceAll(t, "-", ":") + "%")
			}))
		})
	}
	return node.Or(some...)
}

// hasLabel looks into the JSON column with each database's own means; a key
// may have any character.
func hasLabel(key, value string) predicate.Node {
	return func(s *sql.Selector) {
		s.Where(sql.P(func(b *sql.Builder) {
			if s.Dialect() == dialect.Postgres {
				b.WriteString("CAST(").Ident(s.C(node.FieldLabels)).WriteString(" AS JSONB) ->> CAST(").Arg(key).WriteString(" AS TEXT) = ").Arg(value)
				return
			}
			b.WriteString("EXISTS (SELECT 1 FROM json_each(").Ident(s.C(node.FieldLabels)).WriteString(") AS label WHERE label.key = ").Arg(key).WriteString(" AND label.value = ").Arg(value).WriteString(")")
		}))
	}
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// DeploymentFilter chooses deployments; an empty field chooses all, all fields
// must match.
type DeploymentFilter struct {
	NodeIDs       []int64
	BatchID       *int64
	States        []string
	Phases        []string
	CreatedAfter  *time.Time // or at
	CreatedBefore *time.Time
}

func (f DeploymentFilter) predicates() []predicate.Deployment {
	var out []predicate.Deployment
	if f.NodeIDs != nil {
		out = append(out, deployment.NodeIDIn(f.NodeIDs...))
	}
	if f.BatchID != nil {
		out = append(out, deployment.BatchID(*f.BatchID))
	}
	if len(f.States) > 0 {
		out = append(out, deployment.StateIn(f.States...))
	}
	if len(f.Phases) > 0 {
		out = append(out, deployment.PhaseIn(f.Phases...))
	}
	if f.CreatedAfter != nil {
		out = append(out, deployment.CreatedAtGTE(*f.CreatedAfter))
	}
	if f.CreatedBefore != nil {
		out = append(out, deployment.CreatedAtLT(*f.CreatedBefore))
	}
	return out
}

// EventFilter chooses events of one deployment; an empty field chooses all.
type EventFilter struct {
	Phases         []string
	Statuses       []string
	Sources        []string
	IncludeRefused bool
}

func (f EventFilter) predicates() []predicate.DeploymentEvent {
	var out []predicate.DeploymentEvent
	if len(f.Phases) > 0 {
		out = append(out, deploymentevent.PhaseIn(f.Phases...))
	}
	if len(f.Statuses) > 0 {
		out = append(out, deploymentevent.StatusIn(f.Statuses...))
	}
	if len(f.Sources) > 0 {
		out = append(out, deploymentevent.SourceIn(f.Sources...))
	}
	if !f.IncludeRefused {
		out = append(out, deploymentevent.OutcomeNEQ("refused"))
	}
	return out
}
