package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
)

// CleanupRequest documents the body of POST /api/cleanup/node/{id}.
type CleanupRequest struct {
	Confirm string `json:"confirm" doc:"The node's name. Not needed with ?dry_run=true."`
}

// CleanupAnswer is the plan of a cleanup.
type CleanupAnswer struct {
	NodeID             int64                `json:"node_id"`
	NodeName           string               `json:"node_name"`
	DeploymentID       int64                `json:"deployment_id"`
	DryRun             bool                 `json:"dry_run" doc:"Nothing was done."`
	Plan               []deploy.ReleaseStep `json:"plan" doc:"What is removed, in this order; null if the provider did not tell it before the cleanup began."`
	MonitoringEndpoint string               `json:"monitoring_endpoint"`
	Message            string               `json:"message"`
	unread             string               // why there is no plan
}

// Line is the answer as a shell prints it.
func (a CleanupAnswer) Line() string { return "ok " + a.Message }

// planPatience is how long the beginning of a cleanup waits for its plan,
// which is told only for the asker's information.
const planPatience = 5 * time.Second

// cleanup answers POST /api/cleanup/node/{id}. It takes an id and nothing
// else, and does nothing unless the node's name is confirmed.
func (s *Server) cleanup(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r, "confirm")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	id, confirm := c.pathID(r, "node"), c.word("confirm")
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	out, err := s.planCleanup(r.Context(), id, confirm, c.dry)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if c.dry {
		answer(w, r, http.StatusOK, out)
		return
	}
	_, err = s.Lifecycle.Cleanup(r.Context(), lifecycle.Cleanup{DeploymentID: out.DeploymentID, ConfirmName: confirm, Actor: actor(r)})
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	out.Message = fmt.Sprintf("%s is being cleaned up: %s", out.NodeName, things(out.Plan))
	if out.Plan == nil {
		out.Message = fmt.Sprintf("%s is being cleaned up; the plan could not be read: %s", out.NodeName, out.unread)
	}
	answer(w, r, http.StatusAccepted, out)
}

func (s *Server) planCleanup(ctx context.Context, id int64, confirm string, dry bool) (out CleanupAnswer, err error) {
	if err := s.operations(); err != nil {
		return out, err
	}
	card, err := s.Statuses.Node(ctx, id)
	if err != nil {
		return out, err
	}
	if !dry && confirm != card.NodeName {
		return out, unconfirmed(card)
	}
	if card.DeploymentID == nil {
		return out, deploy.Errorf(deploy.CodeWrongState, "%s was never deployed and holds nothing", card.NodeName)
	}
	out = CleanupAnswer{NodeID: card.ID, NodeName: card.NodeName, DeploymentID: *card.DeploymentID, DryRun: dry,
		MonitoringEndpoint: fmt.Sprintf("/api/cleanup/status?deployment_id=%d", *card.DeploymentID)}
	if !dry {
		out.Plan, out.unread, err = s.planIfTold(ctx, *card.DeploymentID)
		return out, err
	}
	if out.Plan, err = s.Operations.CleanupPlan(ctx, *card.DeploymentID); err != nil {
		return out, err
	}
	out.Message = fmt.Sprintf("a cleanup of %s would remove %s; nothing was done", card.NodeName, things(out.Plan))
	return out, nil
}

// planIfTold reads the plan of a cleanup that is about to begin. A provider that
// does not answer does not keep it from beginning: the cleanup itself waits for
// the provider, and tries again. Then the plan is nil, and unread says why.
func (s *Server) planIfTold(ctx context.Context, deploymentID int64) (plan []deploy.ReleaseStep, unread string, err error) {
	patient, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	plan, err = s.Operations.CleanupPlan(patient, deploymentID)
	switch e, _ := deploy.AsError(err); {
	case err == nil:
		return plan, "", nil
	case ctx.Err() != nil: // the asker is gone
		return nil, "", err
	case e != nil && e.Code == deploy.CodeUpstreamUnavailable:
		return nil, e.Message, nil
	case patient.Err() != nil:
		return nil, "the provider did not answer in time", nil
	}
	return nil, "", err
}

// things counts what a plan removes.
func things(plan []deploy.ReleaseStep) string {
	n := 0
	for _, step := range plan {
		if step.Status != deploy.ReleaseKept {
			n++
		}
	}
	switch n {
	case 0:
		return "nothing, for nothing is held"
	case 1:
		return "1 thing"
	}
	return fmt.Sprintf("%d things", n)
}

// unconfirmed says what to send.
func unconfirmed(card query.NodeCard) error {
	return &deploy.Error{
		Code: deploy.CodeConfirmationMismatch, Message: "the cleanup was not confirmed by the node's name; nothing was touched",
		Hint:   fmt.Sprintf(`send {"confirm":%q} if everything that this node holds is to be deleted; ?dry_run=true shows what that is`, card.NodeName),
		Fields: []deploy.FieldError{{Field: "confirm", Code: deploy.CodeConfirmationMismatch, Message: "must be the node's name"}},
	}
}

// CleanupStatus is how one cleanup stands.
type CleanupStatus struct {
	NodeID           int64                `json:"node_id"`
	NodeName         string               `json:"node_name"`
	DeploymentID     int64                `json:"deployment_id"`
	DeploymentNumber int                  `json:"deployment_number"`
	State            string               `json:"state" doc:"cleaning_up, cleaned_up, or failed."`
	CleanupCompleted bool                 `json:"cleanup_completed" doc:"Everything is proven gone."`
	StartedAt        *time.Time           `json:"started_at"`
	FinishedAt       *time.Time           `json:"finished_at"`
	LastUpdate       time.Time            `json:"last_update"`
	Message          string               `json:"message"`
	Failure          *query.Failure       `json:"failure"`
	Steps            []deploy.ReleaseStep `json:"steps" doc:"One for each thing, in the order of the release; the message of one that is done is the proof."`
}

// CleanupList is every cleanup that is under way or ended of late.
type CleanupList struct {
	CleaningUp []CleanupStatus `json:"cleaning_up"`
	Failed     []CleanupStatus `json:"failed" doc:"The newest 50."`
	CleanedUp  []CleanupStatus `json:"cleaned_up" doc:"The newest 50."`
	LastUpdate time.Time       `json:"last_updated"`
}

type cleanupsInput struct {
	DeploymentID string `query:"deployment_id" doc:"Only the cleanup of this deployment."`
}

type cleanupsOutput struct {
	Body CleanupList
}

func (s *Server) cleanups(ctx context.Context, in *cleanupsInput) (*cleanupsOutput, error) {
	var bad fieldErrors
	id := bad.optionalID("deployment_id", "dep", in.DeploymentID)
	if err := bad.err(); err != nil {
		return nil, s.typedError(ctx, err)
	}
	list, err := s.readCleanups(ctx, id)
	if err != nil {
		return nil, s.typedError(ctx, err)
	}
	out := CleanupList{CleaningUp: []CleanupStatus{}, Failed: []CleanupStatus{}, CleanedUp: []CleanupStatus{}, LastUpdate: s.Now().UTC().Truncate(time.Microsecond)}
	for _, c := range list {
		switch one := cleanupStatus(c); one.State {
		case phase.CleaningUp:
			out.CleaningUp = append(out.CleaningUp, one)
		case phase.CleanedUp:
			out.CleanedUp = append(out.CleanedUp, one)
		case phase.StateFail:
			if one.Failure != nil && one.Failure.Phase == phase.Cleanup {
				out.Failed = append(out.Failed, one)
			}
		}
	}
	return &cleanupsOutput{out}, nil
}

func (s *Server) readCleanups(ctx context.Context, deploymentID int64) ([]operation.Cleanup, error) {
	if deploymentID == 0 {
		return s.Operations.Cleanups(ctx)
	}
	one, err := s.Operations.CleanupOf(ctx, deploymentID)
	return []operation.Cleanup{one}, err
}

func cleanupStatus(c operation.Cleanup) CleanupStatus {
	d := c.Deployment
	out := CleanupStatus{
		NodeID: d.NodeID, NodeName: c.Node.Name, DeploymentID: d.ID, DeploymentNumber: d.Number, State: d.State,
		CleanupCompleted: d.State == phase.CleanedUp, StartedAt: c.StartedAt, LastUpdate: c.UpdatedAt.UTC(), Message: c.Message, Steps: c.Steps,
	}
	if d.FinishedAt != nil && !phase.Active(d.State) {
		at := d.FinishedAt.UTC()
		out.FinishedAt = &at
	}
	if d.State == phase.StateFail {
		out.Failure = query.FailureOf(d)
	}
	return out
}
