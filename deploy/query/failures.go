package query

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/predicate"
)

// MaxFailureGroups is the most groups that Failures tells of, the largest.
const MaxFailureGroups = 100

// FailureGroup is how many nodes failed in the same phase for the same cause.
// Only the nodes' current deployments count.
type FailureGroup struct {
	Phase, Code string
	Count       int
	Newest      time.Time
	Oldest      time.Time
	Sample      *ent.Deployment // the newest of them
}

// Failures groups the current deployments that have failed of the nodes that a
// filter chooses, the largest group first.
func (f *Fleet) Failures(ctx context.Context, filter NodeFilter) ([]FailureGroup, error) {
	chosen := slices.Concat([]predicate.Node{node.State(phase.StateFail)}, filter.predicates(f.Now()))
	var rows []struct {
		Phase  string `json:"failure_phase"`
		Code   string `json:"failure_code"`
		Count  int    `json:"count"`
		Newest oldest `json:"newest"`
		First  oldest `json:"oldest"`
	}
	err := f.read.Deployment.Query().Where(deployment.State(phase.StateFail), deployment.FailurePhaseNotNil(), deployment.FailureCodeNotNil(), deployment.FailedAtNotNil(), currentOf(chosen)).
		GroupBy(deployment.FieldFailurePhase, deployment.FieldFailureCode).
		Aggregate(ent.Count(), ent.As(ent.Max(deployment.FieldFailedAt), "newest"), ent.As(ent.Min(deployment.FieldFailedAt), "oldest")).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("group failures: %w", err)
	}
	out := make([]FailureGroup, len(rows))
	for i, r := range rows {
		out[i] = FailureGroup{Phase: r.Phase, Code: r.Code, Count: r.Count, Newest: r.Newest.at.UTC(), Oldest: r.First.at.UTC()}
	}
	slices.SortFunc(out, func(a, b FailureGroup) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Phase+" "+a.Code, b.Phase+" "+b.Code)
	})
	if len(out) > MaxFailureGroups {
		out = out[:MaxFailureGroups]
	}
	for i := range out {
		g := &out[i]
		g.Sample, err = f.read.Deployment.Query().Where(deployment.State(phase.StateFail), deployment.FailurePhase(g.Phase), deployment.FailureCode(g.Code), currentOf(chosen)).
			Order(deployment.ByFailedAt(sql.OrderDesc()), deployment.ByID(sql.OrderDesc())).First(ctx)
		if err != nil && !ent.IsNotFound(err) { // it may be over by now
			return nil, fmt.Errorf("read a failure of a group: %w", err)
		}
	}
	return out, nil
}

// currentOf chooses the current deployments of nodes. It begins with the nodes:
// few of them have failed, and deployments that failed are many.
func currentOf(chosen []predicate.Node) predicate.Deployment {
	return func(s *sql.Selector) {
		t := sql.Dialect(s.Dialect()).Table(node.Table)
		of := sql.Dialect(s.Dialect()).Select(t.C(node.FieldCurrentDeploymentID)).From(t)
		for _, p := range chosen {
			p(of)
		}
		s.Where(sql.In(s.C(deployment.FieldID), of))
	}
}

// failedWith chooses nodes by how their current deployment failed.
func failedWith(phases, codes []string) predicate.Node {
	return node.And(node.State(phase.StateFail), func(s *sql.Selector) {
		t := sql.Dialect(s.Dialect()).Table(deployment.Table).As("failed")
		where := []*sql.Predicate{sql.ColumnsEQ(t.C(deployment.FieldID), s.C(node.FieldCurrentDeploymentID))}
		if len(phases) > 0 {
			where = append(where, sql.In(t.C(deployment.FieldFailurePhase), anys(phases)...))
		}
		if len(codes) > 0 {
			where = append(where, sql.In(t.C(deployment.FieldFailureCode), anys(codes)...))
		}
		s.Where(sql.Exists(sql.Dialect(s.Dialect()).Select(t.C(deployment.FieldID)).From(t).Where(sql.And(where...))))
	})
}
