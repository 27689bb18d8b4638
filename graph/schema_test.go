package graph_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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

// What is committed is what the generator makes of the schema.
func TestGeneratedCodeIsUpToDate(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the code generator")
	}
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	tmp := t.TempDir()
	// The generator needs the types that the schema is bound to, no more; without
	// the last validation the rest of the module need not be there, nor be compiled.
	copyTree(t, filepath.Join(root, "graph"), filepath.Join(tmp, "graph"), true)
	copyTree(t, filepath.Join(root, "deploy"), filepath.Join(tmp, "deploy"), false)
	for _, file := range []string{"go.mod", "go.sum", "gqlgen.yml"} {
		b, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		if file == "gqlgen.yml" {
			b = append(b, "\nskip_validation: true\n"...)
		}
		require.NoError(t, os.WriteFile(filepath.Join(tmp, file), b, 0o600))
	}
	cmd := exec.CommandContext(t.Context(), "go", "tool", "gqlgen", "generate")
	cmd.Dir = tmp
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, pattern := range []string{"graph/*.resolvers.go", "graph/generated/*.go", "graph/model/*.go"} {
		fresh, err := filepath.Glob(filepath.Join(tmp, pattern))
		require.NoError(t, err)
		committed, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.Len(t, committed, len(fresh), "files of %s", pattern)
		for _, f := range fresh {
			rel, err := filepath.Rel(tmp, f)
			require.NoError(t, err)
			want, err := os.ReadFile(f)
			require.NoError(t, err)
			have, err := os.ReadFile(filepath.Join(root, rel))
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, have), "%s is not what the generator makes: run `go tool gqlgen generate`", rel)
		}
	}
}

// copyTree copies the Go and schema files of a directory, tests left out.
func copyTree(t *testing.T, from, to string, deep bool) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != from && !deep:
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		if name := d.Name(); strings.HasSuffix(name, "_test.go") || !strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, ".graphqls") {
			return nil
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o750); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	require.NoError(t, err)
}
