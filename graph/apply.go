package graph

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
)

// Scripts are the runs of the deployment script. *apply.Service is one.
type Scripts interface {
	Host() string
	Ready(ctx context.Context) error
	Active(ctx context.Context) (*apply.Run, error)
	MarkerState(ctx context.Context) (apply.MarkerState, error)
	ClearMarker(ctx context.Context, actor deploy.Actor) (deploy.Marker, error)
	Validate(ctx context.Context, body []byte) (apply.Preview, error)
	Order(ctx context.Context, name string, document json.RawMessage) (deploy.Spec, []deploy.FieldError, error)
	Apply(ctx context.Context, in apply.Request) (apply.Applied, error)
	Cancel(ctx context.Context, c apply.Cancel) (*apply.Run, error)
	List(ctx context.Context, before int64, limit int) (runs []*apply.Run, more bool, err error)
	Read(ctx context.Context, id, offset int64, limit int) (apply.Piece, error)
	RunsByID(ctx context.Context, ids []int64) (map[int64]*apply.Run, error)
	DocumentsOfRuns(ctx context.Context, runs []int64) (map[int64][]apply.Document, error)
	DocumentsOfNodes(ctx context.Context, nodes []int64, limit int) (map[int64][]apply.Document, error)
	Latest(ctx context.Context, deployments []int64) (map[int64]apply.Document, error)
}

var (
	errNoScript  = deploy.Errorf(deploy.CodeWrongState, "no deployment script is set up on this server")
	errNoPolling = deploy.Errorf(deploy.CodeWrongState, "this server waits for no hosts")
)

// document puts the document of a host that the deployment script configures
// in its canonical form; of other specifications it says nothing.
func (r *Resolver) document(ctx context.Context, name string, spec *deploy.Spec) ([]deploy.FieldError, error) {
	if spec.Provider != deploy.ProviderScript {
		return nil, nil
	}
	if r.Scripts == nil {
		return nil, errNoScript
	}
	canonical, bad, err := r.Scripts.Order(ctx, name, spec.Document)
	if err != nil {
		return nil, err
	}
	*spec = canonical
	for i := range bad {
		bad[i].Field = "spec." + bad[i].Field
	}
	return bad, nil
}

func (r *Resolver) validateNodeConfigs(ctx context.Context, in model.ApplyNodeConfigsInput) (*model.NodeConfigsValidation, error) {
	out := &model.NodeConfigsValidation{Errors: []*model.UserError{}, Plans: []*model.NodeConfigPlan{}}
	if r.Scripts == nil {
		return out, obstacle(&out.Obstacle, errNoScript)
	}
	found, err := r.Scripts.Validate(ctx, in.Documents)
	if err != nil {
		return out, obstacle(&out.Obstacle, err)
	}
	if out.Errors, err = userErrors(deploy.Invalid(found.Errors), same); err != nil || len(out.Errors) > 0 {
		return out, err
	}
	if out.Plans, err = r.load().plans(ctx, found.Plans, selected(ctx).child("plans")); err != nil {
		return nil, err
	}
	out.Ok = found.Obstacle == nil
	return out, obstacle(&out.Obstacle, found.Obstacle)
}

// obstacle puts a refusal where a caller looks for it; everything else comes
// back.
func obstacle(to **model.UserError, err error) error {
	list, other := userErrors(err, same)
	if len(list) > 0 {
		*to = list[0]
	}
	return other
}

func (r *Resolver) applyNodeConfigs(ctx context.Context, in model.ApplyNodeConfigsInput) (*model.ApplyNodeConfigsPayload, error) {
	out := &model.ApplyNodeConfigsPayload{Plans: []*model.NodeConfigPlan{}, Deployments: []*model.Deployment{}}
	var done apply.Applied
	var err error = errNoScript
	if r.Scripts != nil {
		done, err = r.Scripts.Apply(ctx, apply.Request{Body: in.Documents, IdempotencyKey: deref(in.IdempotencyKey), Actor: access.FromContext(ctx).Actor()})
	}
	if out.Errors, err = userErrors(err, same); err != nil || done.Run == nil {
		return out, err
	}
	// A script that could not be started has left its run, and deployments that
	// say so: they are told beside the error.
	sel, l := selected(ctx), r.load()
	if out.Run, err = one(l.runs(ctx, []*apply.Run{done.Run}, sel.child("run"))); err != nil {
		return nil, err
	}
	plans, ids := make([]apply.Plan, len(done.Items)), make([]int64, len(done.Items))
	for i, item := range done.Items {
		plans[i], ids[i] = item.Plan, item.DeploymentID
	}
	if out.Plans, err = l.plans(ctx, plans, sel.child("plans")); err != nil {
		return nil, err
	}
	deployments, err := l.deploymentsByID(ctx, ids, sel.child("deployments"), nil)
	for _, id := range ids {
		if d := deployments[id]; d != nil {
			out.Deployments = append(out.Deployments, d)
		}
	}
	return out, err
}

func (r *Resolver) cancelScriptRun(ctx context.Context, in model.CancelScriptRunInput) (*model.CancelScriptRunPayload, error) {
	id, err := named(ident.Run, in.ID)
	reason := ""
	if err == nil {
		reason, err = said("reason", in.Reason)
	}
	if err == nil && r.Scripts == nil {
		err = errNoScript
	}
	var run *apply.Run
	if err == nil {
		run, err = r.Scripts.Cancel(ctx, apply.Cancel{RunID: id, Reason: reason, Force: deref(in.Force), Actor: access.FromContext(ctx).Actor()})
	}
	errs, err := userErrors(err, same)
	if err != nil || run == nil {
		return &model.CancelScriptRunPayload{Errors: errs}, err
	}
	shown, err := one(r.load().runs(ctx, []*apply.Run{run}, selected(ctx).child("run")))
	return &model.CancelScriptRunPayload{Run: shown, Errors: errs}, err
}

func (r *Resolver) clearScriptMarker(ctx context.Context) (*model.ClearScriptMarkerPayload, error) {
	out := &model.ClearScriptMarkerPayload{}
	var err error = errNoScript
	if r.Scripts != nil {
		_, err = r.Scripts.ClearMarker(ctx, access.FromContext(ctx).Actor())
	}
	if out.Errors, err = userErrors(err, same); err != nil || len(out.Errors) > 0 {
		return out, err
	}
	state, err := r.Scripts.MarkerState(ctx)
	out.Marker = markerModel(state)
	return out, err
}

func (r *Resolver) probeNow(ctx context.Context, in model.ProbeNowInput) (*model.ProbeNowPayload, error) {
	id, err := named(ident.Deployment, in.ID)
	switch {
	case err != nil:
	case r.Nudge == nil:
		err = errNoPolling
	default:
		err = r.Nudge(ctx, id, access.FromContext(ctx).Actor())
	}
	d, errs, err := r.after(ctx, id, err, same)
	return &model.ProbeNowPayload{Deployment: d, Errors: errs}, err
}

func (r *Resolver) skipPolling(ctx context.Context, in model.SkipPollingInput) (*model.SkipPollingPayload, error) {
	id, err := named(ident.Deployment, in.ID)
	reason := ""
	if err == nil {
		reason, err = said("reason", &in.Reason)
	}
	if err == nil {
		_, err = r.Commands.SkipPolling(ctx, lifecycle.SkipPolling{DeploymentID: id, Reason: reason, Actor: access.FromContext(ctx).Actor()})
	}
	d, errs, err := r.after(ctx, id, err, same)
	return &model.SkipPollingPayload{Deployment: d, Errors: errs}, err
}

func (r *Resolver) acceptHostKey(ctx context.Context, in model.AcceptHostKeyInput) (*model.AcceptHostKeyPayload, error) {
	id, err := named(ident.Node, in.NodeID)
	if err == nil {
		err = r.Commands.PinHostKey(ctx, lifecycle.PinHostKey{NodeID: id, Key: strings.TrimSpace(in.HostKey), Actor: access.FromContext(ctx).Actor()})
	}
	n, errs, err := r.nodeAfter(ctx, id, err, func(field string) string {
		if field == "id" {
			return "node_id"
		}
		return field
	})
	return &model.AcceptHostKeyPayload{BareMetalNode: n, Errors: errs}, err
}

// readRun reads one run, nil if there is none.
func (r *Resolver) readRun(ctx context.Context, id string) (*model.ScriptRun, error) {
	key, ok := ident.Of(ident.Run, id)
	if !ok {
		return nil, nil
	}
	all, err := r.load().runsByID(ctx, []int64{key}, selected(ctx))
	return all[key], err
}

// runPage reads a page of runs, the newest first. The cursor of a run is its
// database id.
func (r *Resolver) runPage(ctx context.Context, first *int, after *string) (*model.ScriptRunConnection, error) {
	limit, before := 20, int64(0)
	if first != nil {
		limit = *first
	}
	if limit < 1 || limit > apply.RunsMax {
		return nil, badArgument(deploy.CodeOutOfRange, "first", "must be 1 to %d", apply.RunsMax)
	}
	if after != nil {
		var err error
		if before, err = strconv.ParseInt(*after, 10, 64); err != nil || before < 1 {
			return nil, badArgument(deploy.CodeInvalid, "after", "is not a cursor of this list")
		}
	}
	out := &model.ScriptRunConnection{Edges: []*model.ScriptRunEdge{}, Nodes: []*model.ScriptRun{}, PageInfo: &model.PageInfo{HasPreviousPage: after != nil}}
	if r.Scripts == nil {
		return out, nil
	}
	rows, more, err := r.Scripts.List(ctx, before, limit)
	if err != nil {
		return nil, err
	}
	if out.Nodes, err = r.load().runs(ctx, rows, selected(ctx).items()); err != nil {
		return nil, err
	}
	out.PageInfo.HasNextPage = more
	for i, one := range out.Nodes {
		out.Edges = append(out.Edges, &model.ScriptRunEdge{Cursor: strconv.FormatInt(rows[i].ID, 10), Node: one})
	}
	if n := len(out.Edges); n > 0 {
		out.PageInfo.StartCursor, out.PageInfo.EndCursor = &out.Edges[0].Cursor, &out.Edges[n-1].Cursor
	}
	return out, nil
}

// scriptHost tells how the host of the deployment script stands; nil if this
// server runs none. Only what is selected is looked at: the marker and what is
// in the way are read from the host's disk.
func (r *Resolver) scriptHost(ctx context.Context) (*model.ScriptHost, error) {
	if r.Scripts == nil || r.Scripts.Host() == "" {
		return nil, nil
	}
	sel := selected(ctx)
	out := &model.ScriptHost{Name: r.Scripts.Host()}
	if sel.has("activeRun") {
		active, err := r.Scripts.Active(ctx)
		if err != nil {
			return nil, err
		}
		if active != nil {
			if out.ActiveRun, err = one(r.load().runs(ctx, []*apply.Run{active}, sel.child("activeRun"))); err != nil {
				return nil, err
			}
		}
	}
	if sel.has("obstacle") {
		if err := obstacle(&out.Obstacle, r.Scripts.Ready(ctx)); err != nil {
			return nil, err
		}
	}
	if sel.has("marker") {
		state, err := r.Scripts.MarkerState(ctx)
		if err != nil {
			return nil, err
		}
		out.Marker = markerModel(state)
	}
	return out, nil
}
