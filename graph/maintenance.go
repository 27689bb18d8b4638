package graph

import (
	"context"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
)

func (r *Resolver) setMaintenance(ctx context.Context, in model.SetMaintenanceInput) (*model.SetMaintenancePayload, error) {
	id, ok := ident.Of(ident.Deployment, in.ID)
	var err error = &deploy.Error{Code: deploy.CodeNotFound, Message: "there is no such deployment", Fields: []deploy.FieldError{{Field: "id", Code: deploy.CodeNotFound, Message: "names no deployment"}}}
	if ok {
		err = r.Commands.SetMaintenance(ctx, lifecycle.MaintenanceChange{
			DeploymentID: id, On: in.Maintenance, ExpectedVersion: in.ExpectedVersion, Actor: access.FromContext(ctx).Actor(),
		})
	}
	errs, err := userErrors(err, same)
	if err != nil || len(errs) > 0 {
		return &model.SetMaintenancePayload{Errors: errs}, err
	}
	d, err := r.readDeployment(ctx, id, selected(ctx).child("deployment"))
	return &model.SetMaintenancePayload{Deployment: d, Errors: errs}, err
}
