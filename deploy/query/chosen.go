package query

import (
	"context"
	"fmt"
	"slices"

	"entgo.io/ent/dialect/sql"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/predicate"
)

// Choice says which deployments are meant; exactly one field is set.
type Choice struct {
	IDs         []int64           // these
	Deployments *DeploymentFilter // all that match and are their nodes' current ones
	Nodes       *NodeFilter       // the current ones of all nodes that match
}

// Candidate is a deployment that a verb may be asked of.
type Candidate struct {
	DeploymentID int64
	NodeID       int64
	Facts        phase.ActionFacts
}

// candidatePart bounds the ids of one statement.
const candidatePart = 500

// Candidates reads the deployments that a choice names, by id of the deployment;
// ids that do not exist are left out. More than most are out_of_range.
func (f *Fleet) Candidates(ctx context.Context, c Choice, most int) ([]Candidate, error) {
	ids := c.IDs
	var err error
	switch {
	case c.Deployments != nil:
		ids, err = f.read.Deployment.Query().Where(c.Deployments.predicates()...).Where(isCurrent()).
			Order(ent.Asc(deployment.FieldID)).Limit(most + 1).IDs(ctx)
	case c.Nodes != nil:
		err = f.read.Node.Query().Where(c.Nodes.predicates(f.Now())...).Where(node.CurrentDeploymentIDNotNil()).
			Limit(most+1).Select(node.FieldCurrentDeploymentID).Scan(ctx, &ids)
	}
	if err != nil {
		return nil, fmt.Errorf("choose deployments: %w", err)
	}
	ids = unique(ids)
	if len(ids) > most {
		return nil, &deploy.Error{Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("more than %d deployments match", most), Hint: "choose fewer at a time"}
	}
	out := make([]Candidate, 0, len(ids))
	for part := range slices.Chunk(ids, candidatePart) {
		more, err := f.candidates(ctx, part)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// isCurrent chooses deployments that are their nodes' newest.
func isCurrent() predicate.Deployment {
	return func(s *sql.Selector) {
		t := sql.Dialect(s.Dialect()).Table(node.Table).As("holder")
		s.Where(sql.Exists(sql.Dialect(s.Dialect()).Select(t.C(node.FieldID)).From(t).Where(sql.And(
			sql.ColumnsEQ(t.C(node.FieldID), s.C(deployment.FieldNodeID)),
			sql.ColumnsEQ(t.C(node.FieldCurrentDeploymentID), s.C(deployment.FieldID))))))
	}
}

func (f *Fleet) candidates(ctx context.Context, ids []int64) ([]Candidate, error) {
	rows, err := f.read.Deployment.Query().Where(deployment.IDIn(ids...)).Order(ent.Asc(deployment.FieldID)).
		Select(deployment.FieldNodeID, deployment.FieldProvider, deployment.FieldState, deployment.FieldPhase, deployment.FieldFailurePhase, deployment.FieldFailureCode).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read chosen deployments: %w", err)
	}
	of := make([]int64, len(rows))
	for i, d := range rows {
		of[i] = d.NodeID
	}
	holders, err := f.read.Node.Query().Where(node.IDIn(unique(of)...)).Select(node.FieldProtected, node.FieldClustered, node.FieldCurrentDeploymentID).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read nodes of chosen deployments: %w", err)
	}
	nodes := byID(holders, func(n *ent.Node) int64 { return n.ID })
	out := make([]Candidate, 0, len(rows))
	for _, d := range rows {
		n := nodes[d.NodeID]
		if n == nil {
			continue // removed meanwhile
		}
		out = append(out, Candidate{DeploymentID: d.ID, NodeID: d.NodeID, Facts: phase.ActionFacts{
			Provider: d.Provider, State: d.State, FailurePhase: deref(d.FailurePhase), FailureCode: deref(d.FailureCode), Open: d.Phase,
			Current: n.CurrentDeploymentID != nil && *n.CurrentDeploymentID == d.ID, Protected: n.Protected || n.Clustered, Clustered: n.Clustered,
		}})
	}
	return out, nil
}
