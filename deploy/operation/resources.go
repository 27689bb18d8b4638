package operation

import (
	"context"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/resource"
)

// ResourcesMax is the most rows of one page.
const ResourcesMax = 1000

// Resource is a row of the journal as people read it.
type Resource struct {
	deploy.Resource
	NodeName  string
	LastError string // what the provider last said against it, empty if nothing
	CreatedAt time.Time
	UpdatedAt time.Time
}

// ResourceFilter chooses resources; zero fields choose all.
type ResourceFilter struct {
	NodeID  int64
	HeldBy  int64 // deployment that holds it
	State   string
	Present bool  // without those that are gone
	After   int64 // id: only later rows
	Limit   int   // 0 = ResourcesMax
}

// Resources lists what was made for a node, the oldest first; also what is gone.
func (s *Service) Resources(ctx context.Context, nodeID int64) ([]Resource, error) {
	if _, err := s.node(ctx, nodeID); err != nil {
		return nil, err
	}
	list, _, err := s.ResourcePage(ctx, ResourceFilter{NodeID: nodeID})
	return list, err
}

// ResourcePage reads a page of resources, the oldest first; more says whether
// another one follows after the last id.
func (s *Service) ResourcePage(ctx context.Context, f ResourceFilter) (page []Resource, more bool, err error) {
	q := s.read.Resource.Query().Order(ent.Asc(resource.FieldID))
	if f.NodeID != 0 {
		q.Where(resource.NodeID(f.NodeID))
	}
	if f.HeldBy != 0 {
		q.Where(resource.HeldBy(f.HeldBy))
	}
	if f.State != "" {
		q.Where(resource.State(f.State))
	}
	if f.Present {
		q.Where(resource.StateNEQ(deploy.ResourceGone))
	}
	if f.After != 0 {
		q.Where(resource.IDGT(f.After))
	}
	if f.Limit < 1 || f.Limit > ResourcesMax {
		f.Limit = ResourcesMax
	}
	rows, err := q.WithNode(func(q *ent.NodeQuery) { q.Select(node.FieldID, node.FieldName) }).Limit(f.Limit + 1).All(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("operation: reading resources: %w", err)
	}
	if more = len(rows) > f.Limit; more {
		rows = rows[:f.Limit]
	}
	page = make([]Resource, len(rows))
	for i, r := range rows {
		page[i] = Resource{Resource: row(r), LastError: r.LastError, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
		if r.Edges.Node != nil {
			page[i].NodeName = r.Edges.Node.Name
		}
	}
	return page, more, nil
}

func row(r *ent.Resource) deploy.Resource {
	out := deploy.Resource{
		ID: r.ID, NodeID: r.NodeID, CreatedBy: r.CreatedBy, HeldBy: r.HeldBy, Provider: r.Provider, Kind: r.Kind, Role: r.Role,
		Name: r.Name, Generation: r.Generation, State: r.State, Details: r.Details,
	}
	if r.CloudID != nil {
		out.CloudID = *r.CloudID
	}
	return out
}

// journal reads every row of a provider.
func (s *Service) journal(ctx context.Context, provider string) ([]deploy.Resource, error) {
	var out []deploy.Resource
	for after := int64(0); ; {
		rows, err := s.read.Resource.Query().Where(resource.Provider(provider), resource.IDGT(after)).
			Order(ent.Asc(resource.FieldID)).Limit(ResourcesMax).All(ctx)
		if err != nil {
			return nil, fmt.Errorf("operation: reading the journal of %s: %w", provider, err)
		}
		for _, r := range rows {
			out = append(out, row(r))
			after = r.ID
		}
		if len(rows) < ResourcesMax {
			return out, nil
		}
	}
}
