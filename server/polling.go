package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
)

// SkipPollingRequest documents the body of POST /api/deployments/{id}/skip-polling.
type SkipPollingRequest struct {
	Reason string `json:"reason" maxLength:"500" doc:"What the history will say."`
}

// HostKeyRequest documents the body of POST /api/nodes/{id}/host-key.
type HostKeyRequest struct {
	HostKey string `json:"host_key" doc:"The key that the host has offered when it was last asked: type and base64." example:"ssh-ed25519 AAAAC3…"`
}

// ProbeAnswer says that a host is being asked.
type ProbeAnswer struct {
	DeploymentID int64  `json:"deployment_id"`
	Message      string `json:"message"`
}

// Line is the answer as a shell prints it.
func (a ProbeAnswer) Line() string {
	return fmt.Sprintf("ok deployment %d: %s", a.DeploymentID, a.Message)
}

// HostKeyAnswer says which host key a node is known by.
type HostKeyAnswer struct {
	NodeID      int64  `json:"node_id"`
	NodeName    string `json:"node_name"`
	Fingerprint string `json:"fingerprint" doc:"SHA-256, as OpenSSH prints it."`
	Message     string `json:"message"`
}

// Line is the answer as a shell prints it.
func (a HostKeyAnswer) Line() string {
	return "ok " + a.NodeName + " " + a.Fingerprint + ": " + a.Message
}

// skipPolling answers POST /api/deployments/{id}/skip-polling.
func (s *Server) skipPolling(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r, "reason")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	before := len(c.bad)
	in := lifecycle.SkipPolling{DeploymentID: c.pathID(r, "dep"), Reason: c.longText("reason", reasonMax), Actor: actor(r)}
	if in.Reason == "" && len(c.bad) == before {
		c.add("reason", deploy.CodeRequired, "is required: it is what the history will say")
	}
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	got, err := s.Lifecycle.SkipPolling(r.Context(), in)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answer(w, r, http.StatusAccepted, verbAnswer(got, "the host counts as deployed; the history says who said so, and why"))
}

// probeNow answers POST /api/deployments/{id}/probe.
func (s *Server) probeNow(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	id := c.pathID(r, "dep")
	c.noDryRun()
	err = c.err()
	if err == nil && s.Nudge == nil {
		err = deploy.Errorf(deploy.CodeWrongState, "this server waits for no hosts")
	}
	if err == nil {
		err = s.Nudge(r.Context(), id, actor(r))
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answer(w, r, http.StatusAccepted, ProbeAnswer{DeploymentID: id, Message: "the host is being asked"})
}

// acceptHostKey answers POST /api/nodes/{id}/host-key.
func (s *Server) acceptHostKey(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r, "host_key")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	before := len(c.bad)
	in := lifecycle.PinHostKey{NodeID: c.pathID(r, "node"), Key: c.hostKey("host_key"), Actor: actor(r)}
	if in.Key == "" && len(c.bad) == before {
		c.add("host_key", deploy.CodeRequired, "is required")
	}
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	if err := s.Lifecycle.PinHostKey(r.Context(), in); err != nil {
		s.refuse(w, r, err)
		return
	}
	card, err := s.Statuses.Node(r.Context(), in.NodeID)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answer(w, r, http.StatusOK, HostKeyAnswer{NodeID: card.ID, NodeName: card.NodeName, Fingerprint: health.Fingerprint(in.Key), Message: "the key is trusted now"})
}

// hostKeyMax is the longest host key, in bytes: 16384-bit RSA has under 3,000.
const hostKeyMax = 4096

// hostKey reads a host key; empty if it is missing or none.
func (c *command) hostKey(name string) string {
	var p parsedReport
	v := strings.TrimSpace(c.fields.text(&p, name))
	switch {
	case len(p.bad) > 0:
		c.add(name, deploy.CodeInvalid, p.bad[0].Message)
	case len(v) > hostKeyMax:
		c.add(name, deploy.CodeOutOfRange, fmt.Sprintf("is longer than %d bytes", hostKeyMax))
	case v != "" && health.Fingerprint(v) == "":
		c.add(name, deploy.CodeInvalid, "is no host key: type and base64 are expected")
	default:
		return v
	}
	return ""
}
