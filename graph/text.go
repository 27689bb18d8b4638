package graph

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// pathMax is the longest place in the input that an error names, in bytes.
const pathMax = 100

// texts refuses operations with a text that cannot be kept: PostgreSQL stores
// neither U+0000 nor what is not UTF-8 in a text or a jsonb. It looks at every
// value that an operation uses, wherever it goes; so no resolver has to.
type texts struct{}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = texts{}

func (texts) ExtensionName() string { return "Texts" }

func (texts) Validate(graphql.ExecutableSchema) error { return nil }

func (texts) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	for _, name := range sortedKeys(reflect.ValueOf(op.Variables)) {
		if where, why := badText(reflect.ValueOf(op.Variables[name]), "$"+name); why != "" {
			return unkeepable(where, why)
		}
	}
	if where, why := badLiteral(op.Operation.SelectionSet); why != "" {
		return unkeepable(where, why)
	}
	for _, f := range op.Doc.Fragments {
		if where, why := badLiteral(f.SelectionSet); why != "" {
			return unkeepable(where, why)
		}
	}
	return nil
}

// unkeepable says where in the input a bad text is, and never the text.
func unkeepable(where, why string) *gqlerror.Error {
	if len(where) > pathMax {
		where = strings.ToValidUTF8(where[:pathMax], "") + "…"
	}
	return refusal("INVALID", fmt.Sprintf("%s %s", where, why))
}

// flaw tells why a text cannot be kept; empty: it can.
func flaw(s string) string {
	switch {
	case strings.ContainsRune(s, 0):
		return "holds the character U+0000, which no text may hold"
	case !utf8.ValidString(s):
		return "is not UTF-8"
	}
	return ""
}

// badText finds the first text in a variable's value that cannot be kept, and
// its place. Coerced values may be slices and maps of any type.
func badText(v reflect.Value, path string) (where, why string) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return badText(v.Elem(), path)
	case reflect.String:
		return path, flaw(v.String())
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if where, why = badText(v.Index(i), path+"."+strconv.Itoa(i)); why != "" {
				return where, why
			}
		}
	case reflect.Map:
		for _, k := range sortedKeys(v) {
			if flaw(k) != "" {
				return path, "has a member whose name " + flaw(k)
			}
			if where, why = badText(v.MapIndex(reflect.ValueOf(k)), path+"."+k); why != "" {
				return where, why
			}
		}
	default: // numbers, truth values and null hold no text
	}
	return "", ""
}

// sortedKeys gives the names of a map with texts as names.
func sortedKeys(v reflect.Value) []string {
	out := make([]string, 0, v.Len())
	for _, k := range v.MapKeys() {
		out = append(out, k.String())
	}
	slices.Sort(out)
	return out
}

// badLiteral finds the first text of the document itself that cannot be kept:
// in arguments of fields and directives.
func badLiteral(set ast.SelectionSet) (where, why string) {
	for _, one := range set {
		var below ast.SelectionSet
		var directives ast.DirectiveList
		switch x := one.(type) {
		case *ast.Field:
			if where, why = badInArguments(x.Arguments, x.Name); why != "" {
				return where, why
			}
			below, directives = x.SelectionSet, x.Directives
		case *ast.InlineFragment:
			below, directives = x.SelectionSet, x.Directives
		case *ast.FragmentSpread: // the fragment itself is looked at once
			directives = x.Directives
		}
		for _, d := range directives {
			if where, why = badInArguments(d.Arguments, "@"+d.Name); why != "" {
				return where, why
			}
		}
		if where, why = badLiteral(below); why != "" {
			return where, why
		}
	}
	return "", ""
}

func badInArguments(list ast.ArgumentList, of string) (where, why string) {
	for _, a := range list {
		if where, why = badValue(a.Value, a.Name); why != "" {
			return of + "(" + where + ")", why
		}
	}
	return "", ""
}

func badValue(v *ast.Value, path string) (where, why string) {
	if v == nil {
		return "", ""
	}
	if v.Kind == ast.StringValue || v.Kind == ast.BlockValue {
		return path, flaw(v.Raw)
	}
	for i, c := range v.Children {
		name := c.Name
		if v.Kind == ast.ListValue {
			name = strconv.Itoa(i)
		}
		if where, why = badValue(c.Value, path+"."+name); why != "" {
			return where, why
		}
	}
	return "", ""
}
