package graph

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
)

// reasonMax is the longest reason that a person gives, in bytes; the same as
// REST's.
const reasonMax = 500

// named reads the global id of what a mutation is about.
func named(k ident.Kind, id string) (int64, error) {
	key, ok := ident.Of(k, id)
	if ok {
		return key, nil
	}
	what := map[ident.Kind]string{ident.Node: "node", ident.Deployment: "deployment", ident.Run: "run", ident.Bulk: "bulk operation", ident.Cluster: "cluster"}[k]
	return 0, &deploy.Error{
		Code: deploy.CodeNotFound, Message: "there is no such " + what,
		Fields: []deploy.FieldError{{Field: "id", Code: deploy.CodeNotFound, Message: "names no " + what}},
	}
}

// said checks and cleans a text of a person that goes into the history.
func said(field string, in *string) (string, error) {
	s := strings.TrimSpace(access.Redact(deref(in)))
	if len(s) > reasonMax {
		return "", deploy.Invalid([]deploy.FieldError{{Field: field, Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("is longer than %d bytes", reasonMax)}})
	}
	return s, nil
}

// confirming calls the core's field by the input's name.
func confirming(field string) string {
	if field == "confirm" {
		return "confirm_node_name"
	}
	return field
}

// after gives a deployment as it is after a verb, or the verb's errors.
func (r *Resolver) after(ctx context.Context, id int64, err error, rename func(string) string) (*model.Deployment, []*model.UserError, error) {
	errs, err := userErrors(err, rename)
	if err != nil || len(errs) > 0 {
		return nil, errs, err
	}
	d, err := r.readDeployment(ctx, id, selected(ctx).child("deployment"))
	return d, errs, err
}

func (r *Resolver) cancelDeployment(ctx context.Context, in model.CancelDeploymentInput) (*model.CancelDeploymentPayload, error) {
	id, err := named(ident.Deployment, in.ID)
	reason := ""
	if err == nil {
		reason, err = said("reason", in.Reason)
	}
	if err == nil {
		_, err = r.Commands.Cancel(ctx, lifecycle.Cancel{
			DeploymentID: id, Immediate: deref(in.Mode) == model.CancelModeImmediate, Reason: reason, Actor: access.FromContext(ctx).Actor(),
		})
	}
	d, errs, err := r.after(ctx, id, err, same)
	return &model.CancelDeploymentPayload{Deployment: d, Errors: errs}, err
}

func (r *Resolver) retryDeployment(ctx context.Context, in model.RetryDeploymentInput) (*model.RetryDeploymentPayload, error) {
	id, err := named(ident.Deployment, in.ID)
	if err == nil {
		c := lifecycle.Retry{DeploymentID: id, Actor: access.FromContext(ctx).Actor()}
		if in.FromPhase != nil {
			c.FromPhase = strings.ToLower(string(*in.FromPhase))
		}
		_, err = r.Commands.Retry(ctx, c)
	}
	d, errs, err := r.after(ctx, id, err, same)
	return &model.RetryDeploymentPayload{Deployment: d, Errors: errs}, err
}

func (r *Resolver) cleanupDeployment(ctx context.Context, in model.CleanupDeploymentInput) (*model.CleanupDeploymentPayload, error) {
	out := &model.CleanupDeploymentPayload{Plan: []*model.CleanupStep{}}
	id, err := named(ident.Deployment, in.ID)
	switch {
	case err != nil:
	case deref(in.DryRun):
		var steps []deploy.ReleaseStep
		if steps, err = r.operations().CleanupPlan(ctx, id); err == nil {
			out.Plan = cleanupSteps(steps)
		}
	default:
		_, err = r.Commands.Cleanup(ctx, lifecycle.Cleanup{DeploymentID: id, ConfirmName: deref(in.ConfirmNodeName), Actor: access.FromContext(ctx).Actor()})
	}
	out.Deployment, out.Errors, err = r.after(ctx, id, err, confirming)
	return out, err
}

func (r *Resolver) reinitializeNode(ctx context.Context, in model.ReinitializeNodeInput) (*model.ReinitializeNodePayload, error) {
	id, err := named(ident.Node, in.ID)
	c := lifecycle.Reinitialize{
		NodeID: id, ConfirmName: in.ConfirmNodeName, Maintenance: deref(in.Maintenance), IdempotencyKey: deref(in.IdempotencyKey), Actor: access.FromContext(ctx).Actor(),
	}
	provider := ""
	var bad []deploy.FieldError
	if in.Spec != nil {
		var spec deploy.Spec
		if spec, bad = newSpec(in.Spec); spec.Provider != "" {
			c.Spec, provider = &spec, spec.Provider
			if len(bad) > 0 {
				bad = append(bad, spec.Check("spec.")...) // every bad field at once
			}
		}
	}
	if in.ConfirmNodeName == "" {
		bad = append(bad, deploy.FieldError{Field: "confirm", Code: deploy.CodeRequired, Message: "is required"})
	}
	if len(c.IdempotencyKey) > idempotencyKeyMax {
		bad = append(bad, deploy.FieldError{Field: "idempotency_key", Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("is longer than %d characters", idempotencyKeyMax)})
	}
	made := lifecycle.Deployed{}
	if err == nil {
		err = deploy.Invalid(bad)
	}
	if err == nil {
		made, err = r.Commands.Reinitialize(ctx, c)
	}
	path := specPath(provider)
	d, errs, err := r.after(ctx, made.DeploymentID, err, func(field string) string { return confirming(path(field)) })
	return &model.ReinitializeNodePayload{Deployment: d, Errors: errs}, err
}

func (r *Resolver) setNodeProtection(ctx context.Context, in model.SetNodeProtectionInput) (*model.SetNodeProtectionPayload, error) {
	id, err := named(ident.Node, in.ID)
	note := ""
	if err == nil {
		note, err = said("note", in.Note)
	}
	if err == nil {
		err = r.Commands.SetProtection(ctx, lifecycle.Protection{
			NodeID: id, ExpectedVersion: deref(in.ExpectedVersion), Protected: in.Protected, Note: note, Actor: access.FromContext(ctx).Actor(),
		})
	}
	n, errs, err := r.nodeAfter(ctx, id, err, same)
	return &model.SetNodeProtectionPayload{BareMetalNode: n, Errors: errs}, err
}
