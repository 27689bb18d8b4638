package operation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
)

// Stored is a file that machines can fetch.
type Stored struct {
	Name, Kind, Version string
	Size                int64  // bytes
	SHA256              string // hex
	Problem             string // why it cannot be served, empty if it can
	InPlace             bool   // it lies where it was when it was registered
	Registered          time.Time
	// InUseBy names the nodes whose deployment may still fetch it, sorted.
	InUseBy []string
}

// Artifacts lists the catalogue with who needs what.
func (s *Service) Artifacts(ctx context.Context) ([]Stored, error) {
	if s.deps.Catalogue == nil {
		return nil, nil
	}
	list, err := s.deps.Catalogue(ctx)
	if err != nil {
		return nil, fmt.Errorf("operation: listing artifacts: %w", err)
	}
	used, err := s.ArtifactsInUse(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].InUseBy = used[list[i].Name]
	}
	return list, nil
}

// ArtifactsInUse gives, by name of the artifact, the names of the nodes whose
// deployment may still fetch it, sorted: those that are not over, and whose
// machine has not come to the end of its install.
func (s *Service) ArtifactsInUse(ctx context.Context) (map[string][]string, error) {
	out := map[string][]string{}
	if s.deps.Artifacts == nil {
		return out, nil
	}
	open, err := s.read.Deployment.Query().
		Where(deployment.StateIn(phase.Queued, phase.Running, phase.Canceling), deployment.ProviderNEQ(deploy.ProviderScript)).
		Select(deployment.FieldID, deployment.FieldNodeID, deployment.FieldProvider, deployment.FieldPhase, deployment.FieldConfig).
		WithNode(func(q *ent.NodeQuery) { q.Select("id", "name") }).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("operation: reading what is being deployed: %w", err)
	}
	// What a node needs depends on few things; most nodes need the same.
	needs := map[string][]string{}
	for _, d := range open {
		if phase.Before(d.Provider, phase.PostInstall, d.Phase) {
			continue
		}
		var spec deploy.Spec
		if err := json.Unmarshal(d.Config, &spec); err != nil {
			return nil, fmt.Errorf("operation: the specification of deployment %d: %w", d.ID, err)
		}
		names, known := needs[spec.Installer]
		if !known {
			list, err := s.deps.Artifacts(ctx, deploy.Spec{Installer: spec.Installer})
			if err != nil {
				return nil, fmt.Errorf("operation: looking for artifacts: %w", err)
			}
			for _, a := range list {
				names = append(names, a.Name)
			}
			needs[spec.Installer] = names
		}
		for _, name := range names {
			out[name] = append(out[name], d.Edges.Node.Name)
		}
	}
	for _, nodes := range out {
		slices.Sort(nodes)
	}
	return out, nil
}
