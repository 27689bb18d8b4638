package replicas_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

const eventsDocument = `subscription ($after: Cursor, $filter: DeploymentEventFilter) {
  deploymentEvents(after: $after, filter: $filter, heartbeatSeconds: 1) {
    __typename
    ... on DeploymentEventBatch { events { message phaseKey } caughtUp cursor }
    ... on StreamHeartbeat { cursor at staleSince }
    ... on StreamReset { reason cursor }
  }
}`

// told is a message of the subscription.
type told struct {
	Typename string `json:"__typename"`
	Events   []struct{ Message, PhaseKey string }
	CaughtUp bool
	Cursor   string
	Reason   string
	// A heartbeat's.
	At         time.Time
	StaleSince *time.Time
}

// wsMessage is a message of graphql-transport-ws.
type wsMessage struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

func dialSocket(ctx context.Context, url string, protocols ...string) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{Subprotocols: protocols, HandshakeTimeout: 30 * time.Second}
	return d.DialContext(ctx, "ws"+strings.TrimPrefix(url, "http")+"/graphql", nil)
}

// openSocket connects and is acknowledged.
func openSocket(ctx context.Context, url, token string) (*websocket.Conn, error) {
	ws, resp, err := dialSocket(ctx, url, "graphql-transport-ws")
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("%w: %d: %w", errRefused, resp.StatusCode, err)
		}
		return nil, err
	}
	init, _ := json.Marshal(map[string]string{"authorization": "Bearer " + token})
	m, err := wsMessage{}, ws.WriteJSON(wsMessage{Type: "connection_init", Payload: init})
	if err == nil {
		err = ws.ReadJSON(&m)
	}
	if err == nil && m.Type != "connection_ack" {
		err = fmt.Errorf("%s in place of connection_ack", m.Type)
	}
	if err != nil {
		_ = ws.Close()
		return nil, err
	}
	return ws, nil
}

// openSocketWith connects as the app does: with the session's cookie.
func openSocketWith(ctx context.Context, url string, session *http.Cookie) (*websocket.Conn, error) {
	d := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: 30 * time.Second}
	ws, _, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(url, "http")+"/graphql", http.Header{"Cookie": {session.Name + "=" + session.Value}, "Origin": {url}})
	if err != nil {
		return nil, err
	}
	m, err := wsMessage{}, ws.WriteJSON(wsMessage{Type: "connection_init"})
	if err == nil {
		err = ws.ReadJSON(&m)
	}
	if err == nil && m.Type != "connection_ack" {
		err = fmt.Errorf("%s in place of connection_ack", m.Type)
	}
	if err != nil {
		_ = ws.Close()
		return nil, err
	}
	return ws, nil
}

// subscribeEvents begins the subscription; after "" is from now on.
func subscribeEvents(ws *websocket.Conn, id, after string) error {
	variables := map[string]any{}
	if after != "" {
		variables["after"] = after
	}
	payload, err := json.Marshal(map[string]any{"query": eventsDocument, "variables": variables})
	if err != nil {
		return err
	}
	return ws.WriteJSON(wsMessage{ID: id, Type: "subscribe", Payload: payload})
}

// nextTold reads the next message of the subscription.
func nextTold(ws *websocket.Conn) (out told, err error) {
	for {
		var m wsMessage
		if err := ws.ReadJSON(&m); err != nil {
			return out, err
		}
		switch m.Type {
		case "ping":
			if err := ws.WriteJSON(wsMessage{Type: "pong"}); err != nil {
				return out, err
			}
		case "next":
			var p struct {
				Data   struct{ DeploymentEvents *told }
				Errors json.RawMessage
			}
			if err := json.Unmarshal(m.Payload, &p); err != nil {
				return out, err
			}
			if p.Data.DeploymentEvents == nil {
				return out, fmt.Errorf("a message without data: %s", m.Payload)
			}
			return *p.Data.DeploymentEvents, nil
		default:
			return out, fmt.Errorf("%s: %s", m.Type, m.Payload)
		}
	}
}

// events is a subscription on a socket that must hold.
type events struct {
	t     *testing.T
	told  chan told
	broke chan error
}

// dialEvents opens a socket with the subscription and waits for its first
// message: the stream stands. It is read all the time, as a client must, which
// else does not answer pings.
func dialEvents(ctx context.Context, t *testing.T, url, token, after string) *events {
	t.Helper()
	ws, err := openSocket(ctx, url, token)
	require.NoError(t, err)
	require.NoError(t, subscribeEvents(ws, "1", after))
	e := &events{t, make(chan told, 10_000), make(chan error, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := nextTold(ws)
			if err != nil {
				e.broke <- err
				return
			}
			e.told <- m
		}
	}()
	t.Cleanup(func() { _ = ws.Close(); <-done })
	if after == "" {
		e.next()
	}
	return e
}

func (e *events) next() told {
	e.t.Helper()
	select {
	case m := <-e.told:
		return m
	case err := <-e.broke:
		require.FailNow(e.t, "the socket broke", "%v", err)
	case <-time.After(patience):
		require.FailNow(e.t, "nothing came")
	}
	return told{}
}

// until gives the steps that came up to a message.
func (e *events) until(last string) (seen []string) {
	e.t.Helper()
	for {
		m := e.next()
		require.NotEqual(e.t, "StreamReset", m.Typename, m.Reason)
		for _, one := range m.Events {
			if one.PhaseKey == "note" {
				seen = append(seen, one.Message)
			}
			if one.Message == last {
				return seen
			}
		}
	}
}

// broken waits for the end of the socket and gives its reason.
func (e *events) broken() error {
	e.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case <-e.told:
		case err := <-e.broke:
			return err
		case <-deadline:
			require.FailNow(e.t, "the socket still stands")
		}
	}
}

// beat gives the next heartbeat that is, or is not, stale.
func (e *events) beat(stale bool) told {
	e.t.Helper()
	for {
		m := e.next()
		require.NotEqual(e.t, "StreamReset", m.Typename, m.Reason)
		if m.Typename == "StreamHeartbeat" && (m.StaleSince != nil) == stale {
			return m
		}
	}
}

// ask runs a query on an open socket and gives the answer's payload.
func ask(ws *websocket.Conn, id, query string) (payload string, err error) {
	body, err := json.Marshal(map[string]string{"query": query})
	if err == nil {
		err = ws.WriteJSON(wsMessage{ID: id, Type: "subscribe", Payload: body})
	}
	for err == nil {
		var m wsMessage
		switch err = ws.ReadJSON(&m); {
		case err == nil && m.Type == "ping":
			err = ws.WriteJSON(wsMessage{Type: "pong"})
		case m.ID == id:
			return string(m.Payload), err
		}
	}
	return "", err
}

// socketFollower is a client that comes back with its last cursor, whatever
// happens.
type socketFollower struct {
	*follower
}

func followSocket(ctx context.Context, t *testing.T, token string, pick func() string) *socketFollower {
	t.Helper()
	f := &socketFollower{&follower{t: t, token: token, pick: pick, rows: make(chan row, 100_000)}}
	ready, done := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(done)
		f.run(ctx, ready)
	}()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-ready:
	case <-ctx.Done():
		require.FailNow(t, "the subscription did not begin")
	}
	return f
}

func (f *socketFollower) run(ctx context.Context, ready chan struct{}) {
	for ctx.Err() == nil {
		ws, err := openSocket(ctx, f.pick(), f.token)
		if err != nil {
			pause(ctx)
			continue
		}
		cut := context.AfterFunc(ctx, func() { _ = ws.Close() })
		if subscribeEvents(ws, "1", f.last) == nil {
			f.read(ws, &ready)
		}
		cut()
		_ = ws.Close()
	}
}

func (f *socketFollower) read(ws *websocket.Conn, ready *chan struct{}) {
	for {
		m, err := nextTold(ws)
		if err != nil {
			return
		}
		if m.Typename == "StreamReset" {
			f.t.Errorf("the stream was reset: %s", m.Reason)
		}
		for _, one := range m.Events {
			f.rows <- row{Phase: one.PhaseKey, Message: one.Message}
		}
		f.last = m.Cursor
		if *ready != nil {
			close(*ready)
			*ready = nil
		}
	}
}
