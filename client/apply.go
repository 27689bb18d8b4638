package client

import (
	"context"
	"net/http"
)

// ApplyPlan is what applying configurations would write.
type ApplyPlan struct {
	Plans    []PlannedFile
	Obstacle *struct {
		Message    string `json:"error"`
		Code, Hint string
	}
	Success bool
	Message string
}

// PlannedFile is what would be written for one node.
type PlannedFile struct {
	Node, Target, File, Action, Content string
	NodeID                              *int64 `json:"node_id"`
	NodeName                            string `json:"node_name"`
	Number                              int
	Changes                             []DocumentChange
	ChangedOutside                      bool `json:"changed_outside"`
}

// DocumentChange is one value that differs between two documents.
type DocumentChange struct {
	Path, Kind, Before, After string
}

// PlanApply tells what applying configurations would write; nothing is done.
// documents are JSON: an object by address or name, or a list.
func (c *Client) PlanApply(ctx context.Context, documents []byte) (ApplyPlan, error) {
	var out ApplyPlan
	_, err := c.send(ctx, http.MethodPost, "/store-deployment-configs?dry_run=true", documents, nil, &out)
	return out, err
}

// AppliedRun is a run of the deployment script that was started.
type AppliedRun struct {
	Results []struct {
		Node, File, Status, Action string
		NodeID                     int64  `json:"node_id"`
		NodeName                   string `json:"node_name"`
		DeploymentID               int64  `json:"deployment_id"`
	}
	Marker        string
	RunID         int64   `json:"run_id"`
	DeploymentIDs []int64 `json:"deployment_ids"`
	Existing      bool
	Message       string
}

// Apply writes configurations and starts the deployment script over them. The
// same idempotency key twice is one run; empty = none.
func (c *Client) Apply(ctx context.Context, documents []byte, idempotencyKey string) (AppliedRun, error) {
	header := http.Header{}
	if idempotencyKey != "" {
		header.Set("Idempotency-Key", idempotencyKey)
	}
	var out AppliedRun
	_, err := c.send(ctx, http.MethodPost, "/store-deployment-configs", documents, header, &out)
	return out, err
}
