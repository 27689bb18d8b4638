package graph

import (
	"context"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/operation"
)

// unequipped answers for a server that was started without any operations.
type unequipped struct{}

var errUnequipped = deploy.Errorf(deploy.CodeWrongState, "no provider is set up on this server")

func (unequipped) Plan(context.Context, string, deploy.Spec) (operation.Plan, error) {
	return operation.Plan{}, errUnequipped
}

func (unequipped) CleanupPlan(context.Context, int64) ([]deploy.ReleaseStep, error) {
	return nil, errUnequipped
}

func (unequipped) Offer(context.Context, string) (deploy.Offer, error) {
	return deploy.Offer{}, errUnequipped
}

func (unequipped) Audit(context.Context, string) ([]deploy.Drift, error) { return nil, errUnequipped }

func (unequipped) RemoveOrphan(context.Context, string, operation.Orphan, deploy.Actor) (operation.Removal, error) {
	return operation.Removal{}, errUnequipped
}

func (unequipped) Examine(context.Context, string, string) (deploy.Adopted, error) {
	return deploy.Adopted{}, errUnequipped
}

func (unequipped) Adopt(context.Context, operation.Adoption) (lifecycle.Deployed, deploy.Adopted, error) {
	return lifecycle.Deployed{}, deploy.Adopted{}, errUnequipped
}

func (unequipped) Artifacts(context.Context) ([]operation.Stored, error) { return nil, errUnequipped }

func (unequipped) Console(context.Context, int64, string, bool, deploy.Actor) (deploy.Console, error) {
	return deploy.Console{}, errUnequipped
}
