package graph_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/graph"
	"github.com/slipwayhq/slipway/graph/wstransport"
)

// A socket is closed when its credential is taken back.
func TestSocketEndsWithRevocation(t *testing.T) {
	st := storetest.SQLite(t)
	people := access.New(st)
	h := build(t, st, func(d *graph.Deps, _ *feed.Options) {
		d.Authenticate = func(r *http.Request, secret string) (*access.Principal, error) {
			return people.Authenticate(r.Context(), secret)
		}
		d.Watch = people.Watch
	})
	secret, token, err := people.CreateToken(t.Context(), access.NewToken{Name: "ci", Role: access.RoleViewer})
	require.NoError(t, err)
	d := websocket.Dialer{Subprotocols: []string{wstransport.Subprotocol}}
	ws, _, err := d.Dial("ws"+strings.TrimPrefix(h.srv.URL, "http"), nil)
	require.NoError(t, err)
	defer ws.Close()
	s := &socket{t, ws}
	s.write(m{"type": "connection_init", "payload": m{"authorization": "Bearer " + secret}})
	require.Equal(t, "connection_ack", s.message()["type"])
	s.write(m{"type": "subscribe", "id": "1", "payload": m{"query": operation(t, "Changes")}})
	require.Equal(t, "FleetSnapshotPage", s.next()["__typename"])
	require.Equal(t, 1, people.Watched())
	require.NoError(t, people.RevokeToken(t.Context(), token.ID))
	for err == nil {
		_, _, err = ws.ReadMessage()
	}
	require.True(t, websocket.IsCloseError(err, 4403), "%v", err)
	require.Zero(t, people.Watched())
}
