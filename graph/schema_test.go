package graph_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/slipwayhq/slipway/graph"
	"github.com/slipwayhq/slipway/graph/generated"
)

func schema() *ast.Schema { return generated.NewExecutableSchema(generated.Config{}).Schema() }

// A root field without a role could be called by nobody; better to hear it here.
func TestEveryRootFieldNamesItsRole(t *testing.T) {
	s := schema()
	for _, root := range []*ast.Definition{s.Query, s.Mutation, s.Subscription} {
		for _, f := range root.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			d := f.Directives.ForName("hasRole")
			require.NotNil(t, d, "%s.%s has no @hasRole", root.Name, f.Name)
			role := d.Arguments.ForName("role").Value.Raw
			require.Contains(t, []string{"VIEWER", "OPERATOR", "ADMIN"}, role)
			if root == s.Mutation {
				require.NotEqual(t, "VIEWER", role, "a viewer must not change anything: %s", f.Name)
			}
		}
	}
}

func TestEverythingIsDescribed(t *testing.T) {
	for _, d := range schema().Types {
		if d.BuiltIn || strings.HasPrefix(d.Name, "__") {
			continue
		}
		require.NotEmpty(t, d.Description, d.Name)
		for _, f := range d.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			require.NotEmpty(t, f.Description, "%s.%s", d.Name, f.Name)
			for _, a := range f.Arguments {
				require.NotEmpty(t, a.Description, "%s.%s(%s)", d.Name, f.Name, a.Name)
			}
		}
		for _, v := range d.EnumValues {
			require.NotEmpty(t, v.Description, "%s.%s", d.Name, v.Name)
		}
	}
}

func TestSchemaHash(t *testing.T) {
	require.Len(t, graph.SchemaHash(), 64)
	require.Contains(t, graph.Schema(), "type BareMetalNode implements Node")
}
