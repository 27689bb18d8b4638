package graph

import (
	"context"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
)

// Operations are what needs a provider beside the database.
// *operation.Service is one.
type Operations interface {
	Plan(ctx context.Context, name string, spec deploy.Spec) (operation.Plan, error)
	CleanupPlan(ctx context.Context, deploymentID int64) ([]deploy.ReleaseStep, error)
	Offer(ctx context.Context, provider string) (deploy.Offer, error)
	Audit(ctx context.Context, provider string) ([]deploy.Drift, error)
	RemoveOrphan(ctx context.Context, provider string, o operation.Orphan, actor deploy.Actor) (operation.Removal, error)
	Examine(ctx context.Context, provider, server string) (deploy.Adopted, error)
	Adopt(ctx context.Context, a operation.Adoption) (lifecycle.Deployed, deploy.Adopted, error)
	Console(ctx context.Context, nodeID int64, kind string, force bool, actor deploy.Actor) (deploy.Console, error)
	Artifacts(ctx context.Context) ([]operation.Stored, error)
}

// operations are those of the server, or of one that has no provider at all.
func (r *Resolver) operations() Operations {
	if r.Operations == nil {
		return unequipped{}
	}
	return r.Operations
}

func (r *Resolver) validateDeployment(ctx context.Context, in model.DeployNodeInput) (*model.DeploymentValidation, error) {
	order, bad, err := r.newDeployment(ctx, &in)
	if err != nil {
		return nil, err
	}
	provider := order.Spec.Provider
	if provider != "" {
		bad = append(bad, order.Check("")...)
	}
	path := specPath(provider)
	errs, err := userErrors(deploy.Invalid(bad), path)
	if err != nil {
		return nil, err
	}
	out := &model.DeploymentValidation{Errors: errs, Checks: []*model.ValidationCheck{}}
	if provider == "" { // there is nothing to look at
		return out, nil
	}
	plan, err := r.operations().Plan(ctx, order.Name, order.Spec)
	if err != nil {
		return nil, err
	}
	out.Ok, out.Ahead = plan.OK && len(errs) == 0, plan.Ahead
	if plan.Estimated > 0 {
		out.EstimatedDuration = &plan.Estimated
	}
	for _, c := range plan.Checks {
		if c.Field == "spec.document" && hasDocumentErrors(bad) { // the rules were gone through before
			c.Passed, c.Message, c.Hint = false, "the node's document has errors", ""
		}
		out.Checks = append(out.Checks, &model.ValidationCheck{
			Key: c.Key, Label: c.Label, Severity: model.CheckSeverity(strings.ToUpper(string(c.Severity))), Passed: c.Passed,
			Message: c.Message, Hint: text(c.Hint), Field: fieldPath(path(c.Field)),
		})
	}
	return out, nil
}

// hasDocumentErrors tells whether a document of a host is among what is wrong.
func hasDocumentErrors(bad []deploy.FieldError) bool {
	return slices.ContainsFunc(bad, func(f deploy.FieldError) bool {
		return f.Field == "spec.document" || strings.HasPrefix(f.Field, "spec.document.")
	})
}

func (r *Resolver) providerOffer(ctx context.Context, provider model.Provider) (*model.ProviderOffer, error) {
	o, err := r.operations().Offer(ctx, strings.ToLower(string(provider)))
	if err != nil {
		return nil, err
	}
	out := &model.ProviderOffer{
		Region: o.Region, Zones: o.Zones, Profiles: []*model.OfferProfile{}, Subnets: []*model.OfferSubnet{}, SecurityGroups: offerItems(o.SecurityGroups),
		SSHKeys: offerItems(o.SSHKeys), Images: offerItems(o.Images), DNSZones: offerItems(o.DNSZones), Servers: o.Servers, AsOf: o.AsOf,
	}
	if o.Zones == nil {
		out.Zones = []string{}
	}
	if o.Quota > 0 {
		out.Quota = &o.Quota
	}
	for _, p := range o.Profiles {
		out.Profiles = append(out.Profiles, &model.OfferProfile{
			Name: p.Name, Family: text(p.Family), Cpus: p.CPUs, MemoryGib: p.MemoryGiB, DataDisks: p.DataDisks, DataDiskGb: int(p.DataDiskGB), Usable: p.Usable, Why: text(p.Why),
		})
	}
	for _, s := range o.Subnets {
		out.Subnets = append(out.Subnets, &model.OfferSubnet{ID: s.ID, Name: s.Name, Zone: s.Zone, Cidr: s.CIDR, AvailableAddresses: int(s.Available)})
	}
	return out, nil
}

func offerItems(list []deploy.OfferNamed) []*model.OfferItem {
	out := make([]*model.OfferItem, len(list))
	for i, n := range list {
		out[i] = &model.OfferItem{ID: n.ID, Name: n.Name, Status: text(n.Status), Default: n.Default}
	}
	return out
}

func (r *Resolver) driftReport(ctx context.Context, provider model.Provider) ([]*model.Drift, error) {
	list, err := r.operations().Audit(ctx, strings.ToLower(string(provider)))
	if err != nil {
		return nil, err
	}
	return r.drifts(ctx, list, selected(ctx))
}

func (r *Resolver) drifts(ctx context.Context, list []deploy.Drift, sel selection) ([]*model.Drift, error) {
	out := make([]*model.Drift, len(list))
	var of []int64
	for i, d := range list {
		out[i] = &model.Drift{
			Problem: model.DriftProblem(strings.ToUpper(d.Problem)), Kind: d.Kind, Name: d.Name, CloudID: text(d.CloudID), Zone: text(d.Zone),
			Status: text(d.Status), CreatedAt: d.CreatedAt, Message: d.Message,
		}
		if d.ResourceID != 0 {
			id := resourceID(d.ResourceID)
			out[i].ResourceID = &id
		}
		of = append(of, d.NodeID)
	}
	if !sel.has("bareMetalNode") {
		return out, nil
	}
	l := r.load()
	for start := 0; start < len(of); start += maxList {
		end := min(start+maxList, len(of))
		ids := slices.DeleteFunc(slices.Clone(of[start:end]), func(id int64) bool { return id == 0 })
		nodes, err := l.nodesByID(ctx, ids, sel.child("bareMetalNode"))
		if err != nil {
			return nil, err
		}
		for i := start; i < end; i++ {
			out[i].BareMetalNode = nodes[of[i]]
		}
	}
	return out, nil
}

// nodeAfter gives a node as it is after a command, or the command's errors.
func (r *Resolver) nodeAfter(ctx context.Context, id int64, err error, rename func(string) string) (*model.BareMetalNode, []*model.UserError, error) {
	errs, err := userErrors(err, rename)
	if err != nil || len(errs) > 0 {
		return nil, errs, err
	}
	n, err := r.readNode(ctx, query.NodeBy{ID: id}, selected(ctx).child("bareMetalNode"))
	return n, errs, err
}

func (r *Resolver) adoptServer(ctx context.Context, in model.AdoptServerInput) (*model.AdoptServerPayload, error) {
	out := &model.AdoptServerPayload{}
	provider := strings.ToLower(string(in.Provider))
	labels, bad := labelMap("labels", in.Labels)
	if len(deref(in.ClusterName)) > 63 {
		bad = append(bad, deploy.FieldError{Field: "cluster_name", Code: deploy.CodeOutOfRange, Message: "is longer than 63 characters"})
	}
	err := deploy.Invalid(bad)
	var made lifecycle.Deployed
	var found deploy.Adopted
	switch {
	case err != nil:
	case deref(in.DryRun):
		found, err = r.operations().Examine(ctx, provider, in.Server)
	default:
		made, found, err = r.operations().Adopt(ctx, operation.Adoption{
			Provider: provider, Server: in.Server, Name: in.Name, ClusterName: deref(in.ClusterName), Labels: labels, Actor: access.FromContext(ctx).Actor(),
		})
	}
	if err == nil {
		out.Found = foundModel(found)
	}
	out.BareMetalNode, out.Errors, err = r.nodeAfter(ctx, made.NodeID, err, same)
	return out, err
}

func foundModel(a deploy.Adopted) *model.FoundServer {
	out := &model.FoundServer{
		ServerID: a.ServerID, Name: a.Name, ServerStatus: text(a.ServerStatus), ServerProfile: a.Profile, Zone: text(a.Zone),
		ManagementIP: text(a.ManagementIP), MacAddresses: a.MACs, Resources: []*model.FoundResource{},
	}
	if out.MacAddresses == nil {
		out.MacAddresses = []string{}
	}
	for _, r := range a.Resources {
		out.Resources = append(out.Resources, &model.FoundResource{Kind: r.Kind, Role: text(r.Role), Name: r.Name, CloudID: r.CloudID})
	}
	return out
}

func (r *Resolver) removeOrphan(ctx context.Context, in model.RemoveOrphanInput) (*model.RemoveOrphanPayload, error) {
	done, err := r.operations().RemoveOrphan(ctx, strings.ToLower(string(in.Provider)),
		operation.Orphan{Kind: in.Kind, CloudID: deref(in.CloudID), Name: deref(in.Name)}, access.FromContext(ctx).Actor())
	errs, err := userErrors(err, same)
	if err != nil || len(errs) > 0 {
		return &model.RemoveOrphanPayload{Errors: errs}, err
	}
	drift, err := r.drifts(ctx, []deploy.Drift{done.Drift}, selected(ctx).child("orphan"))
	if err != nil {
		return nil, err
	}
	return &model.RemoveOrphanPayload{Orphan: drift[0], Done: done.Done, Message: text(done.Message), Errors: errs}, nil
}

func (r *Resolver) openConsole(ctx context.Context, in model.OpenConsoleInput) (*model.OpenConsolePayload, error) {
	var c deploy.Console
	id, err := named(ident.Node, in.ID)
	if err == nil {
		c, err = r.operations().Console(ctx, id, strings.ToLower(string(in.Type)), deref(in.Force), access.FromContext(ctx).Actor())
	}
	errs, err := userErrors(err, same)
	if err != nil || len(errs) > 0 {
		return &model.OpenConsolePayload{Errors: errs}, err
	}
	return &model.OpenConsolePayload{Errors: errs, Console: &model.ConsoleAccess{
		URL: c.URL, Type: model.ConsoleType(strings.ToUpper(c.Type)), ExpiresAt: c.ExpiresAt, Forced: c.Force,
	}}, nil
}
