package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// selection is what an operation selects below a field. It tells what must be
// loaded before the models are made, for a whole list at once; it may tell too
// much (type conditions and @skip are not looked at), never too little.
type selection []ast.SelectionSet

// selected is the selection below the field that is being resolved.
func selected(ctx context.Context) selection {
	return selection{graphql.GetFieldContext(ctx).Field.Selections}
}

// child is the selection below a field of this one, all its occurrences merged.
func (s selection) child(name string) selection {
	var out selection
	s.each(func(f *ast.Field) {
		if f.Name == name {
			out = append(out, f.SelectionSet)
		}
	})
	return out
}

// path is child applied name by name.
func (s selection) path(names ...string) selection {
	for _, n := range names {
		s = s.child(n)
	}
	return s
}

// has tells whether any of the fields is selected.
func (s selection) has(names ...string) bool {
	found := false
	s.each(func(f *ast.Field) {
		for _, n := range names {
			found = found || f.Name == n
		}
	})
	return found
}

func (s selection) each(visit func(*ast.Field)) {
	for _, set := range s {
		eachField(set, visit)
	}
}

func eachField(set ast.SelectionSet, visit func(*ast.Field)) {
	for _, one := range set {
		switch x := one.(type) {
		case *ast.Field:
			visit(x)
		case *ast.InlineFragment:
			eachField(x.SelectionSet, visit)
		case *ast.FragmentSpread:
			if x.Definition != nil {
				eachField(x.Definition.SelectionSet, visit)
			}
		}
	}
}

// items is the selection of a connection's items, through edges and nodes.
func (s selection) items() selection {
	return append(s.path("edges", "node"), s.child("nodes")...)
}
