package graph

import (
	"context"
	"fmt"
	"slices"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
)

// badArgument is a wrong argument of a query: a request error.
func badArgument(code deploy.Code, field, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return &deploy.Error{Code: code, Message: field + " " + text, Fields: []deploy.FieldError{{Field: field, Code: code, Message: text}}}
}

// maxList bounds every list of ids, names or keys in an argument.
const maxList = query.MaxPage

// page reads the four arguments of a connection.
func page(first *int, after *string, last *int, before *string) (query.Page, error) {
	p := query.Page{Limit: query.DefaultPage, After: deref(after), Before: deref(before)}
	size, name := first, "first"
	switch {
	case first != nil && last != nil:
		return p, badArgument(deploy.CodeInvalid, "last", "cannot be given together with first")
	case last != nil:
		size, name, p.Backward = last, "last", true
	}
	if size != nil {
		if *size < 1 || *size > query.MaxPage {
			return p, badArgument(deploy.CodeOutOfRange, name, "must be 1 to %d", query.MaxPage)
		}
		p.Limit = *size
	}
	return p, nil
}

func pageInfo[T any](s query.Slice[T]) *model.PageInfo {
	info := &model.PageInfo{HasNextPage: s.HasNext, HasPreviousPage: s.HasPrev}
	if n := len(s.Cursors); n > 0 {
		info.StartCursor, info.EndCursor = &s.Cursors[0], &s.Cursors[n-1]
	}
	return info
}

// ids reads global ids of one kind. An id of another kind, or none at all, can
// match nothing and is left out; nil stays nil.
func ids(k ident.Kind, list []string) ([]int64, error) {
	if list == nil {
		return nil, nil
	}
	if len(list) > maxList {
		return nil, badArgument(deploy.CodeOutOfRange, "filter", "has more than %d ids", maxList)
	}
	out := []int64{}
	for _, s := range list {
		if id, ok := ident.Of(k, s); ok {
			out = append(out, id)
		}
	}
	return out, nil
}

func nodeFilter(in *model.BareMetalNodeFilter) (query.NodeFilter, error) {
	if in == nil {
		return query.NodeFilter{}, nil
	}
	for _, n := range []int{len(in.States), len(in.Phases), len(in.ClusterNames), len(in.ServerProfiles), len(in.Labels), len(in.FailurePhases), len(in.FailureCodes), len(in.Groups)} {
		if n > maxList {
			return query.NodeFilter{}, badArgument(deploy.CodeOutOfRange, "filter", "has a list of more than %d entries", maxList)
		}
	}
	if len(deref(in.Text)) > 200 {
		return query.NodeFilter{}, badArgument(deploy.CodeOutOfRange, "filter.text", "is longer than 200 characters")
	}
	f := query.NodeFilter{
		Text: deref(in.Text), States: lower(in.States), Phases: phaseKeys(in.Phases),
		ClusterNames: in.ClusterNames, ServerProfiles: in.ServerProfiles, Stale: in.Stale, Late: in.Late,
		FailurePhases: phaseKeys(in.FailurePhases), FailureCodes: in.FailureCodes,
		Groups: lower(in.Groups), Stalled: in.Stalled,
	}
	labels, bad := labelMap("filter.labels", in.Labels)
	if err := deploy.Invalid(bad); err != nil {
		return f, err
	}
	f.Labels = labels
	return f, nil
}

func deploymentFilter(in *model.DeploymentFilter) (query.DeploymentFilter, error) {
	if in == nil {
		return query.DeploymentFilter{}, nil
	}
	f := query.DeploymentFilter{States: lower(in.States), Phases: phaseKeys(in.Phases), CreatedAfter: in.CreatedAfter, CreatedBefore: in.CreatedBefore}
	var err error
	if f.NodeIDs, err = ids(ident.Node, in.NodeIds); err != nil {
		return f, err
	}
	if in.BatchID != nil {
		id, _ := ident.Of(ident.Batch, *in.BatchID) // 0 matches none
		f.BatchID = &id
	}
	return f, nil
}

// nobody is an id that no row has: a filter for ids that cannot exist matches
// nothing, not everything.
const nobody = -1

func eventFilter(in *model.DeploymentEventFilter) (feed.Filter, error) {
	if in == nil {
		return feed.Filter{}, nil
	}
	f := feed.Filter{Phases: phaseKeys(in.Phases), Statuses: statusKeys(in.Statuses), Sources: lower(in.Sources), IncludeRefused: deref(in.IncludeRefused)}
	var err error
	if f.DeploymentIDs, err = ids(ident.Deployment, in.DeploymentIds); err != nil {
		return f, err
	}
	if f.NodeIDs, err = ids(ident.Node, in.NodeIds); err != nil {
		return f, err
	}
	if in.DeploymentIds != nil && len(f.DeploymentIDs) == 0 {
		f.DeploymentIDs = []int64{nobody}
	}
	if in.NodeIds != nil && len(f.NodeIDs) == 0 {
		f.NodeIDs = []int64{nobody}
	}
	if in.BatchID != nil {
		if f.BatchID, _ = ident.Of(ident.Batch, *in.BatchID); f.BatchID == 0 {
			f.BatchID = nobody
		}
	}
	return f, nil
}

// eventFilter is the function of this name, and looks up the nodes of a cluster.
func (r *Resolver) eventFilter(ctx context.Context, in *model.DeploymentEventFilter) (feed.Filter, error) {
	f, err := eventFilter(in)
	if err != nil || in == nil || in.ClusterID == nil {
		return f, err
	}
	var nodes []int64
	if id, ok := ident.Of(ident.Cluster, *in.ClusterID); ok && r.Clusters != nil {
		if nodes, err = r.Clusters.NodesOf(ctx, id); err != nil {
			return f, err
		}
	}
	if len(f.NodeIDs) > 0 {
		nodes = slices.DeleteFunc(nodes, func(id int64) bool { return !slices.Contains(f.NodeIDs, id) })
	}
	if f.NodeIDs = nodes; len(nodes) == 0 {
		f.NodeIDs = []int64{nobody}
	}
	return f, nil
}

// labelMap reads labels; a key that comes twice is an error.
func labelMap(field string, in []*model.LabelInput) (map[string]string, []deploy.FieldError) {
	if in == nil {
		return nil, nil
	}
	out := make(map[string]string, len(in))
	var bad []deploy.FieldError
	for i, l := range in {
		if _, twice := out[l.Key]; twice {
			bad = append(bad, deploy.FieldError{Field: fmt.Sprintf("%s.%d.key", field, i), Code: deploy.CodeInvalid, Message: "comes twice"})
		}
		out[l.Key] = l.Value
	}
	return out, bad
}

// nodeBy reads which machine is meant. Variables are not checked for @oneOf by
// the validator, so it is done here.
func nodeBy(field string, in *model.BareMetalNodeBy) (query.NodeBy, []deploy.FieldError) {
	given := 0
	for _, p := range []*string{in.ID, in.Name, in.ManagementIP} {
		if p != nil {
			given++
		}
	}
	if given != 1 {
		return query.NodeBy{}, []deploy.FieldError{{Field: field, Code: deploy.CodeInvalid, Message: "must have exactly one of id, name and managementIp"}}
	}
	by := query.NodeBy{Name: deref(in.Name), ManagementIP: deref(in.ManagementIP)}
	if in.ID != nil {
		if id, ok := ident.Of(ident.Node, *in.ID); ok {
			by.ID = id
		} else {
			by.ID = nobody
		}
	}
	return by, nil
}

// position reads a cursor of the stream as a bound of a list of events.
func (r *Resolver) position(field string, cursor *string) (int64, error) {
	if cursor == nil {
		return 0, nil
	}
	c, err := feed.ParseCursor(*cursor)
	if err != nil || c.Epoch != r.Feed.Head().Epoch {
		return 0, badArgument(deploy.CodeInvalid, field, "is not a cursor of this server's events")
	}
	return c.Position, nil
}

// streamStart reads the `after` of a stream. A cursor of another server is the
// stream's to tell; what is no cursor at all is an error.
func streamStart(after *string) (*feed.Cursor, error) {
	if after == nil {
		return nil, nil
	}
	c, err := feed.ParseCursor(*after)
	if err != nil {
		return nil, badArgument(deploy.CodeInvalid, "after", "is not a cursor of a stream")
	}
	return &c, nil
}
