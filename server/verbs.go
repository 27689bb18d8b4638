package server

import (
	"fmt"
	"net/http"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
)

// reasonMax is the longest reason or note that a person gives, in bytes.
const reasonMax = 500

// RetryRequest documents the body of POST /api/deployments/{id}/retry.
type RetryRequest struct {
	FromPhase string `json:"from_phase,omitempty" doc:"Begin with this phase; nothing = the one that failed."`
}

// CancelRequest documents the body of POST /api/deployments/{id}/cancel.
type CancelRequest struct {
	Mode   string `json:"mode,omitempty" enum:"after_current_phase,immediate" default:"after_current_phase"`
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

// ReinitializeRequest documents the body of POST /api/reinitialize.
type ReinitializeRequest struct {
	NodeID  string `json:"node_id,omitempty" doc:"Database id or global id; this or mgmt_ip. Both must name the same node."`
	IP      string `json:"mgmt_ip,omitempty" doc:"Management address."`
	Confirm string `json:"confirm,omitempty" doc:"The node's name; refused if it is another one."`
}

// ProtectionRequest documents the body of POST /api/nodes/{id}/protection.
type ProtectionRequest struct {
	Protected bool   `json:"protected"`
	Note      string `json:"note,omitempty" maxLength:"500" doc:"Why; shown to whoever is refused."`
}

// VerbAnswer says how a deployment stands after what was asked of it.
type VerbAnswer struct {
	NodeID             int64  `json:"node_id"`
	DeploymentID       int64  `json:"deployment_id"`
	State              string `json:"state"`
	CurrentPhase       string `json:"current_phase"`
	PhaseStatus        string `json:"phase_status"`
	Attempt            int    `json:"attempt"`
	Sequence           int    `json:"sequence" doc:"Of the event that records it."`
	MonitoringEndpoint string `json:"monitoring_endpoint"`
	Message            string `json:"message"`
}

// Line is the answer as a shell prints it.
func (a VerbAnswer) Line() string {
	return fmt.Sprintf("ok deployment %d %s %s: %s", a.DeploymentID, a.State, a.CurrentPhase, a.Message)
}

func verbAnswer(got lifecycle.Receipt, message string) VerbAnswer {
	return VerbAnswer{
		NodeID: got.NodeID, DeploymentID: got.DeploymentID, State: got.State, CurrentPhase: got.Phase, PhaseStatus: string(got.PhaseStatus),
		Attempt: got.Attempt, Sequence: got.Sequence, MonitoringEndpoint: fmt.Sprintf("/api/status/nodes/%d", got.NodeID), Message: message,
	}
}

// retry answers POST /api/deployments/{id}/retry.
func (s *Server) retry(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r, "from_phase")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	in := lifecycle.Retry{DeploymentID: c.pathID(r, "dep"), FromPhase: c.word("from_phase"), Actor: actor(r)}
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	got, err := s.Lifecycle.Retry(r.Context(), in)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	message := fmt.Sprintf("attempt %d begins at %s", got.Attempt, got.Phase)
	if got.Phase == phase.Pending {
		message = fmt.Sprintf("attempt %d begins once it has a slot", got.Attempt)
	}
	answer(w, r, http.StatusAccepted, verbAnswer(got, message))
}

// cancel answers POST /api/deployments/{id}/cancel.
func (s *Server) cancel(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r, "mode", "reason")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	in := lifecycle.Cancel{
		DeploymentID: c.pathID(r, "dep"), Immediate: c.choice("mode", "after_current_phase", "immediate") == "immediate",
		Reason: c.longText("reason", reasonMax), Actor: actor(r),
	}
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	got, err := s.Lifecycle.Cancel(r.Context(), in)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	message := fmt.Sprintf("it ends when %s ends", got.Phase)
	if got.State != "canceling" {
		message = "it is canceled; what was made for it stays until its node is cleaned up"
	}
	answer(w, r, http.StatusAccepted, verbAnswer(got, message))
}

// reinitialize answers POST /api/reinitialize.
func (s *Server) reinitialize(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r, "node_id", "mgmt_ip", "confirm")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	hint := c.node()
	in := lifecycle.Reinitialize{
		ConfirmName: c.word("confirm"), Actor: actor(r), IdempotencyKey: c.objectReader.word(r.Header.Get("Idempotency-Key"), "idempotency_key"),
	}
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	card, err := s.named(r, hint)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	in.NodeID = card.ID
	made, err := s.Lifecycle.Reinitialize(r.Context(), in)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answer(w, r, http.StatusAccepted, s.accepted(r, made, card.Provider, card.ServerProfile, card.NodeName))
}

// node reads which node is meant, by id or management address.
func (c *command) node() query.MachineHint {
	before := len(c.bad)
	hint := query.MachineHint{NodeID: c.id("node_id", "node")}
	if c.word("mgmt_ip") != "" {
		var bad fieldErrors
		hint.IP = bad.ip("mgmt_ip", c.word("mgmt_ip"))
		c.bad = append(c.bad, bad...)
	}
	if len(c.bad) == before && hint == (query.MachineHint{}) {
		c.add("node_id", deploy.CodeRequired, "is required, or mgmt_ip")
	}
	return hint
}

// named reads the node that a hint names; both its parts must agree.
func (s *Server) named(r *http.Request, hint query.MachineHint) (query.NodeCard, error) {
	of, err := s.Statuses.FindNode(r.Context(), hint)
	if err != nil {
		return query.NodeCard{}, err
	}
	card, err := s.Statuses.Node(r.Context(), of.NodeID)
	if err != nil {
		return query.NodeCard{}, err
	}
	if hint.IP != "" && (card.ManagementIP == nil || *card.ManagementIP != hint.IP) {
		return query.NodeCard{}, deploy.Invalid([]deploy.FieldError{{Field: "mgmt_ip", Code: deploy.CodeInvalid, Message: "is not the address of the node that node_id names"}})
	}
	return card, nil
}

// ProtectionAnswer says how a node is protected now.
type ProtectionAnswer struct {
	NodeID    int64  `json:"node_id"`
	NodeName  string `json:"node_name"`
	Protected bool   `json:"protected"`
	Note      string `json:"note"`
}

// Line is the answer as a shell prints it.
func (a ProtectionAnswer) Line() string {
	if !a.Protected {
		return fmt.Sprintf("ok %s is not protected", a.NodeName)
	}
	return fmt.Sprintf("ok %s is protected %s", a.NodeName, a.Note)
}

// protection answers POST /api/nodes/{id}/protection.
func (s *Server) protection(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r, "protected", "note")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	before := len(c.bad)
	set := c.flag("protected")
	if set == nil && len(c.bad) == before {
		c.add("protected", deploy.CodeRequired, "is required: true or false")
	}
	in := lifecycle.Protection{NodeID: c.pathID(r, "node"), Note: c.longText("note", reasonMax), Actor: actor(r)}
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	in.Protected = *set
	if err := s.Lifecycle.SetProtection(r.Context(), in); err != nil {
		s.refuse(w, r, err)
		return
	}
	card, err := s.Statuses.Node(r.Context(), in.NodeID)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answer(w, r, http.StatusOK, ProtectionAnswer{NodeID: card.ID, NodeName: card.NodeName, Protected: card.Protected, Note: card.ProtectNote})
}
