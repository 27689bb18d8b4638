package graph_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	"github.com/vektah/gqlparser/v2/parser"
)

// pages are the variables that make the app's lists as long as it asks for.
var pages = map[string]m{
	"FleetPage":      {"first": 200},
	"NodeEventsPage": {"first": 100, "filter": m{"nodeIds": []string{"node_1"}}},
	"DeploymentPage": {"id": "dep_1", "last": 100},
	"NodePage":       {"id": "node_1"},
	"PhaseCatalog":   {"provider": "IBM_VPC"},
	"Offer":          {"provider": "IBM_VPC"},
	"DriftReport":    {"provider": "IBM_VPC"},
	"Validate":       {"input": m{"name": "a", "spec": m{"ibmVpc": m{"serverProfile": "p"}}}},

	"ValidateConfigs":  {"input": m{"documents": []any{}}},
	"RunPage":          {"id": "run_1"},
	"RunNow":           {"id": "run_1"},
	"Runs":             {"first": 100},
	"ScriptDeployment": {"id": "dep_1"},
	"NodeDocuments":    {"id": "node_1", "first": 100},
	"LastDocument":     {"id": "node_1"},
	"ProbesPage":       {"first": 200},

	"Clusters":      {"first": 200},
	"ClusterNow":    {"id": "clu_1"},
	"ClusterOfNode": {"id": "node_1"},
	"PlanCluster":   {"input": m{"name": "lab", "nodes": []m{{"name": "a"}}}},

	"BatchPage":        {"id": "bat_1", "first": 100},
	"BulkPreview":      {"input": m{"action": "CANCEL", "ids": []string{"dep_1"}}},
	"BulkNow":          {"id": "bulk_1"},
	"BulkItems":        {"id": "bulk_1", "first": 100},
	"BulkOperations":   {"first": 100},
	"FailureGroups":    {"names": 200},
	"RecentEvents":     {"first": 100},
	"HistoryTailPage":  {"first": 100},
	"EventById":        {"id": "evt_1"},
	"EndedDeployments": {"first": 100},
	"DurationSeries":   {"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z", "bucket": 3_600_000},
	"SuccessSeries":    {"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z", "bucket": 3_600_000},
}

// refusals are what the parts of these tests answer where nothing else is wrong:
// their cloud cannot be reached, and no deployment script is set up.
var refusals = []string{"UPSTREAM_UNAVAILABLE", "WRONG_STATE"}

// What the app reads is within the limits, with its longest lists.
func TestTheAppsReadsAreWithinTheLimits(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.order("a")
		files, err := filepath.Glob("../frontend/src/gql/operations/*.graphql")
		require.NoError(t, err)
		doc := &ast.QueryDocument{}
		for _, f := range files {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			part, err := parser.ParseQuery(&ast.Source{Input: string(text), Name: f})
			require.NoError(t, err)
			doc.Operations = append(doc.Operations, part.Operations...)
			doc.Fragments = append(doc.Fragments, part.Fragments...)
		}
		reads := 0
		for _, op := range doc.Operations {
			if op.Operation != ast.Query {
				continue
			}
			reads++
			var text bytes.Buffer
			formatter.NewFormatter(&text).FormatQueryDocument(&ast.QueryDocument{Operations: ast.OperationList{op}, Fragments: spread(doc, op.SelectionSet, nil)})
			for _, v := range op.VariableDefinitions {
				require.False(t, v.Type.NonNull && v.DefaultValue == nil && pages[op.Name][v.Variable] == nil, "%s: give it a value for $%s above", op.Name, v.Variable)
			}
			body, err := json.Marshal(map[string]any{"query": text.String(), "variables": pages[op.Name]})
			require.NoError(t, err)
			a := h.send(string(body), "X-Role", "admin")
			require.Equal(t, http.StatusOK, a.Status, "%s: %s", op.Name, a.Raw)
			for _, e := range a.Errors {
				require.Contains(t, refusals, fmt.Sprint(e.Extensions["code"]), "%s: %s", op.Name, a.Raw)
			}
		}
		require.GreaterOrEqual(t, reads, 25, "the app's reads were not found")
	})
}

// spread gives the fragments that a selection spreads, each once.
func spread(doc *ast.QueryDocument, set ast.SelectionSet, known ast.FragmentDefinitionList) ast.FragmentDefinitionList {
	for _, one := range set {
		switch x := one.(type) {
		case *ast.Field:
			known = spread(doc, x.SelectionSet, known)
		case *ast.InlineFragment:
			known = spread(doc, x.SelectionSet, known)
		case *ast.FragmentSpread:
			if known.ForName(x.Name) == nil {
				f := doc.Fragments.ForName(x.Name)
				known = spread(doc, f.SelectionSet, append(known, f))
			}
		}
	}
	return known
}
