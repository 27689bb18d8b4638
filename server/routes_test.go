package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/server"
)

// open are the routes that need no credentials; everything else must deny.
var open = []string{
	"GET /healthz", "GET /readyz", "GET /{$}", "GET /monitoring", "GET /monitoring/", "POST /api/session",
	"GET /boot/d/{locator}", "GET /boot/config", "GET /boot/images/{name}", "GET /boot/scripts/{name}", "GET /boot/programs/{name}", "/",
}

var samples = strings.NewReplacer("{node_id}", "1", "{id}", "1", "{server_ip}", "10.0.0.1", "{locator}", "x", "{name}", "x", "{$}", "", "{provider}", "ibm_vpc")

func TestEveryRouteDeniesWithoutCredentialsUnlessListed(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	routes := r.srv.Routes()
	require.Greater(t, len(routes), 20)
	for _, pattern := range routes {
		method, path, found := strings.Cut(pattern, " ")
		if !found {
			method, path = http.MethodPost, pattern
		}
		got := r.call(method, samples.Replace(path), "", "")
		if slices.Contains(open, pattern) {
			require.NotEqual(t, 403, got.status, pattern)
			continue
		}
		require.Contains(t, []int{401, 429}, got.status, "%s answered %s", pattern, got.body)
		if pattern == "/graphql" {
			require.Regexp(t, `^\{"errors":\[.*"code":"(UNAUTHENTICATED|RATE_LIMITED)"`, got.body)
			continue
		}
		require.Contains(t, []any{"unauthenticated", "rate_limited"}, got.json(t)["code"], pattern)
	}
	for _, pattern := range open {
		require.Contains(t, routes, pattern, "the list names a route that is not there")
	}
}

func TestAMachinesTokenOpensNothingButItsOwnRoutes(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.boot("web-01", "10.0.0.1")
	for _, pattern := range r.srv.Routes() {
		method, path, found := strings.Cut(pattern, " ")
		if !found {
			method, path = http.MethodPost, pattern
		}
		if slices.Contains(open, pattern) || slices.Contains([]string{"POST /api/status/phase", "GET /boot/server/{server_ip}", "POST /boot/downloads"}, pattern) {
			continue
		}
		got := r.call(method, samples.Replace(path), m.token, "")
		require.Equal(t, 403, got.status, "%s answered %s", pattern, got.body)
	}
}

func TestAViewerMayLookAndNotOrder(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	require.Equal(t, 200, r.get("/api/status/summary").status)
	got := r.call("POST", "/api/config/nodes", r.viewer, `{}`, "Content-Type", jsonType)
	require.Equal(t, 403, got.status)
	require.Equal(t, "forbidden", got.json(t)["code"])
	got = r.call("POST", "/api/status/phase", r.viewer, `{}`, "Content-Type", jsonType)
	require.Equal(t, 403, got.status)
}

func TestNothingHereAndOtherMethods(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	got := r.get("/nowhere")
	require.Equal(t, 404, got.status)
	require.Equal(t, "not_found", got.json(t)["code"])
	got = r.call("POST", "/api/status/summary", r.viewer, "")
	require.Equal(t, 405, got.status)
	require.Equal(t, "GET, HEAD", got.header.Get("Allow"))
	got = r.call("BREW", "/api/status/phase", r.viewer, "")
	require.Equal(t, 405, got.status)
	require.Equal(t, "POST", got.header.Get("Allow"))
	for _, path := range []string{"/api/../etc/passwd", "//x", "/%2e%2e/x", "/monitoring/../api", "/boot/images/..%2f..%2fetc%2fpasswd"} {
		require.Less(t, r.get(path).status, 500, path)
	}
}

func TestEveryAnswerHasIDAndHeaders(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	got := r.get("/api/status/nodes/1", "X-Request-Id", "my-id.1")
	require.Equal(t, 404, got.status)
	require.Equal(t, "my-id.1", got.header.Get("X-Request-Id"))
	require.Equal(t, "my-id.1", got.json(t)["request_id"])
	require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
	require.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'none'")
	got = r.get("/healthz", "X-Request-Id", "bad id\"")
	require.Len(t, got.header.Get("X-Request-Id"), 24)
}

func TestAPanicIsA500WithoutItsText(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) {
		p.GraphQL = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret inside") })
	})
	got := r.call("POST", "/graphql", r.viewer, "{}", "Content-Type", jsonType)
	require.Equal(t, 500, got.status)
	require.Equal(t, "internal", got.json(t)["code"])
	require.NotContains(t, got.body, "secret")
}

func TestGraphQLBodyIsLimited(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) {
		p.GraphQL = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			}
		})
	})
	require.Equal(t, 413, r.call("POST", "/graphql", r.viewer, strings.Repeat("x", 2<<20)).status)
	require.Equal(t, 200, r.call("POST", "/graphql", r.viewer, "{}").status)
}

func TestOpenAPIDescribesEveryRouteAndNothingElse(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	got := r.get("/api/openapi.json")
	require.Equal(t, 200, got.status)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Responses map[string]any
		}
	}
	require.NoError(t, json.Unmarshal([]byte(got.body), &doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)
	var described []string
	for path, methods := range doc.Paths {
		for m, op := range methods {
			described = append(described, strings.ToUpper(m)+" "+path)
			require.NotEmpty(t, op.Responses, path)
		}
	}
	var routes []string
	for _, p := range r.srv.Routes() {
		if p != "/" && p != "/graphql" && !strings.Contains(p, "/monitoring") && p != "GET /{$}" {
			routes = append(routes, p)
		}
	}
	require.ElementsMatch(t, routes, described)
	require.NotContains(t, got.body, "problem+json")
}

func TestTheAppIsServed(t *testing.T) {
	app := fstest.MapFS{
		"index.html":           {Data: []byte("<html>app</html>")},
		"assets/main-1a2b.js":  {Data: []byte("console.log(" + strings.Repeat("1", 5000) + ")")},
		".gitkeep":             {Data: []byte("")},
		"assets/.hidden":       {Data: []byte("x")},
		"assets/style-9f.css":  {Data: []byte("body{}")},
		"assets/font-1.woff2":  {Data: []byte("font")},
		"assets/deep/file.txt": {Data: []byte("deep")},
	}
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) { p.App = app })
	got := r.call("GET", "/", "", "")
	require.Equal(t, 302, got.status)
	require.Equal(t, "/monitoring", got.header.Get("Location"))
	for _, path := range []string{"/monitoring", "/monitoring/", "/monitoring/nodes/node_7", "/monitoring/index.html"} {
		got = r.call("GET", path, "", "")
		require.Equal(t, 200, got.status, path)
		require.Equal(t, "<html>app</html>", got.body, path)
		require.Equal(t, "no-cache", got.header.Get("Cache-Control"), path)
		require.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'self'")
	}
	got = r.call("GET", "/monitoring/assets/main-1a2b.js", "", "", "Accept-Encoding", "gzip")
	require.Equal(t, 200, got.status)
	require.Contains(t, got.header.Get("Cache-Control"), "immutable")
	require.Equal(t, "gzip", got.header.Get("Content-Encoding"))
	require.Less(t, len(got.body), 500)
	for _, path := range []string{"/monitoring/assets/none.js", "/monitoring/assets/.hidden", "/monitoring/.gitkeep", "/monitoring/assets/", "/monitoring/assets/..%2f.gitkeep"} {
		require.Equal(t, 404, r.call("GET", path, "", "").status, path)
	}
	require.Empty(t, r.call("HEAD", "/monitoring", "", "").body)
}

func TestAnAppThatWasNotBuiltSaysSo(t *testing.T) {
	for name, app := range map[string]fstest.MapFS{"nil": nil, "empty": {".gitkeep": {}}} {
		r := newRig(t, storetest.SQLite(t), func(p *server.Parts) {
			if app != nil {
				p.App = app
			}
		})
		got := r.call("GET", "/monitoring", "", "")
		require.Equal(t, 404, got.status, name)
		require.Contains(t, got.body, "make build", name)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	st := storetest.SQLite(t)
	r := newRig(t, st)
	require.Equal(t, "ok", r.call("GET", "/healthz", "", "").json(t)["status"])
	require.Equal(t, "ok\n", r.call("GET", "/healthz", "", "", "Accept", "text/plain").body)
	got := r.call("GET", "/readyz", "", "")
	require.Equal(t, 200, got.status, got.body)
	require.Equal(t, map[string]any{"database": "ok", "migrations": "ok", "feed": "ok", "serving": "ok"}, got.json(t)["checks"])
	r.srv.Drain()
	got = r.call("GET", "/readyz", "", "")
	require.Equal(t, 503, got.status)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.Equal(t, 200, r.call("GET", "/healthz", "", "").status)
}

func TestADatabaseThatIsGoneIsNotReadyAnd503OnReads(t *testing.T) {
	st := storetest.SQLite(t)
	r := newRig(t, st)
	require.Equal(t, 200, r.get("/api/status/summary").status) // the token is known from here on
	require.NoError(t, st.Read.Close())
	got := r.call("GET", "/readyz", "", "")
	require.Equal(t, 503, got.status)
	require.NotContains(t, got.body, "sql")
	got = r.get("/api/status/summary")
	require.GreaterOrEqual(t, got.status, 500)
	require.NotContains(t, got.body, "sql:")
	require.NotContains(t, got.body, "SELECT")
}

func TestMetrics(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.boot("web-01", "10.0.0.1")
	require.Equal(t, 200, r.report(m, "foundation_start", "in_progress").status)
	r.call("POST", "/api/status/phase", "slr_wrong", "{}")
	got := r.get("/metrics")
	require.Equal(t, 200, got.status)
	for _, want := range []string{
		`slipway_reports_total{code="",outcome="accepted"}`, `slipway_strangers_total{code="unauthenticated"}`,
		`slipway_http_request_duration_seconds_count{method="POST",route="POST /api/status/phase"`, "slipway_feed_streams 0", "slipway_feed_position",
	} {
		require.Contains(t, got.body, want)
	}
}

func TestNoSecretIsLogged(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) { p.Log = slog.New(slog.NewJSONHandler(&log, nil)) })
	m := r.boot("web-01", "10.0.0.1")
	locator := strings.Repeat("L", 43)
	require.Equal(t, 200, r.report(m, "foundation_start", "running").status)
	r.call("GET", "/boot/d/"+locator, "", "")
	r.call("GET", "/"+m.token+"?token="+m.token, r.viewer, "")
	r.call("GET", "/api/status/summary", "slw_"+locator, "")
	cookie, _ := signIn(t, r, access.RoleViewer)
	r.call("GET", "/api/session", "", "", "Cookie", cookie)
	r.web.Close() // every request has been logged
	require.Contains(t, log.String(), `"route":"POST /api/status/phase"`)
	require.Contains(t, log.String(), `"caller":"machine:web-01"`)
	for _, secret := range []string{m.token, r.viewer, locator, strings.TrimPrefix(cookie, "slipway_session=")} {
		require.NotContains(t, log.String(), secret)
	}
}
