package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/operation"
)

// AdoptRequest documents the body of POST /api/nodes/adopt.
type AdoptRequest struct {
	Provider    string            `json:"provider,omitempty" default:"ibm_vpc"`
	Server      string            `json:"server" doc:"The provider's id of the machine, or its name."`
	Name        string            `json:"name" maxLength:"40" doc:"Of the node. Not needed with ?dry_run=true."`
	ClusterName string            `json:"cluster_name,omitempty" maxLength:"63"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// AdoptAnswer is a machine that was taken into care.
type AdoptAnswer struct {
	NodeID             *int64        `json:"node_id" doc:"Null if nothing was done."`
	DeploymentID       *int64        `json:"deployment_id"`
	DryRun             bool          `json:"dry_run" doc:"Nothing was done."`
	ServerID           string        `json:"server_id"`
	ServerName         string        `json:"server_name"`
	ServerStatus       string        `json:"server_status"`
	ServerProfile      string        `json:"server_profile"`
	Zone               string        `json:"zone"`
	ManagementIP       string        `json:"management_ip"`
	Resources          []AdoptedLine `json:"resources" doc:"What the node holds from now on."`
	MonitoringEndpoint string        `json:"monitoring_endpoint,omitempty"`
	Message            string        `json:"message"`
}

// AdoptedLine is a part of an adopted machine.
type AdoptedLine struct {
	Kind    string `json:"kind"`
	Role    string `json:"role"`
	Name    string `json:"name"`
	CloudID string `json:"cloud_id"`
}

// Line is the answer as a shell prints it.
func (a AdoptAnswer) Line() string { return "ok " + a.Message }

// adopt answers POST /api/nodes/adopt.
func (s *Server) adopt(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r, "provider", "server", "name", "cluster_name", "labels")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	in := operation.Adoption{
		Provider: c.word("provider"), Server: c.required("server"), Name: c.word("name"), ClusterName: c.word("cluster_name"),
		Labels: c.labels(c.fields, "labels"), Actor: actor(r),
	}
	if in.Provider == "" {
		in.Provider = deploy.ProviderIBMVPC
	}
	if !c.dry || in.Name != "" {
		c.bad = append(c.bad, deploy.CheckNodeName("name", in.Name)...)
	}
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	if c.dry {
		found, err := s.Operations.Examine(r.Context(), in.Provider, in.Server)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		out := adoptAnswer(found)
		out.DryRun, out.Message = true, fmt.Sprintf("%s would be adopted; resources that belong to it: %d; nothing was done", found.Name, len(found.Resources))
		answer(w, r, http.StatusOK, out)
		return
	}
	made, found, err := s.Operations.Adopt(r.Context(), in)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	out := adoptAnswer(found)
	out.NodeID, out.DeploymentID = &made.NodeID, &made.DeploymentID
	out.MonitoringEndpoint = fmt.Sprintf("/api/status/nodes/%d", made.NodeID)
	out.Message = fmt.Sprintf("%s was adopted as %s and is protected", found.Name, in.Name)
	answer(w, r, http.StatusCreated, out)
}

func adoptAnswer(a deploy.Adopted) AdoptAnswer {
	out := AdoptAnswer{
		ServerID: a.ServerID, ServerName: a.Name, ServerStatus: a.ServerStatus, ServerProfile: a.Profile, Zone: a.Zone, ManagementIP: a.ManagementIP,
		Resources: make([]AdoptedLine, len(a.Resources)),
	}
	for i, r := range a.Resources {
		out.Resources[i] = AdoptedLine{Kind: r.Kind, Role: r.Role, Name: r.Name, CloudID: r.CloudID}
	}
	return out
}

// ConsoleRequest documents the body of POST /api/nodes/{id}/console.
type ConsoleRequest struct {
	Type  string `json:"type,omitempty" enum:"serial,vnc" default:"serial"`
	Force bool   `json:"force,omitempty" doc:"End somebody else's session."`
}

// ConsoleAnswer is a way to a machine's console.
type ConsoleAnswer struct {
	URL       string    `json:"url" doc:"wss://…; a secret that is good for one use."`
	Type      string    `json:"type"`
	ExpiresAt time.Time `json:"expires_at"`
	Force     bool      `json:"force"`
}

// Line is the answer as a shell prints it.
func (a ConsoleAnswer) Line() string { return a.URL }

// console answers POST /api/nodes/{id}/console.
func (s *Server) console(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r, "type", "force")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	id, kind := c.pathID(r, "node"), c.choice("type", operation.ConsoleSerial, operation.ConsoleVNC)
	force := c.flag("force")
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	got, err := s.Operations.Console(r.Context(), id, kind, force != nil && *force, actor(r))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answer(w, r, http.StatusOK, ConsoleAnswer{URL: got.URL, Type: got.Type, ExpiresAt: got.ExpiresAt.UTC(), Force: got.Force})
}
