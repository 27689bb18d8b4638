package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/graph"
)

func TestHTTP(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	const good = `{"query":"{viewer{actor{kind name} role}}"}`
	long := strings.Repeat("x", graph.MaxBody)
	const response, plain = "application/graphql-response+json; charset=utf-8", "application/json; charset=utf-8"
	for _, tc := range []struct {
		name, body string
		header     []string
		status     int
		code       string
		kind       string
	}{
		{"good", good, nil, 200, "", response},
		{"good, any type", good, []string{"Accept", "*/*"}, 200, "", response},
		{"good, plain", good, []string{"Accept", "application/json"}, 200, "", plain},
		{"good, both", good, []string{"Accept", "application/json, application/graphql-response+json"}, 200, "", response},
		{"good, plain preferred", good, []string{"Accept", "application/graphql-response+json;q=0.5, application/json"}, 200, "", plain},
		{"charset", good, []string{"Content-Type", "application/json; charset=UTF-8"}, 200, "", response},
		{"nobody", good, []string{"X-Role", ""}, 401, "UNAUTHENTICATED", response},
		{"nobody, plain", good, []string{"X-Role", "", "Accept", "application/json"}, 401, "UNAUTHENTICATED", plain},
		{"a machine", good, []string{"X-Role", "machine"}, 403, "FORBIDDEN", response},
		{"not acceptable", good, []string{"Accept", "text/html"}, 406, "INVALID", response},
		{"form", good, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "INVALID", response},
		{"text", good, []string{"Content-Type", "text/plain"}, 415, "INVALID", response},
		{"other charset", good, []string{"Content-Type", "application/json; charset=latin1"}, 415, "INVALID", response},
		{"no type", good, []string{"Content-Type", ""}, 415, "INVALID", response},
		{"no JSON", `{"query":`, nil, 400, "INVALID", response},
		{"empty", ``, nil, 400, "INVALID", response},
		{"two values", good + good, nil, 400, "INVALID", response},
		{"batch", `[` + good + `]`, nil, 422, "INVALID", response},
		{"no query", `{}`, nil, 422, "INVALID", response},
		{"query of a wrong type", `{"query":1}`, nil, 422, "INVALID", response},
		{"variables of a wrong type", `{"query":"{viewer{role}}","variables":[]}`, nil, 422, "INVALID", response},
		{"too large", `{"query":"` + long + `"}`, nil, 413, "TOO_LARGE", response},
		{"no document", `{"query":"{"}`, nil, 400, "GRAPHQL_PARSE_FAILED", response},
		{"no document, plain", `{"query":"{"}`, []string{"Accept", "application/json"}, 200, "GRAPHQL_PARSE_FAILED", plain},
		{"unknown field", `{"query":"{nothing}"}`, nil, 422, "GRAPHQL_VALIDATION_FAILED", response},
		{"unknown operation", `{"query":"query A{viewer{role}}","operationName":"B"}`, nil, 422, "GRAPHQL_VALIDATION_FAILED", response},
		{"missing variable", `{"query":"query($i:ID!){node(id:$i){id}}"}`, nil, 422, "GRAPHQL_VALIDATION_FAILED", response},
		{"subscription", `{"query":"subscription{fleetChanges{__typename}}"}`, nil, 422, "GRAPHQL_VALIDATION_FAILED", response},
		{"literal oneOf", `{"query":"{bareMetalNode(by:{id:\"node_1\",name:\"a\"}){id}}"}`, nil, 422, "GRAPHQL_VALIDATION_FAILED", response},
		{"viewer's mutation", `{"query":"mutation{registerNode(input:{name:\"a\",serverProfile:\"p\"}){errors{code}}}"}`, []string{"X-Role", "viewer"}, 403, "FORBIDDEN", response},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h.t = t
			a := h.send(tc.body, append([]string{"X-Role", "operator"}, tc.header...)...)
			require.Equal(t, tc.status, a.Status, a.Raw)
			require.Equal(t, tc.kind, a.Header.Get("Content-Type"))
			require.Less(t, len(a.Raw), 1000, "the request is not repeated")
			if tc.code == "" {
				require.JSONEq(t, `{"data":{"viewer":{"actor":{"kind":"TOKEN","name":"tester"},"role":"OPERATOR"}}}`, a.Raw)
				return
			}
			require.Equal(t, tc.code, a.code(t), a.Raw)
			require.Equal(t, "req-1", a.Errors[0].Extensions["requestId"])
			require.NotContains(t, a.Raw, `"data"`)
		})
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		req, err := http.NewRequestWithContext(t.Context(), method, h.srv.URL+"?query={viewer{role}}", nil)
		require.NoError(t, err)
		req.Header.Set("X-Role", "operator")
		h.t = t
		a := h.do(req)
		require.Equal(t, 405, a.Status)
		require.Equal(t, "POST", a.Header.Get("Allow"))
	}
}

// refusedQuickly sends a document and wants it refused in far less time than
// executing, or only validating it, would take.
func refusedQuickly(t *testing.T, h *house, doc, code string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": doc})
	require.NoError(t, err)
	const quick = 500 * time.Millisecond // alone it is a few milliseconds
	took := time.Hour                    // the fastest of some, should the machine be busy
	for try := 0; try < 20 && took >= quick; try++ {
		start := time.Now()
		a := h.send(string(body), "X-Role", "operator")
		took = min(took, time.Since(start))
		require.Equal(t, code, a.code(t), a.Raw)
		require.GreaterOrEqual(t, a.Status, 400)
	}
	require.Less(t, took, quick)
	t.Logf("%d bytes refused in %v", len(body), took)
}

func TestHugeDocumentsAreRefusedQuickly(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	aliases := func(n int) string {
		var b strings.Builder
		b.WriteString("{")
		for i := range n {
			fmt.Fprintf(&b, "a%d:__typename ", i)
		}
		return b.String() + "}"
	}
	t.Run("100,000 aliases", func(t *testing.T) { h.t = t; refusedQuickly(t, h, aliases(100_000), "TOO_LARGE") })
	t.Run("as many as fit into a body", func(t *testing.T) { h.t = t; refusedQuickly(t, h, aliases(12_000), "GRAPHQL_PARSE_FAILED") })
	t.Run("fragments that double", func(t *testing.T) {
		h.t = t
		var b strings.Builder
		b.WriteString("{viewer{...F0}}")
		for i := range 50 {
			fmt.Fprintf(&b, " fragment F%d on Viewer{a:role ...F%d b:role ...F%d}", i, i+1, i+1)
		}
		refusedQuickly(t, h, b.String()+" fragment F50 on Viewer{role}", "QUERY_TOO_COMPLEX")
	})
	t.Run("many fragments", func(t *testing.T) {
		h.t = t
		var b strings.Builder
		for i := range 300 {
			fmt.Fprintf(&b, "...F%d ", i)
		}
		doc := "{viewer{" + b.String() + "}}"
		for i := range 300 {
			doc += fmt.Sprintf(" fragment F%d on Viewer{a%d:role}", i, i)
		}
		refusedQuickly(t, h, doc, "QUERY_TOO_COMPLEX")
	})
	t.Run("a ring of fragments", func(t *testing.T) {
		h.t = t
		refusedQuickly(t, h, "{viewer{...A}} fragment A on Viewer{actor{name} ...B} fragment B on Viewer{role ...A}", "GRAPHQL_VALIDATION_FAILED")
		refusedQuickly(t, h, "{viewer{...A}} fragment A on Viewer{a:actor{...A} b:actor{...A}}", "GRAPHQL_VALIDATION_FAILED")
		refusedQuickly(t, h, "{viewer{role}} fragment A on Viewer{a:actor{...A} b:actor{...A}}", "GRAPHQL_VALIDATION_FAILED")
	})
	// The validator alone takes seconds for these.
	t.Run("the same field again and again", func(t *testing.T) {
		h.t = t
		refusedQuickly(t, h, "{viewer{"+strings.Repeat("role ", 2000)+"}}", "QUERY_TOO_COMPLEX")
	})
	t.Run("the same fields in the same fields", func(t *testing.T) {
		h.t = t
		refusedQuickly(t, h, "{"+strings.Repeat("viewer{"+strings.Repeat("actor{"+strings.Repeat("name ", 10)+"}", 10)+"}", 20)+"}", "QUERY_TOO_COMPLEX")
	})
	t.Run("deep", func(t *testing.T) {
		h.t = t
		refusedQuickly(t, h, "{deployments(first:1){nodes{"+strings.Repeat("node{currentDeployment{", 20)+"id"+strings.Repeat("}}", 20)+"}}}", "QUERY_TOO_COMPLEX")
	})
	t.Run("lists in lists", func(t *testing.T) {
		h.t = t
		refusedQuickly(t, h, "{bareMetalNodes(first:200){nodes{deployments(first:200){nodes{events(first:200){nodes{id}}}}}}}", "COMPLEXITY_LIMIT_EXCEEDED")
	})
	t.Run("a full page of the fleet table is allowed", func(t *testing.T) {
		h.t = t
		h.ok(operation(t, "Fleet"), map[string]any{"first": 200})
	})
}

func TestIntrospectionIsForSignedInCallers(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	const q = `{__schema{queryType{name} types{name fields{name type{name ofType{name ofType{name ofType{name}}}}}}}}`
	a := h.as("viewer", q, nil)
	require.Empty(t, a.Errors)
	require.Equal(t, "Query", a.get("__schema.queryType.name"))
	body, _ := json.Marshal(map[string]any{"query": q})
	require.Equal(t, 401, h.send(string(body)).Status)
}

// Nothing of what went wrong inside reaches the caller, who gets an id to ask for.
func TestInnerTextStaysInside(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	require.NoError(t, h.st.Read.Close())
	a := h.as("viewer", `{fleetSummary{total}}`, nil)
	require.Equal(t, "INTERNAL", a.code(t))
	require.Equal(t, "req-1", a.Errors[0].Extensions["requestId"])
	require.NotContains(t, strings.ToLower(a.Raw), "sql")
	require.NotContains(t, strings.ToLower(a.Raw), "database is closed")
	require.Contains(t, h.log.String(), "database is closed")
	require.Contains(t, h.log.String(), "req-1")
}
