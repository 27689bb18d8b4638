package graph_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/slipwayhq/slipway/graph"
	"github.com/slipwayhq/slipway/graph/generated"
)

var (
	documentBlock = regexp.MustCompile("(?s)```graphql\n(.*?)```")
	// documentInline is what shell and program lines send: a quoted operation.
	documentInline = regexp.MustCompile(`["']((?:query|mutation|subscription) ?\([^"'\n]*\}|\{ [a-z][^"'\n]*\})["']`)
)

// TestDocumentedOperations holds the operations in the README and the pages of
// docs to the schema.
func TestDocumentedOperations(t *testing.T) {
	schema := generated.NewExecutableSchema(generated.Config{Resolvers: &graph.Resolver{}}).Schema()
	pages, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	seen := 0
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, pattern := range []*regexp.Regexp{documentBlock, documentInline} {
			for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
				seen++
				_, bad := gqlparser.LoadQueryWithRules(schema, m[1], rules.NewDefaultRules())
				require.Empty(t, bad, "%s: %s", filepath.Base(page), m[1])
			}
		}
	}
	require.GreaterOrEqual(t, seen, 8, "the pages have operations")
}
