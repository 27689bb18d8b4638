package graph

import (
	"context"
	"fmt"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/graph/generated"
	"github.com/slipwayhq/slipway/graph/model"
)

// Limits of a document.
const (
	// MaxTokens of a document; the largest introspection query has under 500.
	MaxTokens = 5000
	// MaxDepth of selections, introspection excepted.
	MaxDepth = 14
	// MaxFields of a document with all its fragments spread.
	MaxFields = 4000
	// MaxComplexity: fields, times the size of the lists they are in. A page of
	// 200 rows of the fleet table is about 7,000.
	MaxComplexity = 20_000

	codeTooComplex = "QUERY_TOO_COMPLEX"
)

// shape refuses documents that are too deep or unfold into too many fields.
// Each fragment is measured once, so that fragments that spread others twice
// cost nothing to refuse; it must run before everything that walks them.
type shape struct{}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = shape{}

func (shape) ExtensionName() string { return "Shape" }

func (shape) Validate(graphql.ExecutableSchema) error { return nil }

func (shape) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	m := measure{fragments: map[string]extent{}}
	e := m.of(op.Operation.SelectionSet)
	switch {
	case e.fields > MaxFields:
		return refusal(codeTooComplex, fmt.Sprintf("the operation selects more than %d fields", MaxFields))
	case e.depth > MaxDepth:
		return refusal(codeTooComplex, fmt.Sprintf("the operation is nested deeper than %d", MaxDepth))
	}
	return nil
}

type extent struct{ depth, fields int }

type measure struct{ fragments map[string]extent }

// of measures a selection set; validation has made sure that fragments form no
// ring. Counts are cut off well above the limits, so they cannot overflow.
func (m measure) of(set ast.SelectionSet) extent {
	var out extent
	add := func(e extent) {
		out.depth = max(out.depth, e.depth)
		out.fields = min(out.fields+e.fields, 10*MaxFields)
	}
	for _, one := range set {
		switch x := one.(type) {
		case *ast.Field:
			e := m.of(x.SelectionSet)
			if len(x.Name) > 1 && x.Name[:2] == "__" {
				e.depth = 0
			}
			add(extent{e.depth + 1, min(e.fields+1, 10*MaxFields)})
		case *ast.InlineFragment:
			add(m.of(x.SelectionSet))
		case *ast.FragmentSpread:
			if x.Definition == nil {
				continue
			}
			e, ok := m.fragments[x.Name]
			if !ok {
				e = m.of(x.Definition.SelectionSet)
				m.fragments[x.Name] = e
			}
			add(e)
		}
	}
	return out
}

// costs tells what lists cost: their size times what is selected in them.
func costs() generated.ComplexityRoot {
	var c generated.ComplexityRoot
	list := func(child int, first, last *int) int {
		n := query.DefaultPage
		if last != nil {
			n = *last
		}
		if first != nil {
			n = *first
		}
		// What is out of range is refused by the resolver.
		return 1 + child*min(max(n, 1), query.MaxPage)
	}
	c.Query.BareMetalNodes = func(child int, first *int, _ *string, last *int, _ *string, _ *model.BareMetalNodeFilter, _ *model.BareMetalNodeOrder) int {
		return list(child, first, last)
	}
	c.Query.Deployments = func(child int, first *int, _ *string, last *int, _ *string, _ *model.DeploymentFilter, _ *model.DeploymentOrder) int {
		return list(child, first, last)
	}
	c.Query.DeploymentEvents = func(child int, first *int, _ *string, _ *model.DeploymentEventFilter) int {
		return list(child, first, nil)
	}
	c.Query.Nodes = func(child int, ids []string) int {
		n := len(ids)
		return list(child, &n, nil)
	}
	c.BareMetalNode.Deployments = func(child int, first *int, _ *string, last *int, _ *string, _ *model.DeploymentFilter, _ *model.DeploymentOrder) int {
		return list(child, first, last)
	}
	c.DeploymentBatch.Deployments = func(child int, first *int, _ *string, last *int, _ *string, _ *model.DeploymentFilter) int {
		return list(child, first, last)
	}
	c.Deployment.Events = func(child int, first *int, _ *string, last *int, _ *string, _ *model.DeploymentEventFilter) int {
		return list(child, first, last)
	}
	c.Mutation.DeployNodes = func(child int, input model.DeployNodesInput) int {
		n := len(input.Nodes)
		return list(child, &n, nil)
	}
	c.Query.FleetSummary = func(child int, _ *model.BareMetalNodeFilter) int { return 100 + child }
	return c
}
