package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// documentedPath is a path of the server in a page: after a method, after the
// server's address in a shell line, or alone in backquotes.
var documentedPath = regexp.MustCompile("(?:`|\\b)(GET|POST|PUT|DELETE|HEAD) +(/[^\\s`'\"|,;)?]*)|\\$(?:SLIPWAY|SLIPWAY_SERVER|BASE)\"?(/[^\\s`'\"|,;)?]*)|`(/(?:api|boot|graphql|healthz|readyz|metrics)[^\\s`'\"|,;)?]*)")

// elsewhere are paths of other programs that pages tell of: IBM's API and the
// simulator's own switches, and Redfish.
var elsewhere = regexp.MustCompile(`^/(v1|_sim|_qemu|redfish|identity|instance_identity|instances|bare_metal_servers)\b`)

// TestDocumentedPaths holds the README and the pages of docs to the routes as
// they are.
func TestDocumentedPaths(t *testing.T) {
	mux := http.NewServeMux()
	routes := newRig(t, storetest.SQLite(t)).srv.Routes()
	for _, pattern := range routes {
		if pattern != "/" {
			mux.Handle(pattern, http.NotFoundHandler())
		}
	}
	pages, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	seen := 0
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range documentedPath.FindAllStringSubmatch(string(text), -1) {
			method, path := m[1], strings.TrimRight(m[2]+m[3]+m[4], ".:&")
			if elsewhere.MatchString(path) || strings.ContainsAny(path, "*…<") {
				continue
			}
			seen++
			part := strings.HasSuffix(path, "/") && strings.Contains(strings.Join(routes, "\n"), path)
			assert.True(t, part || served(mux, method, path), "%s tells of %s %s, which is not there", filepath.Base(page), method, path)
		}
	}
	require.Greater(t, seen, 60, "the pages tell of paths")
}

// served reports whether a route answers this path; without a method any does.
func served(mux *http.ServeMux, method, path string) bool {
	methods := []string{method}
	if method == "" {
		methods = []string{"GET", "POST", "PUT", "DELETE"}
	}
	for _, method := range methods {
		r, err := http.NewRequest(method, "http://slipway.example"+path, http.NoBody)
		if err != nil {
			return false
		}
		if _, pattern := mux.Handler(r); pattern != "" {
			return true
		}
	}
	return false
}
