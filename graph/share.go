package graph

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/graph/wstransport"
)

// beginnings are the streams whose messages depend on the arguments and the
// place in the stream only, with how they begin without a cursor.
var beginnings = map[string]wstransport.Begin{
	"deploymentEvents": wstransport.BeginNow,
	"fleetChanges":     wstransport.BeginSnapshot,
}

// pieces are the parts of replays, in positions of the stream. What changed
// in the fleet is told shortest as one.
var pieces = map[string]int64{"deploymentEvents": 32}

// share plans how a subscription is executed once for all who ask the same:
// the same document, operation and variables, the cursor apart, with the same
// role. Nothing else of the caller is read below a subscription; what would
// read more is executed for each caller (see personal).
func (r *Resolver) share(ctx context.Context, op *graphql.OperationContext) *wstransport.Plan {
	p := access.FromContext(ctx)
	f := onlyField(op.Operation)
	if f == nil || p == nil || personal(f.SelectionSet) || len(op.Operation.Directives) > 0 || len(f.Directives) > 0 {
		return nil
	}
	begin, ok := beginnings[f.Name]
	if !ok {
		return nil
	}
	plan := &wstransport.Plan{Begin: begin, Head: r.head, Piece: pieces[f.Name], Context: scope(p.Role)}
	variables := op.Variables
	if a := f.Arguments.ForName("after"); a != nil && a.Value != nil && a.Value.Kind != ast.NullValue {
		if a.Value.Kind != ast.Variable || uses(op.Operation, a.Value.Raw) != 1 {
			return nil // the cursor is part of the document, or serves something else too
		}
		variables = without(op.Variables, a.Value.Raw)
		if after, ok := cursorText(op.Variables[a.Value.Raw]); ok {
			plan.Begin = wstransport.BeginReplay
			// Of a cursor that is none of ours the stream tells itself.
			if c, err := feed.ParseCursor(after); err == nil && c.Epoch == r.Feed.Head().Epoch {
				plan.Position = c.Position
			}
		}
	}
	if ofCluster(f, op.Variables) {
		return nil // who belongs to it is looked up when the stream begins
	}
	key, err := json.Marshal([]any{p.Role, op.OperationName, variables, op.RawQuery})
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(key)
	plan.Key = string(sum[:])
	return plan
}

// ofCluster tells whether a stream of events is filtered by a cluster.
func ofCluster(f *ast.Field, variables map[string]any) bool {
	if variables == nil {
		variables = map[string]any{}
	}
	filter, _ := f.ArgumentMap(variables)["filter"].(map[string]any)
	return filter["clusterId"] != nil
}

func (r *Resolver) head() int64 { return r.Feed.Head().Position }

// scope makes contexts for what is executed for everybody with a role. Each has
// a request id of its own, by which the log finds what went wrong.
func scope(role access.Role) func() context.Context {
	return func() context.Context {
		ctx := context.WithValue(context.Background(), requestIDKey{}, "shared-"+rand.Text())
		return access.NewContext(ctx, &access.Principal{Kind: access.KindToken, Role: role, Name: "shared"})
	}
}

// onlyField is the operation's root field, nil if it is no plain subscription.
func onlyField(op *ast.OperationDefinition) *ast.Field {
	if op == nil || op.Operation != ast.Subscription || len(op.SelectionSet) != 1 {
		return nil
	}
	f, _ := op.SelectionSet[0].(*ast.Field)
	return f
}

// personal tells whether a selection has anything that may differ from caller
// to caller: fields that ask for a role of their own, the caller as such, and
// directives other than those that only look at variables.
func personal(set ast.SelectionSet) bool {
	foreign := func(list ast.DirectiveList) bool {
		for _, d := range list {
			if d.Name != "skip" && d.Name != "include" {
				return true
			}
		}
		return false
	}
	for _, one := range set {
		switch x := one.(type) {
		case *ast.Field:
			if foreign(x.Directives) || personal(x.SelectionSet) {
				return true
			}
			if d := x.Definition; d != nil && (d.Directives.ForName("hasRole") != nil || d.Type.Name() == "Viewer") {
				return true
			}
		case *ast.InlineFragment:
			if foreign(x.Directives) || personal(x.SelectionSet) {
				return true
			}
		case *ast.FragmentSpread:
			if foreign(x.Directives) || x.Definition == nil || personal(x.Definition.SelectionSet) {
				return true
			}
		}
	}
	return false
}

// uses counts where an operation uses a variable, fragments included as often
// as they are spread.
func uses(op *ast.OperationDefinition, variable string) int {
	n := 0
	var value func(v *ast.Value)
	value = func(v *ast.Value) {
		if v == nil {
			return
		}
		if v.Kind == ast.Variable && v.Raw == variable {
			n++
		}
		for _, c := range v.Children {
			value(c.Value)
		}
	}
	arguments := func(list ast.ArgumentList) {
		for _, a := range list {
			value(a.Value)
		}
	}
	directives := func(list ast.DirectiveList) {
		for _, d := range list {
			arguments(d.Arguments)
		}
	}
	var walk func(set ast.SelectionSet)
	walk = func(set ast.SelectionSet) {
		for _, one := range set {
			switch x := one.(type) {
			case *ast.Field:
				arguments(x.Arguments)
				directives(x.Directives)
				walk(x.SelectionSet)
			case *ast.InlineFragment:
				directives(x.Directives)
				walk(x.SelectionSet)
			case *ast.FragmentSpread:
				directives(x.Directives)
				if x.Definition != nil {
					walk(x.Definition.SelectionSet)
				}
			}
		}
	}
	walk(op.SelectionSet)
	return n
}

func without(variables map[string]any, name string) map[string]any {
	out := make(map[string]any, len(variables))
	for k, v := range variables {
		if k != name {
			out[k] = v
		}
	}
	return out
}

// cursorText reads a variable that holds a cursor.
func cursorText(v any) (string, bool) {
	switch s := v.(type) {
	case string:
		return s, true
	case *string:
		if s != nil {
			return *s, true
		}
	}
	return "", false
}
