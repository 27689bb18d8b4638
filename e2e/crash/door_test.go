package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// request is what machines and operators ask of a core.
type request struct {
	Verb       string          `json:"verb"`
	Node       int64           `json:"node,omitempty"`
	Name       string          `json:"name,omitempty"`
	Deployment int64           `json:"deployment,omitempty"`
	Attempt    int             `json:"attempt,omitempty"`
	Locator    string          `json:"locator,omitempty"`
	Phase      string          `json:"phase,omitempty"`
	Status     phase.Status    `json:"status,omitempty"`
	Message    string          `json:"message,omitempty"`
	Details    json.RawMessage `json:"details,omitempty"`
	Immediate  bool            `json:"immediate,omitempty"`
	Key        string          `json:"key,omitempty"`
	Points     []string        `json:"points,omitempty"`
	Cluster    int64           `json:"cluster,omitempty"`
	Members    []string        `json:"members,omitempty"`
}

// answer is what a core says.
type answer struct {
	Code       deploy.Code        `json:"code,omitempty"` // of a refusal
	Message    string             `json:"message,omitempty"`
	Node       int64              `json:"node,omitempty"`
	Deployment int64              `json:"deployment,omitempty"`
	Cluster    int64              `json:"cluster,omitempty"`
	Attempt    int                `json:"attempt,omitempty"`
	Decision   phase.BootDecision `json:"decision,omitempty"`
	State      *state             `json:"state,omitempty"`
}

// state is all that is in the database.
type state struct {
	Told        int               `json:"told"` // points so far
	Busy        int               `json:"busy"` // jobs that run
	Deployments []deployment      `json:"deployments"`
	Rows        []deploy.Resource `json:"rows"`
	Drift       []deploy.Drift    `json:"drift,omitempty"`
}

type deployment struct {
	ID        int64  `json:"id"`
	Node      int64  `json:"node"`
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	State     string `json:"state"`
	Phase     string `json:"phase"`
	Attempt   int    `json:"attempt"`
	Sequence  int    `json:"sequence"`
	FailedIn  string `json:"failed_in,omitempty"`
	Code      string `json:"code,omitempty"`
	Failure   string `json:"failure,omitempty"`
	Server    string `json:"server,omitempty"`
	IP        string `json:"ip,omitempty"`
	CVM       string `json:"cvm,omitempty"`
	Clustered bool   `json:"clustered,omitempty"`
	Current   bool   `json:"current"`
	Events    int    `json:"events"`
	Last      int    `json:"last"` // highest sequence of an event
	Open      int    `json:"open"` // phase runs that are
	Successes int    `json:"successes"`
}

// door is where machines and operators come in. A report's way in is a
// boundary too: behind it, the answer is lost.
func (c *core) door() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in request
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 30*time.Second)
		defer cancel()
		out, err := c.answer(ctx, in)
		if refused, ok := deploy.AsError(err); ok {
			out.Code, out.Message = refused.Code, refused.Message
		} else if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(out)
	})
}

func (c *core) answer(ctx context.Context, in request) (out answer, err error) {
	actor := deploy.Actor{Kind: deploy.ActorSystem, Name: "test"}
	if point := in.point(); point != "" {
		c.points.at("before " + point)
		defer c.points.at("after " + point)
	}
	switch in.Verb {
	case "boot":
		return c.boot(ctx, in)
	case "config":
		_, err = c.writer.ConfigServed(ctx, in.Deployment, in.Attempt, "127.0.0.1")
	case "report":
		_, err = c.writer.Report(ctx, lifecycle.Report{DeploymentID: in.Deployment, TokenAttempt: in.Attempt, Phase: in.Phase, Status: in.Status,
			Message: in.Message, Details: in.Details, As: phase.ByMachine, Source: deploy.SourceInstallerScript})
	case "deploy":
		var d lifecycle.Deployed
		d, err = c.writer.Deploy(ctx, lifecycle.NewDeployment{NodeID: in.Node, Name: in.Name, Actor: actor, IdempotencyKey: in.Key,
			Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}})
		out.Node, out.Deployment = d.NodeID, d.DeploymentID
	case "reinitialize":
		var d lifecycle.Deployed
		d, err = c.writer.Reinitialize(ctx, lifecycle.Reinitialize{NodeID: in.Node, ConfirmName: in.Name, IdempotencyKey: in.Key, Actor: actor})
		out.Node, out.Deployment = d.NodeID, d.DeploymentID
	case "retry":
		_, err = c.writer.Retry(ctx, lifecycle.Retry{DeploymentID: in.Deployment, Actor: actor})
	case "cancel":
		_, err = c.writer.Cancel(ctx, lifecycle.Cancel{DeploymentID: in.Deployment, Immediate: in.Immediate, Actor: actor})
	case "cleanup":
		_, err = c.writer.Cleanup(ctx, lifecycle.Cleanup{DeploymentID: in.Deployment, ConfirmName: in.Name, Actor: actor})
	case "cluster", "end of cluster":
		out.Cluster, err = c.cluster(ctx, in, actor)
	case "arm":
		c.points.arm(in.Points)
	case "state":
		out.State, err = c.state(ctx)
	case "audit":
		out.State, err = c.audit(ctx)
	default:
		err = fmt.Errorf("unknown verb %q", in.Verb)
	}
	return out, err
}

// point is the boundary that a request is; empty if it changes nothing.
func (in request) point() string {
	switch in.Verb {
	case "arm", "state", "audit":
		return ""
	case "report":
		return fmt.Sprintf("machine: %s %s", in.Phase, in.Status)
	case "boot", "config":
		return "machine: " + in.Verb
	}
	return "operator: " + in.Verb
}

func (c *core) boot(ctx context.Context, in request) (out answer, err error) {
	at, err := c.access.Locate(ctx, in.Locator)
	if err != nil {
		return out, err
	}
	served, err := c.writer.Boot(ctx, lifecycle.BootRequest{DeploymentID: at.DeploymentID, Remote: "127.0.0.1"})
	return answer{Decision: served.Decision, Node: served.NodeID, Deployment: served.DeploymentID, Attempt: served.Attempt}, err
}

func (c *core) audit(ctx context.Context) (*state, error) {
	s, err := c.state(ctx)
	if err != nil {
		return nil, err
	}
	s.Drift, err = c.provider.Audit(ctx, s.Rows)
	return s, err
}

func (c *core) state(ctx context.Context) (*state, error) {
	s := &state{}
	if err := c.store.Read.QueryRowContext(ctx, `SELECT COUNT(*) FROM river_job WHERE state = 'running'`).Scan(&s.Busy); err != nil {
		return nil, err
	}
	rows, err := c.store.Read.QueryContext(ctx, `SELECT d.id, d.node_id, n.name, d.kind, d.state, d.phase, d.attempt, d.sequence, COALESCE(d.failure_phase, ''), COALESCE(d.failure_code, ''), COALESCE(d.failure_message, ''),
			COALESCE(n.server_id, ''), COALESCE(n.management_ip, ''), COALESCE(n.cvm_ip, ''), n.clustered, n.current_deployment_id = d.id,
			(SELECT COUNT(*) FROM deployment_history h WHERE h.deployment_id = d.id), (SELECT COALESCE(MAX(h.sequence), 0) FROM deployment_history h WHERE h.deployment_id = d.id),
			(SELECT COUNT(*) FROM phase_runs r WHERE r.deployment_id = d.id AND r.finished_at IS NULL),
			(SELECT COUNT(*) FROM deployment_history h WHERE h.deployment_id = d.id AND h.phase = 'deployed')
		FROM deployments d JOIN nodes n ON n.id = d.node_id ORDER BY d.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d deployment
		err := rows.Scan(&d.ID, &d.Node, &d.Name, &d.Kind, &d.State, &d.Phase, &d.Attempt, &d.Sequence, &d.FailedIn, &d.Code, &d.Failure, &d.Server, &d.IP, &d.CVM, &d.Clustered, &d.Current, &d.Events, &d.Last, &d.Open, &d.Successes)
		if err != nil {
			return nil, err
		}
		s.Deployments = append(s.Deployments, d)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	// Read later, the rows are at least as new as the deployments.
	s.Rows, err = c.journal.All(ctx, deploy.ProviderIBMVPC)
	s.Told = c.points.count()
	return s, err
}
