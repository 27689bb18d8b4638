package graph

import (
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/bulk"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
	"github.com/slipwayhq/slipway/graph/wstransport"
)

// Bulk asks one verb of many deployments. *bulk.Service is one.
type Bulk interface {
	Preview(ctx context.Context, action string, c query.Choice) (bulk.Preview, error)
	Start(ctx context.Context, r bulk.Request) (*bulk.Operation, error)
	Cancel(ctx context.Context, id int64, actor deploy.Actor) (*bulk.Operation, error)
	Get(ctx context.Context, id int64) (*bulk.Operation, error)
	List(ctx context.Context, before int64, limit int) (list []*bulk.Operation, more bool, err error)
	Items(ctx context.Context, id int64, states []string, after, limit int) (list []bulk.Item, more bool, err error)
}

var errNoBulk = deploy.Errorf(deploy.CodeWrongState, "this server takes no bulk operations")

// choice reads which deployments are meant. An id that names no deployment
// chooses none: the number will not be the one that was expected.
func choice(list []string, filter *model.DeploymentFilter, nodes *model.BareMetalNodeFilter) (c query.Choice, err error) {
	if list != nil {
		c.IDs = []int64{}
		if len(list) > bulk.Most {
			return c, badArgument(deploy.CodeOutOfRange, "ids", "has more than %d entries", bulk.Most)
		}
		for _, s := range list {
			if id, ok := ident.Of(ident.Deployment, s); ok {
				c.IDs = append(c.IDs, id)
			}
		}
	}
	if filter != nil {
		f, err := deploymentFilter(filter)
		if err != nil {
			return c, err
		}
		c.Deployments = &f
	}
	if nodes != nil {
		f, err := nodeFilter(nodes)
		if err != nil {
			return c, err
		}
		c.Nodes = &f
	}
	return c, nil
}

func (r *Resolver) bulkPreview(ctx context.Context, in model.BulkSelectionInput) (*model.BulkPreview, error) {
	out := &model.BulkPreview{LeftOut: []*model.BulkLeftOut{}}
	var found bulk.Preview
	c, err := choice(in.Ids, in.Filter, in.NodeFilter)
	switch {
	case err != nil:
	case r.Bulk == nil:
		err = errNoBulk
	default:
		found, err = r.Bulk.Preview(ctx, strings.ToLower(string(in.Action)), c)
	}
	if out.Errors, err = userErrors(err, same); err != nil || len(out.Errors) > 0 {
		return out, err
	}
	out.Chosen, out.Matched, out.Confirmation = found.Chosen, found.Matched, text(found.Confirmation)
	for _, why := range model.AllBulkLeftOutReason {
		if n := found.LeftOut[strings.ToLower(string(why))]; n > 0 {
			out.LeftOut = append(out.LeftOut, &model.BulkLeftOut{Reason: why, Count: n})
		}
	}
	return out, nil
}

func (r *Resolver) bulkDeploymentAction(ctx context.Context, in model.BulkDeploymentActionInput) (*model.BulkDeploymentActionPayload, error) {
	out := &model.BulkDeploymentActionPayload{}
	var made *bulk.Operation
	q, err := bulkRequest(ctx, in)
	switch {
	case err != nil:
	case r.Bulk == nil:
		err = errNoBulk
	default:
		made, err = r.Bulk.Start(ctx, q)
	}
	if out.Errors, err = userErrors(err, same); err != nil || made == nil {
		return out, err
	}
	out.Operation, out.Matched = bulkModel(made), made.Total
	return out, nil
}

func bulkRequest(ctx context.Context, in model.BulkDeploymentActionInput) (q bulk.Request, err error) {
	q = bulk.Request{
		Action: strings.ToLower(string(in.Action)), Immediate: deref(in.Mode) == model.CancelModeImmediate, Expected: in.ExpectedCount, Confirm: deref(in.Confirm),
		StopAfterFailures: in.StopAfterFailures, IdempotencyKey: deref(in.IdempotencyKey), Actor: access.FromContext(ctx).Actor(),
	}
	if in.MaxParallel != nil {
		if q.MaxParallel = *in.MaxParallel; q.MaxParallel == 0 {
			q.MaxParallel = -1 // none is not the default
		}
	}
	if q.Reason, err = said("reason", in.Reason); err != nil {
		return q, err
	}
	if q.Choice, err = choice(in.Ids, in.Filter, in.NodeFilter); err != nil {
		return q, err
	}
	selection := map[string]any{}
	if in.Filter != nil {
		selection["filter"] = in.Filter
	}
	if in.NodeFilter != nil {
		selection["nodeFilter"] = in.NodeFilter
	}
	if len(selection) > 0 {
		q.Selection, err = json.Marshal(selection)
	}
	return q, err
}

func (r *Resolver) cancelBulkOperation(ctx context.Context, in model.CancelBulkOperationInput) (*model.CancelBulkOperationPayload, error) {
	var o *bulk.Operation
	id, err := named(ident.Bulk, in.ID)
	switch {
	case err != nil:
	case r.Bulk == nil:
		err = errNoBulk
	default:
		o, err = r.Bulk.Cancel(ctx, id, access.FromContext(ctx).Actor())
	}
	errs, err := userErrors(err, same)
	out := &model.CancelBulkOperationPayload{Errors: errs}
	if o != nil {
		out.Operation = bulkModel(o)
	}
	return out, err
}

// readBulk reads a bulk operation, nil if there is none.
func (r *Resolver) readBulk(ctx context.Context, id string) (*model.BulkOperation, error) {
	key, ok := ident.Of(ident.Bulk, id)
	if !ok || r.Bulk == nil {
		return nil, nil
	}
	o, err := r.Bulk.Get(ctx, key)
	switch {
	case deploy.HasCode(err, deploy.CodeNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return bulkModel(o), nil
}

// bulkPlace reads a cursor of operations or items: the id or number that the
// page before ended with.
func bulkPlace(first *int, after *string) (limit int, place int64, err error) {
	limit = deref(first)
	if limit < 1 || limit > bulk.PageMax {
		return 0, 0, badArgument(deploy.CodeOutOfRange, "first", "must be 1 to %d", bulk.PageMax)
	}
	if after != nil {
		if place, err = strconv.ParseInt(*after, 10, 64); err != nil || place < 1 {
			return 0, 0, badArgument(deploy.CodeInvalid, "after", "is not a cursor of this list")
		}
	}
	return limit, place, nil
}

func (r *Resolver) bulkOperations(ctx context.Context, first *int, after *string) (*model.BulkOperationConnection, error) {
	limit, before, err := bulkPlace(first, after)
	if err != nil {
		return nil, err
	}
	out := &model.BulkOperationConnection{Edges: []*model.BulkOperationEdge{}, Nodes: []*model.BulkOperation{}, PageInfo: &model.PageInfo{HasPreviousPage: after != nil}}
	if r.Bulk == nil {
		return out, nil
	}
	list, more, err := r.Bulk.List(ctx, before, limit)
	if err != nil {
		return nil, err
	}
	for _, o := range list {
		m := bulkModel(o)
		out.Nodes = append(out.Nodes, m)
		out.Edges = append(out.Edges, &model.BulkOperationEdge{Cursor: strconv.FormatInt(o.ID, 10), Node: m})
	}
	out.PageInfo.HasNextPage = more
	if n := len(out.Edges); n > 0 {
		out.PageInfo.StartCursor, out.PageInfo.EndCursor = &out.Edges[0].Cursor, &out.Edges[n-1].Cursor
	}
	return out, nil
}

func (r *Resolver) bulkItems(ctx context.Context, id int64, first *int, after *string, states []model.BulkItemState) (*model.BulkItemConnection, error) {
	limit, place, err := bulkPlace(first, after)
	if err != nil {
		return nil, err
	}
	if len(states) > maxList {
		return nil, badArgument(deploy.CodeOutOfRange, "states", "has more than %d entries", maxList)
	}
	list, more, err := r.Bulk.Items(ctx, id, lower(states), int(min(place, bulk.Most)), limit)
	if err != nil {
		return nil, err
	}
	out := &model.BulkItemConnection{Edges: []*model.BulkItemEdge{}, PageInfo: &model.PageInfo{HasNextPage: more, HasPreviousPage: after != nil}}
	if out.Nodes, err = r.load().bulkItems(ctx, list, selected(ctx).items()); err != nil {
		return nil, err
	}
	for _, m := range out.Nodes {
		out.Edges = append(out.Edges, &model.BulkItemEdge{Cursor: strconv.Itoa(m.Number), Node: m})
	}
	if n := len(out.Edges); n > 0 {
		out.PageInfo.StartCursor, out.PageInfo.EndCursor = &out.Edges[0].Cursor, &out.Edges[n-1].Cursor
	}
	return out, nil
}

// bulkItems loads what is selected of items, for all of them at once.
func (l loader) bulkItems(ctx context.Context, list []bulk.Item, sel selection) ([]*model.BulkItem, error) {
	var of, made, nodeIDs []int64
	for _, i := range list {
		of = append(of, i.DeploymentID)
		nodeIDs = append(nodeIDs, i.NodeID)
		if i.ResultID != 0 && i.ResultID != i.DeploymentID {
			made = append(made, i.ResultID)
		}
	}
	var nodes map[int64]*model.BareMetalNode
	var deployments, anew map[int64]*model.Deployment
	var err error
	if sel.has("bareMetalNode") {
		if nodes, err = l.nodesByID(ctx, nodeIDs, sel.child("bareMetalNode")); err != nil {
			return nil, err
		}
	}
	if sel.has("deployment") {
		if deployments, err = l.deploymentsByID(ctx, of, sel.child("deployment"), nil); err != nil {
			return nil, err
		}
	}
	if sel.has("newDeployment") {
		if anew, err = l.deploymentsByID(ctx, made, sel.child("newDeployment"), nil); err != nil {
			return nil, err
		}
	}
	out := make([]*model.BulkItem, len(list))
	for n, i := range list {
		out[n] = &model.BulkItem{
			Number: i.Number, BareMetalNode: nodes[i.NodeID], Deployment: deployments[i.DeploymentID], State: model.BulkItemState(strings.ToUpper(i.State)),
			Code: text(i.Code), Message: text(i.Message), StartedAt: i.StartedAt, FinishedAt: i.FinishedAt,
		}
		if i.ResultID != i.DeploymentID {
			out[n].NewDeployment = anew[i.ResultID]
		}
	}
	return out, nil
}

func bulkModel(o *bulk.Operation) *model.BulkOperation {
	out := &model.BulkOperation{
		ID: ident.Format(ident.Bulk, o.ID), Key: o.ID, Action: model.DeploymentAction(strings.ToUpper(o.Action)), Reason: text(o.Reason), Selection: o.Selection,
		State: model.BulkState(strings.ToUpper(o.State)), Total: o.Total, Counts: []*model.BulkItemCount{}, MaxParallel: o.MaxParallel, StopAfterFailures: o.StopAfterFailures,
		RequestedBy: actorModel(string(o.RequestedBy.Kind), o.RequestedBy.Name), CanceledBy: text(o.CanceledBy),
		CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, FinishedAt: o.FinishedAt, Version: o.Version,
	}
	if out.Action == model.DeploymentActionCancel {
		mode := model.CancelModeAfterCurrentPhase
		if o.Immediate {
			mode = model.CancelModeImmediate
		}
		out.Mode = &mode
	}
	for _, state := range model.AllBulkItemState {
		if n := o.Counts[strings.ToLower(string(state))]; n > 0 {
			out.Counts = append(out.Counts, &model.BulkItemCount{State: state, Count: n})
		}
	}
	return out
}

// streamBulk is the subscription bulkOperationChanges.
func (r *Resolver) streamBulk(ctx context.Context, id string, beat time.Duration) (<-chan *model.BulkOperationMessage, error) {
	key, err := named(ident.Bulk, id)
	if err != nil {
		return nil, err
	}
	if r.Bulk == nil {
		return nil, errNoBulk
	}
	now, err := r.Bulk.Get(ctx, key)
	if err != nil {
		return nil, err // what is wrong with the request is told as such
	}
	return open(ctx, r.Logger, func(s *stream[*model.BulkOperationMessage]) error { return r.followBulk(s, now, beat) }), nil
}

// followBulk sends an operation whenever it has changed, until it is over.
func (r *Resolver) followBulk(s *stream[*model.BulkOperationMessage], now *bulk.Operation, beat time.Duration) error {
	look := time.NewTicker(r.BulkEvery)
	defer look.Stop()
	var told time.Time
	version := 0
	for {
		if now.Version != version || time.Since(told) >= beat {
			if err := s.send(&model.BulkOperationMessage{Operation: bulkModel(now), At: r.Fleet.Now()}, wstransport.Mark{}); err != nil {
				return err
			}
			version, told = now.Version, time.Now()
		}
		if now.Over() {
			return io.EOF
		}
		select {
		case <-look.C:
		case <-s.ctx.Done():
			return errGone
		}
		err := s.until(func() (err error) {
			now, err = r.Bulk.Get(s.ctx, now.ID)
			return err
		})
		if err != nil {
			return err
		}
	}
}
