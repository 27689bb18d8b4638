package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// eventsQuery subscribes to all events.
const eventsQuery = `subscription($after: Cursor, $beat: Int) { deploymentEvents(after: $after, heartbeatSeconds: $beat) {
	__typename
	... on DeploymentEventBatch { cursor caughtUp events { id cursor sequence phaseKey message } }
	... on StreamHeartbeat { cursor at }
	... on StreamReset { cursor reason }
} }`

// fleetQuery subscribes to the fleet's table.
const fleetQuery = `subscription($after: Cursor, $beat: Int) { fleetChanges(after: $after, heartbeatSeconds: $beat) {
	__typename
	... on FleetSnapshotPage { cursor last nodes { id name deploymentStatus version } }
	... on FleetDelta { cursor removedIds changed { id name deploymentStatus version } }
	... on StreamHeartbeat { cursor at }
	... on StreamReset { cursor reason }
} }`

// message is a message of a subscription.
type message struct {
	Type   string `json:"__typename"`
	Cursor string
	Reason string
	Last   bool
	Events []struct {
		ID, Cursor, PhaseKey, Message string
		Sequence                      int
	}
	Nodes, Changed []fleetNode
	RemovedIDs     []string `json:"removedIds"`
}

type fleetNode struct {
	ID, Name, DeploymentStatus string
	Version                    int
}

// socket is a client of graphql-transport-ws with one subscription.
type socket struct {
	conn *websocket.Conn
}

// dial opens a websocket.
func (s *server) dial(ctx context.Context, header http.Header) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: time.Minute}
	return d.DialContext(ctx, "ws"+strings.TrimPrefix("http://"+s.addr, "http")+"/graphql", header)
}

// subscribe opens a socket and subscribes.
func (s *server) subscribe(ctx context.Context, t testing.TB, query string, variables map[string]any) *socket {
	t.Helper()
	conn, resp, err := s.dial(ctx, http.Header{"Authorization": {"Bearer " + s.token}})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	t.Cleanup(func() { _ = conn.Close() }) // it may be closed already
	end, _ := ctx.Deadline()
	require.NoError(t, conn.SetReadDeadline(end))
	require.NoError(t, conn.WriteJSON(map[string]any{"type": "connection_init"}))
	var ack struct{ Type string }
	require.NoError(t, conn.ReadJSON(&ack))
	require.Equal(t, "connection_ack", ack.Type)
	require.NoError(t, conn.WriteJSON(map[string]any{"id": "1", "type": "subscribe", "payload": map[string]any{"query": query, "variables": variables}}))
	return &socket{conn}
}

// next reads the next message of the subscription; pings are answered.
func (s *socket) next(t testing.TB) message {
	t.Helper()
	for {
		var frame struct {
			Type    string
			Payload json.RawMessage
		}
		require.NoError(t, s.conn.ReadJSON(&frame))
		switch frame.Type {
		case "ping":
			require.NoError(t, s.conn.WriteJSON(map[string]any{"type": "pong"}))
		case "next":
			var payload struct {
				Data   map[string]message
				Errors json.RawMessage
			}
			require.NoError(t, json.Unmarshal(frame.Payload, &payload))
			require.Empty(t, payload.Errors)
			require.Len(t, payload.Data, 1)
			for _, m := range payload.Data {
				return m
			}
		default:
			t.Fatalf("a frame of type %s: %s", frame.Type, frame.Payload)
		}
	}
}

// untilMessage reads until an event has this message.
func (s *socket) untilMessage(ctx context.Context, t testing.TB, want string) {
	t.Helper()
	for ctx.Err() == nil {
		for _, e := range s.next(t).Events {
			if e.Message == want {
				return
			}
		}
	}
	t.Fatalf("no event with %q came", want)
}

// drop cuts the connection without a word, as a lost network does.
func (s *socket) drop() { _ = s.conn.NetConn().Close() }
