package graph

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"

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
	// MaxFields of an operation with all its fragments spread.
	MaxFields = 4000
	// MaxRepeats is how often a field may be selected under one name in one place.
	MaxRepeats = 30
	// MaxFragments of a document.
	MaxFragments = 60
	// MaxComplexity: fields, times the size of the lists they are in. A page of
	// 200 rows of the fleet table is about 7,000.
	MaxComplexity = 20_000

	codeTooComplex = "QUERY_TOO_COMPLEX"
)

// shape refuses documents that are too deep, unfold into too many fields, or
// say the same too often. It looks at them before they are validated: the
// validator compares every two fields of the same name and every two fragments
// with each other, which takes seconds for a few kilobytes made for it. Each
// fragment is measured once, so fragments that spread others twice cost
// nothing to refuse.
type shape struct {
	// passed are documents that were found good; they are not looked at again.
	passed graphql.Cache[struct{}]
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
} = shape{}

func newShape() shape { return shape{passed: lru.New[struct{}](500)} }

func (shape) ExtensionName() string { return "Shape" }

func (shape) Validate(graphql.ExecutableSchema) error { return nil }

func (s shape) MutateOperationParameters(ctx context.Context, p *graphql.RawParams) *gqlerror.Error {
	if _, ok := s.passed.Get(ctx, p.Query); ok {
		return nil
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: p.Query}, MaxTokens)
	if err != nil {
		return nil // the executor says it
	}
	if problem := checkShape(doc); problem != nil {
		return problem
	}
	s.passed.Add(ctx, p.Query, struct{}{})
	return nil
}

// checkShape tells what is wrong with a document's shape, nil if nothing is.
func checkShape(doc *ast.QueryDocument) *gqlerror.Error {
	if len(doc.Fragments) > MaxFragments || len(doc.Operations) > MaxFragments {
		return refusal(codeTooComplex, fmt.Sprintf("the document has more than %d operations or fragments", MaxFragments))
	}
	m := &measure{doc: doc, fragments: map[string]extent{}}
	// Fragments that nobody spreads are validated as well.
	for _, f := range doc.Fragments {
		m.ofFragment(f.Name)
	}
	if m.ring != "" {
		return refusal(codeValidation, fmt.Sprintf("the fragment %q spreads itself", m.ring))
	}
	check := func(set ast.SelectionSet) *gqlerror.Error {
		e := m.of(set)
		switch {
		case e.fields > MaxFields:
			return refusal(codeTooComplex, fmt.Sprintf("the operation selects more than %d fields", MaxFields))
		case e.depth > MaxDepth:
			return refusal(codeTooComplex, fmt.Sprintf("the operation is nested deeper than %d", MaxDepth))
		case !m.plain([]ast.SelectionSet{set}):
			return refusal(codeTooComplex, fmt.Sprintf("the operation selects a field more than %d times", MaxRepeats))
		}
		return nil
	}
	for _, op := range doc.Operations {
		if err := check(op.SelectionSet); err != nil {
			return err
		}
	}
	for _, f := range doc.Fragments {
		if err := check(f.SelectionSet); err != nil {
			return err
		}
	}
	return nil
}

type extent struct{ depth, fields int }

type measure struct {
	doc       *ast.QueryDocument
	fragments map[string]extent
	open      []string // fragments that are being measured
	ring      string   // a fragment that spreads itself
}

// of measures a selection set. Counts are cut off well above the limits, so
// they cannot overflow.
func (m *measure) of(set ast.SelectionSet) extent {
	var out extent
	add := func(e extent) {
		out.depth = max(out.depth, e.depth)
		out.fields = min(out.fields+e.fields, 10*MaxFields)
	}
	for _, one := range set {
		switch x := one.(type) {
		case *ast.Field:
			e := m.of(x.SelectionSet)
			if strings.HasPrefix(x.Name, "__") {
				e.depth = 0
			}
			add(extent{e.depth + 1, min(e.fields+1, 10*MaxFields)})
		case *ast.InlineFragment:
			add(m.of(x.SelectionSet))
		case *ast.FragmentSpread:
			add(m.ofFragment(x.Name))
		}
	}
	return out
}

func (m *measure) ofFragment(name string) extent {
	if slices.Contains(m.open, name) {
		m.ring = name
		return extent{}
	}
	e, ok := m.fragments[name]
	if f := m.doc.Fragments.ForName(name); !ok && f != nil {
		m.open = append(m.open, name)
		e = m.of(f.SelectionSet)
		m.open = m.open[:len(m.open)-1]
		m.fragments[name] = e
	}
	return e
}

// plain tells whether no field is selected too often, under the same name and
// with all fragments spread. Sets are those that belong to one place of the
// answer. The number of fields has been found small before, and that there is
// no ring.
func (m *measure) plain(sets []ast.SelectionSet) bool {
	count, below := map[string]int{}, map[string][]ast.SelectionSet{}
	spread := map[string]bool{}
	ok := true
	var walk func(set ast.SelectionSet)
	walk = func(set ast.SelectionSet) {
		for _, one := range set {
			switch x := one.(type) {
			case *ast.Field:
				count[x.Alias]++
				ok = ok && count[x.Alias] <= MaxRepeats
				if len(x.SelectionSet) > 0 {
					below[x.Alias] = append(below[x.Alias], x.SelectionSet)
				}
			case *ast.InlineFragment:
				walk(x.SelectionSet)
			case *ast.FragmentSpread:
				if f := m.doc.Fragments.ForName(x.Name); f != nil && !spread[x.Name] {
					spread[x.Name] = true
					walk(f.SelectionSet)
				}
			}
		}
	}
	for _, set := range sets {
		walk(set)
	}
	for _, child := range below {
		ok = ok && m.plain(child)
	}
	return ok
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
	c.Query.RecentEvents = func(child int, first *int, _ *string, _ *model.DeploymentEventFilter) int {
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
	c.BareMetalNode.Documents = func(child int, first *int) int { return list(child, first, nil) }
	c.ScriptRun.Documents = func(child int) int { return 1 + 20*child }
	c.Query.ScriptRuns = func(child int, first *int, _ *string) int { return list(child, first, nil) }
	c.Query.ValidateNodeConfigs = func(child int, _ model.ApplyNodeConfigsInput) int { return 500 + 20*child }
	c.Mutation.ApplyNodeConfigs = func(child int, _ model.ApplyNodeConfigsInput) int { return 500 + 20*child }
	// What is asked of a provider costs it many calls.
	c.Query.ProviderOffer = func(child int, _ model.Provider) int { return 500 + 20*child }
	c.Query.DriftReport = func(child int, _ model.Provider) int { return 5000 + 50*child }
	c.Query.ValidateDeployment = func(child int, _ model.DeployNodeInput) int { return 2000 + 20*child }
	c.Query.FailureGroups = func(child int, _ *model.BareMetalNodeFilter) int { return 200 + 10*child }
	c.FailureGroup.Nodes = func(child int, first *int, _ *string) int { return list(child, first, nil) }
	c.Query.DurationSeries = func(child int, _ *model.Provider, _ *string, _ *model.Phase, _, _ time.Time, _ time.Duration) int {
		return 1000 + 100*child
	}
	c.Query.SuccessSeries = func(child int, _ *model.Provider, _ *string, _, _ time.Time, _ time.Duration) int {
		return 1000 + 200*child
	}
	c.Query.BulkPreview = func(child int, _ model.BulkSelectionInput) int { return 1000 + child }
	c.Query.BulkOperations = func(child int, first *int, _ *string) int { return list(child, first, nil) }
	c.BulkOperation.Items = func(child int, first *int, _ *string, _ []model.BulkItemState) int { return list(child, first, nil) }
	c.Query.Clusters = func(child int, first *int, _ *string, _ *model.ClusterFilter) int { return list(child, first, nil) }
	c.Query.PlanCluster = func(child int, _ model.DeployClusterInput) int { return 8000 + 20*child }
	c.Cluster.Members = func(child int) int { return 1 + 5*child }
	c.ClusterBarrier.WaitingFor = func(child int) int { return 1 + 4*child }
	c.ClusterFormation.Members = func(child int) int { return 1 + 4*child }
	c.ClusterFormation.Culprits = func(child int) int { return 1 + 4*child }
	c.CleanupClusterPayload.Plan = func(child int) int { return 1 + 20*child }
	c.Query.FleetSummary = func(child int, _ *model.BareMetalNodeFilter) int { return 100 + child }
	return c
}
