package query

import (
	"context"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/node"
)

// NodeRow is a node with its current deployment, as it is exported.
type NodeRow struct {
	NodeCard
	Serial     *string     `json:"serial" doc:"Of the machine's firmware."`
	Late       bool        `json:"late" doc:"Takes longer than 95 in 100 of its kind did."`
	Deployment *CurrentRow `json:"current_deployment" doc:"Null when it was never deployed."`
}

// CurrentRow is the current deployment of a node, as it is exported.
type CurrentRow struct {
	Number         int        `json:"number"`
	Attempt        int        `json:"attempt"`
	Phase          string     `json:"phase"`
	CreatedAt      time.Time  `json:"created_at"`
	StartedAt      *time.Time `json:"started_at"`
	FinishedAt     *time.Time `json:"finished_at"`
	RequestedBy    string     `json:"requested_by"`
	FailurePhase   *string    `json:"failure_phase"`
	FailureCode    *string    `json:"failure_code"`
	FailureMessage *string    `json:"failure_message"`
	FailureHint    *string    `json:"failure_hint"`
}

// NodeRows reads nodes by name: at most limit of those that a filter chooses and
// whose cursor comes after one. last is the cursor of the last of them, "" when
// there are no more.
func (f *Fleet) NodeRows(ctx context.Context, filter NodeFilter, after string, limit int) (rows []NodeRow, last string, err error) {
	page, err := f.Nodes(ctx, filter, NodesByName, false, Page{Limit: limit, After: after})
	if err != nil {
		return nil, "", err
	}
	var current []int64
	for _, n := range page.Items {
		if n.CurrentDeploymentID != nil {
			current = append(current, *n.CurrentDeploymentID)
		}
	}
	found := map[int64]*ent.Deployment{}
	if len(current) > 0 {
		list, err := f.read.Deployment.Query().Where(deployment.IDIn(current...)).Select(
			deployment.FieldNumber, deployment.FieldAttempt, deployment.FieldPhase, deployment.FieldCreatedAt, deployment.FieldStartedAt, deployment.FieldFinishedAt, deployment.FieldRequestedBy,
			deployment.FieldFailurePhase, deployment.FieldFailureCode, deployment.FieldFailureMessage, deployment.FieldFailureHint).All(ctx)
		if err != nil {
			return nil, "", fmt.Errorf("read current deployments: %w", err)
		}
		found = byID(list, func(d *ent.Deployment) int64 { return d.ID })
	}
	rows = make([]NodeRow, len(page.Items))
	for i, n := range page.Items {
		rows[i] = NodeRow{NodeCard: card(n), Serial: n.Serial, Late: n.Late}
		if d := found[deref(n.CurrentDeploymentID)]; d != nil {
			rows[i].Deployment = &CurrentRow{
				Number: d.Number, Attempt: d.Attempt, Phase: d.Phase, CreatedAt: d.CreatedAt, StartedAt: d.StartedAt, FinishedAt: d.FinishedAt, RequestedBy: d.RequestedBy,
				FailurePhase: d.FailurePhase, FailureCode: d.FailureCode, FailureMessage: d.FailureMessage, FailureHint: d.FailureHint,
			}
		}
	}
	if page.HasNext {
		last = page.Cursors[len(page.Cursors)-1]
	}
	return rows, last, nil
}

// NodeNames reads the names of nodes; ids that do not exist are left out.
func (f *Fleet) NodeNames(ctx context.Context, ids []int64) (map[int64]string, error) {
	rows, err := f.read.Node.Query().Where(node.IDIn(unique(ids)...)).Select(node.FieldName).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read names of nodes: %w", err)
	}
	out := make(map[int64]string, len(rows))
	for _, n := range rows {
		out[n.ID] = n.Name
	}
	return out, nil
}
