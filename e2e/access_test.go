package e2e

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

func (y *system) graphql(t *testing.T) {
	ask := []string{"-d", `{"query":"{ bareMetalNodes { totalCount } }"}`}
	good := y.as(t, "/graphql", args(jsonType, ask)...)
	require.Equal(t, 200, good.status, good.body)
	require.Contains(t, good.body, `"totalCount"`)
	for name, tc := range map[string]struct {
		status int
		args   []string
	}{
		"a form":              {415, ask},
		"text":                {415, args([]string{"-H", "Content-Type: text/plain"}, ask)},
		"no type":             {415, args([]string{"-H", "Content-Type:"}, ask)},
		"GET":                 {405, nil},
		"GET with a query":    {405, []string{"-G", "-d", "query={__typename}"}},
		"multipart":           {415, []string{"-F", "operations={}"}},
		"no JSON":             {400, args(jsonType, []string{"-d", "{"})},
		"no query":            {422, args(jsonType, []string{"-d", "{}"})},
		"syntax":              {400, args(jsonType, []string{"-d", `{"query":"{"}`})},
		"unknown field":       {422, args(jsonType, []string{"-d", `{"query":"{ nothing }"}`})},
		"subscription":        {422, args(jsonType, []string{"-d", `{"query":"subscription { fleetChanges { __typename } }"}`})},
		"no acceptable media": {406, args(jsonType, ask, []string{"-H", "Accept: text/html"})},
	} {
		got := y.as(t, "/graphql", tc.args...)
		require.Equal(t, tc.status, got.status, "%s: %s", name, got.body)
		require.Contains(t, got.body, `"errors"`, name)
	}
	require.Equal(t, 401, y.curl(t, "/graphql", args(jsonType, ask)...).status)
	denied := y.curl(t, "/graphql", args(bearer(y.viewer), jsonType, []string{"-d",
		`{"query":"mutation { deployNodes(input: {nodes: []}) { errors { code } } }"}`})...)
	require.Contains(t, denied.body, "FORBIDDEN")
}

func (y *system) signIn(t *testing.T) {
	link := must(t, append([]string{"token", "signin", "Ada", "--role=operator", "--server=" + y.base}, y.data...)...)
	m := regexp.MustCompile(`^` + regexp.QuoteMeta(y.base) + `/monitoring#signin=(slc_\S+)$`).FindStringSubmatch(link)
	require.NotNil(t, m, link)
	require.Equal(t, 200, y.curl(t, "/monitoring").status)
	use := args(jsonType, []string{"-d", `{"code":"` + m[1] + `"}`})
	mustRefuse(t, y.curl(t, "/api/session", args(use, []string{"-H", "Origin: https://elsewhere.example"})...), 403, "forbidden")
	first := y.curl(t, "/api/session", use...)
	require.Equal(t, 204, first.status, first.body)
	cookie := first.header["set-cookie"]
	require.Regexp(t, `^slipway_session=sls_[^;]+; `, cookie)
	for _, attribute := range []string{"HttpOnly", "SameSite=Lax", "Path=/"} {
		require.Contains(t, cookie, attribute)
	}
	second := y.curl(t, "/api/session", use...)
	mustRefuse(t, second, 401, "unauthenticated")
	require.NotContains(t, second.header, "set-cookie")

	cookie, _, _ = strings.Cut(cookie, ";")
	ask := args(jsonType, []string{"-H", "Cookie: " + cookie, "-d", `{"query":"{ bareMetalNodes { totalCount } }"}`})
	own := []string{"-H", "Origin: " + y.base, "-H", "Sec-Fetch-Site: same-origin"}
	require.Equal(t, 200, y.curl(t, "/graphql", args(ask, own)...).status)
	for name, from := range map[string][]string{
		"another site":             {"-H", "Origin: https://elsewhere.example", "-H", "Sec-Fetch-Site: cross-site"},
		"another port":             {"-H", "Origin: http://127.0.0.1:1"},
		"a site beside it":         {"-H", "Sec-Fetch-Site: same-site"},
		"an opaque origin":         {"-H", "Origin: null"},
		"nothing that speaks well": nil,
	} {
		got := y.curl(t, "/graphql", args(ask, from)...)
		require.Equal(t, 403, got.status, "%s: %s", name, got.body)
	}
	who := y.curl(t, "/api/session", "-H", "Cookie: "+cookie).json(t)
	require.Equal(t, "Ada operator", text(who["name"])+" "+text(who["role"]))
	require.Equal(t, 204, y.curl(t, "/api/session", args(own, []string{"-X", "DELETE", "-H", "Cookie: " + cookie})...).status)
	require.Equal(t, 401, y.curl(t, "/graphql", args(ask, own)...).status, "signed out")
}

func (y *system) refusedSockets(t *testing.T) {
	authorized := http.Header{"Authorization": {"Bearer " + y.token}}
	// Neither upgrade nor connection_init show who it is.
	closed := func(header http.Header, init map[string]any) *websocket.CloseError {
		conn, resp, err := y.dial(y.ctx, header)
		if err != nil {
			require.NotNil(t, resp, "%v", err)
			return &websocket.CloseError{Code: resp.StatusCode}
		}
		defer conn.Close()
		require.NoError(t, resp.Body.Close())
		require.NoError(t, conn.WriteJSON(init))
		var frame json.RawMessage
		err = conn.ReadJSON(&frame)
		var end *websocket.CloseError
		require.ErrorAs(t, err, &end, "%s", frame)
		return end
	}
	init := map[string]any{"type": "connection_init"}
	require.Equal(t, 4403, closed(nil, init).Code)
	bad := map[string]any{"type": "connection_init", "payload": map[string]any{"authorization": "Bearer slw_wrong"}}
	require.Equal(t, 4403, closed(nil, bad).Code)
	require.Equal(t, 401, closed(http.Header{"Authorization": {"Bearer slw_wrong"}}, init).Code)
	require.Equal(t, 4401, closed(authorized, map[string]any{"id": "1", "type": "subscribe", "payload": map[string]any{"query": eventsQuery}}).Code)
	require.Equal(t, 4400, closed(authorized, map[string]any{"type": "nonsense"}).Code)

	for _, origin := range []string{"https://elsewhere.example", "http://127.0.0.1:1", "null"} {
		header := authorized.Clone()
		header.Set("Origin", origin)
		_, resp, err := y.dial(y.ctx, header)
		require.ErrorIs(t, err, websocket.ErrBadHandshake, origin)
		require.Equal(t, 403, resp.StatusCode, origin)
		require.NoError(t, resp.Body.Close())
	}
	header := authorized.Clone()
	header.Set("Origin", y.base)
	conn, resp, err := y.dial(y.ctx, header)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, conn.Close())
}
