package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/operation"
)

// ResourceLine is one thing that was made in a cloud for a node.
type ResourceLine struct {
	ID         int64           `json:"id"`
	NodeID     int64           `json:"node_id"`
	NodeName   string          `json:"node_name"`
	Provider   string          `json:"provider"`
	Kind       string          `json:"kind" doc:"reserved_ip, vni, server, dns_a, dns_ptr; power for a rack machine."`
	Role       string          `json:"role" doc:"Which of its kind: management, workload-1, ahv, cvm."`
	Name       string          `json:"name"`
	Generation int             `json:"generation"`
	State      string          `json:"state" enum:"intent,doubtful,present,releasing,gone"`
	CloudID    *string         `json:"cloud_id"`
	CreatedBy  int64           `json:"created_by" doc:"Deployment that made it."`
	HeldBy     int64           `json:"held_by" doc:"Deployment that holds it."`
	Details    json.RawMessage `json:"details"`
	LastError  *string         `json:"last_error" doc:"What the provider last said against it."`
	CreatedAt  time.Time       `json:"created_at"`
	UpdatedAt  time.Time       `json:"updated_at"`
}

// ResourceList is a page of resources.
type ResourceList struct {
	Resources  []ResourceLine `json:"resources" doc:"The oldest first."`
	NextCursor *string        `json:"next_cursor" doc:"Ask for what comes after this; null on the last page."`
}

type (
	resourcesInput struct {
		NodeID string `query:"node_id" doc:"Only of this node."`
		State  string `query:"state" doc:"Only in this state: intent, doubtful, present, releasing, gone; held = all but gone."`
		Limit  string `query:"limit" doc:"1 to 1000, 1000 without it."`
		After  string `query:"after" doc:"The next_cursor of the page before."`
	}
	resourcesOutput struct {
		Body ResourceList
	}
	driftInput struct {
		Provider string `query:"provider" doc:"ibm_vpc without it."`
	}
	driftOutput struct {
		Body DriftList
	}
	offerInput struct {
		Provider string `path:"provider" example:"ibm_vpc"`
	}
	offerOutput struct {
		Body deploy.Offer
	}
)

var resourceStates = []string{deploy.ResourceIntent, deploy.ResourceDoubtful, deploy.ResourcePresent, deploy.ResourceReleasing, deploy.ResourceGone}

func (s *Server) resources(ctx context.Context, in *resourcesInput) (*resourcesOutput, error) {
	var bad fieldErrors
	f := operation.ResourceFilter{NodeID: bad.optionalID("node_id", "node", in.NodeID), After: bad.optionalID("after", "res", in.After), Limit: bad.limit(in.Limit, operation.ResourcesMax)}
	switch {
	case in.State == "held":
		f.Present = true
	case in.State != "" && !slices.Contains(resourceStates, in.State):
		bad.add("state", deploy.CodeInvalid, "must be one of held, "+strings.Join(resourceStates, ", "))
	default:
		f.State = in.State
	}
	if err := bad.err(); err != nil {
		return nil, s.typedError(ctx, err)
	}
	if f.NodeID != 0 {
		if _, err := s.Statuses.Node(ctx, f.NodeID); err != nil {
			return nil, s.typedError(ctx, err)
		}
	}
	page, more, err := s.Operations.ResourcePage(ctx, f)
	if err != nil {
		return nil, s.typedError(ctx, err)
	}
	out := ResourceList{Resources: make([]ResourceLine, len(page))}
	for i, r := range page {
		out.Resources[i] = ResourceLine{
			ID: r.ID, NodeID: r.NodeID, NodeName: r.NodeName, Provider: r.Provider, Kind: r.Kind, Role: r.Role, Name: r.Name, Generation: r.Generation,
			State: r.State, CloudID: orNull(r.CloudID), CreatedBy: r.CreatedBy, HeldBy: r.HeldBy, Details: r.Details, LastError: orNull(r.LastError),
			CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
		}
	}
	if more {
		next := fmt.Sprintf("res_%d", page[len(page)-1].ID)
		out.NextCursor = &next
	}
	return &resourcesOutput{out}, nil
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// DriftList is how journal and cloud differ.
type DriftList struct {
	Provider string         `json:"provider"`
	Drift    []deploy.Drift `json:"drift"`
	AsOf     time.Time      `json:"as_of"`
}

func (s *Server) drift(ctx context.Context, in *driftInput) (*driftOutput, error) {
	if in.Provider == "" {
		in.Provider = deploy.ProviderIBMVPC
	}
	list, err := s.Operations.Audit(ctx, in.Provider)
	if err != nil {
		return nil, s.typedError(ctx, err)
	}
	return &driftOutput{DriftList{Provider: in.Provider, Drift: list, AsOf: s.Now().UTC().Truncate(time.Microsecond)}}, nil
}

func (s *Server) offer(ctx context.Context, in *offerInput) (*offerOutput, error) {
	offer, err := s.Operations.Offer(ctx, in.Provider)
	if err != nil {
		return nil, s.typedError(ctx, err)
	}
	offer.Zones = list(offer.Zones)
	offer.Profiles, offer.Subnets, offer.SecurityGroups = list(offer.Profiles), list(offer.Subnets), list(offer.SecurityGroups)
	offer.SSHKeys, offer.Images, offer.DNSZones = list(offer.SSHKeys), list(offer.Images), list(offer.DNSZones)
	return &offerOutput{offer}, nil
}

// list is never null in an answer.
func list[T any](of []T) []T {
	if of == nil {
		return []T{}
	}
	return of
}

// RemoveDriftRequest documents the body of POST /api/resources/drift/remove.
type RemoveDriftRequest struct {
	Provider string `json:"provider,omitempty" default:"ibm_vpc"`
	Kind     string `json:"kind" doc:"As the comparison names it."`
	CloudID  string `json:"cloud_id,omitempty" doc:"This or name; both must agree."`
	Name     string `json:"name,omitempty"`
}

// RemoveDriftAnswer says how far a removal is.
type RemoveDriftAnswer struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	CloudID string `json:"cloud_id,omitempty"`
	Done    bool   `json:"done" doc:"It is proven gone. Else the removal is under way: compare again."`
	Message string `json:"message"`
}

// Line is the answer as a shell prints it.
func (a RemoveDriftAnswer) Line() string {
	return fmt.Sprintf("ok %s %s %s: %s", a.Kind, a.Name, a.CloudID, a.Message)
}

// removeDrift answers POST /api/resources/drift/remove.
func (s *Server) removeDrift(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r, "provider", "kind", "cloud_id", "name")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	provider := c.word("provider")
	if provider == "" {
		provider = deploy.ProviderIBMVPC
	}
	orphan := operation.Orphan{Kind: c.required("kind"), CloudID: c.word("cloud_id"), Name: c.word("name")}
	if orphan.CloudID == "" && orphan.Name == "" {
		c.add("cloud_id", deploy.CodeRequired, "is required, or name")
	}
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	got, err := s.Operations.RemoveOrphan(r.Context(), provider, orphan, actor(r))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	status := http.StatusOK
	if !got.Done {
		status = http.StatusAccepted
	}
	answer(w, r, status, RemoveDriftAnswer{Kind: got.Drift.Kind, Name: got.Drift.Name, CloudID: got.Drift.CloudID, Done: got.Done, Message: got.Message})
}
