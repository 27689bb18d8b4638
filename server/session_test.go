package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/server"
)

// signIn makes a session and gives its cookie header.
func signIn(t *testing.T, r *rig, role access.Role) (cookie string, answer answered) {
	t.Helper()
	code, err := r.access.CreateSignIn(t.Context(), "ada", role, "test")
	require.NoError(t, err)
	answer = r.call("POST", "/api/session", "", `{"code":"`+code+`"}`, "Content-Type", jsonType)
	require.Equal(t, 204, answer.status, answer.body)
	cookie, _, _ = strings.Cut(answer.header.Get("Set-Cookie"), ";")
	again := r.call("POST", "/api/session", "", `{"code":"`+code+`"}`, "Content-Type", jsonType)
	require.Equal(t, 401, again.status, "a code works once")
	require.Equal(t, "unauthenticated", again.json(t)["code"])
	return cookie, answer
}

func TestSignInSessionSignOut(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	cookie, in := signIn(t, r, access.RoleOperator)
	set := in.header.Get("Set-Cookie")
	require.Contains(t, set, "HttpOnly")
	require.Contains(t, set, "SameSite=Lax")
	require.NotContains(t, set, "Secure")
	got := r.call("GET", "/api/session", "", "", "Cookie", cookie)
	require.Equal(t, 200, got.status)
	doc := got.json(t)
	require.Equal(t, "ada", doc["name"])
	require.Equal(t, "operator", doc["role"])
	require.NotEmpty(t, doc["expires_at"])
	require.Equal(t, 200, r.call("GET", "/api/status/summary", "", "", "Cookie", cookie).status)

	require.Equal(t, 403, r.call("DELETE", "/api/session", "", "", "Cookie", cookie).status, "without proof of its origin")
	out := r.call("DELETE", "/api/session", "", "", "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
	require.Equal(t, 204, out.status)
	require.Contains(t, out.header.Get("Set-Cookie"), "Max-Age=0")
	require.Equal(t, 401, r.call("GET", "/api/session", "", "", "Cookie", cookie).status)
	require.Equal(t, 401, r.call("GET", "/api/session", "", "").status)
}

func TestASessionChangesThingsFromItsOwnPagesOnly(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) { p.Settings.BaseURL = "http://slipway.example:8080" })
	cookie, _ := signIn(t, r, access.RoleOperator)
	own := "http://" + strings.TrimPrefix(r.web.URL, "http://")
	for name, tc := range map[string]struct {
		headers []string
		ok      bool
	}{
		"nothing":                    {nil, false},
		"same origin by fetch":       {[]string{"Sec-Fetch-Site", "same-origin"}, true},
		"same site":                  {[]string{"Sec-Fetch-Site", "same-site"}, false},
		"cross site":                 {[]string{"Sec-Fetch-Site", "cross-site"}, false},
		"own origin":                 {[]string{"Origin", own}, true},
		"the base URL's origin":      {[]string{"Origin", "http://slipway.example:8080"}, true},
		"foreign origin":             {[]string{"Origin", "http://evil.example"}, false},
		"null origin":                {[]string{"Origin", "null"}, false},
		"own origin, but cross-site": {[]string{"Origin", own, "Sec-Fetch-Site", "cross-site"}, false},
		"suffix":                     {[]string{"Origin", own + ".evil.example"}, false},
	} {
		for _, path := range []string{"/graphql", "/api/config/nodes", "/api/status/phase"} {
			headers := append([]string{"Cookie", cookie, "Content-Type", jsonType}, tc.headers...)
			got := r.call("POST", path, "", "{}", headers...)
			require.Equal(t, !tc.ok, got.status == 403, "%s: %s answered %d", name, path, got.status)
		}
		up := append([]string{"Cookie", cookie, "Upgrade", "websocket", "Connection", "Upgrade"}, tc.headers...)
		require.Equal(t, !tc.ok, r.call("GET", "/graphql", "", "", up...).status == 403, name)
	}
}

func TestSignInRefusals(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	for name, tc := range map[string]struct {
		body    string
		headers []string
		status  int
	}{
		"not JSON type":  {`code=x`, []string{"Content-Type", formType}, 415},
		"no type":        {`{"code":"x"}`, nil, 415},
		"malformed":      {`{"code":`, []string{"Content-Type", jsonType}, 400},
		"wrong type":     {`{"code":7}`, []string{"Content-Type", jsonType}, 400},
		"missing":        {`{}`, []string{"Content-Type", jsonType}, 422},
		"too large":      {`{"code":"` + strings.Repeat("x", 5000) + `"}`, []string{"Content-Type", jsonType}, 413},
		"unknown":        {`{"code":"slc_x"}`, []string{"Content-Type", jsonType}, 401},
		"foreign origin": {`{"code":"x"}`, []string{"Content-Type", jsonType, "Origin", "http://evil.example"}, 403},
	} {
		got := r.call("POST", "/api/session", "", tc.body, tc.headers...)
		require.Equal(t, tc.status, got.status, name)
		require.NotEmpty(t, got.json(t)["error"], name)
	}
}

func TestSecureCookieWithHTTPS(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) { p.Settings.BaseURL = "https://slipway.example" })
	_, in := signIn(t, r, access.RoleViewer)
	require.Contains(t, in.header.Get("Set-Cookie"), "Secure")
	require.NotEmpty(t, in.header.Get("Strict-Transport-Security"))
}

func TestBadCredentials(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	for _, h := range []string{"Basic YTpi", "Bearer", "Bearer ", "Bearer slw_wrong", "bearer slw_x y", "slw_x"} {
		got := r.call("GET", "/api/status/summary", "", "", "Authorization", h)
		require.Equal(t, 401, got.status, h)
		require.Contains(t, got.header.Get("WWW-Authenticate"), "Bearer")
	}
	require.Equal(t, 401, r.call("GET", "/api/status/summary", "", "", "Cookie", "slipway_session=sls_x").status)
	require.Equal(t, 401, r.call("GET", "/api/status/summary", "", "", "Cookie", "slipway_session="+r.viewer).status, "an API token is no cookie")
	require.Equal(t, 200, r.call("GET", "/api/status/summary", "", "", "Authorization", "bearer "+r.viewer).status)
}

func TestWhoFailsOftenIsSlowedDownAndOthersAreNot(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) {
		p.Settings.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	limited := false
	for range 30 {
		got := r.call("GET", "/api/status/summary", "slw_wrong", "", "X-Forwarded-For", "192.0.2.7, 127.0.0.9")
		if got.status == http.StatusTooManyRequests {
			limited = true
			require.NotEmpty(t, got.header.Get("Retry-After"))
			require.Equal(t, "rate_limited", got.json(t)["code"])
		}
	}
	require.True(t, limited)
	require.Equal(t, 401, r.call("GET", "/api/status/summary", "slw_wrong", "", "X-Forwarded-For", "192.0.2.8").status)
	require.Equal(t, 429, r.call("GET", "/api/status/summary", "slw_wrong", "", "X-Forwarded-For", "198.51.100.1, 192.0.2.7").status, "what is before our proxies is a claim")
	require.Equal(t, 200, r.call("GET", "/api/status/summary", r.viewer, "", "X-Forwarded-For", "192.0.2.7").status, "a good token is never held up")
}

// A websocket may bring its token in connection_init, so its upgrade passes
// without one; plain requests do not, and an address that fails too often is
// slowed down.
func TestSocketWithoutCredentials(t *testing.T) {
	var anonymous int
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) {
		p.GraphQL = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if access.FromContext(r.Context()) == nil {
				anonymous++
			}
			w.WriteHeader(http.StatusNoContent)
		})
	})
	upgrade := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.web.URL+"/graphql", http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Upgrade", "websocket")
		req.Header.Set("Connection", "Upgrade")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	require.Equal(t, http.StatusNoContent, upgrade())
	require.Equal(t, 1, anonymous)
	require.Equal(t, http.StatusUnauthorized, r.call("POST", "/graphql", "", `{"query":"{__typename}"}`, "Content-Type", "application/json").status)
	req := httptest.NewRequest(http.MethodGet, "/graphql", http.NoBody)
	req.RemoteAddr = "127.0.0.1:1"
	for range 100 {
		_, err := r.srv.Authenticate(req, "")
		require.Error(t, err)
	}
	require.Equal(t, http.StatusTooManyRequests, upgrade())
}
