package graph

import (
	"context"
	"fmt"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/slipwayhq/slipway/deploy/access"
)

const (
	codeUnauthenticated = "UNAUTHENTICATED"
	codeForbidden       = "FORBIDDEN"
)

// authorise decides, before anything of an operation is executed, whether the
// caller may do all of it. Each root field names its least role (@hasRole); a
// root field without one can be called by nobody.
type authorise struct{ schema *ast.Schema }

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = &authorise{}

func (*authorise) ExtensionName() string { return "Authorise" }

func (a *authorise) Validate(es graphql.ExecutableSchema) error {
	a.schema = es.Schema()
	return nil
}

func (a *authorise) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	p := access.FromContext(ctx)
	if p == nil {
		return refusal(codeUnauthenticated, "nobody is signed in")
	}
	if !p.May(access.RoleViewer) {
		return refusal(codeForbidden, "this credential is not for the API")
	}
	op.DisableIntrospection = false
	root := a.root(op.Operation.Operation)
	var denied *gqlerror.Error
	eachField(op.Operation.SelectionSet, func(f *ast.Field) {
		if denied != nil || strings.HasPrefix(f.Name, "__") {
			return
		}
		needed, ok := leastRole(root.Fields.ForName(f.Name))
		if !ok || !p.May(needed) {
			denied = refusal(codeForbidden, fmt.Sprintf("%s.%s needs the role %s", root.Name, f.Name, strings.ToUpper(string(needed))))
		}
	})
	return denied
}

func (a *authorise) root(kind ast.Operation) *ast.Definition {
	switch kind {
	case ast.Mutation:
		return a.schema.Mutation
	case ast.Subscription:
		return a.schema.Subscription
	default:
		return a.schema.Query
	}
}

// leastRole reads a root field's @hasRole.
func leastRole(f *ast.FieldDefinition) (access.Role, bool) {
	if f == nil {
		return "", false
	}
	d := f.Directives.ForName("hasRole")
	if d == nil {
		return "", false
	}
	arg := d.Arguments.ForName("role")
	if arg == nil || arg.Value == nil {
		return "", false
	}
	role := access.Role(strings.ToLower(arg.Value.Raw))
	return role, role.Valid()
}

func refusal(code, message string) *gqlerror.Error {
	return &gqlerror.Error{Message: message, Extensions: map[string]any{"code": code}}
}
