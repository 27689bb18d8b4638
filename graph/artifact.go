package graph

import (
	"context"

	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/graph/model"
)

func (r *Resolver) listArtifacts(ctx context.Context) ([]*model.Artifact, error) {
	list, err := r.operations().Artifacts(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*model.Artifact, len(list))
	for i, a := range list {
		out[i] = artifactModel(a)
	}
	return out, nil
}

func artifactModel(a operation.Stored) *model.Artifact {
	out := &model.Artifact{
		Name: a.Name, Kind: a.Kind, Version: a.Version, Size: a.Size, Sha256: a.SHA256, State: model.ArtifactStateReady,
		InPlace: a.InPlace, RegisteredAt: a.Registered, InUseBy: a.InUseBy,
	}
	if a.Problem != "" {
		out.State, out.Problem = model.ArtifactStateBroken, &a.Problem
	}
	if out.InUseBy == nil {
		out.InUseBy = []string{}
	}
	return out
}
