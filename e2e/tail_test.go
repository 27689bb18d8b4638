package e2e

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
)

// tail follows all events of a server, over as many connections as it takes.
type tail struct {
	t *testing.T

	mu      sync.Mutex
	events  []client.Event
	err     error
	changed chan struct{}
}

// follow starts one at the end of the stream as it is now.
func (s *server) follow(ctx context.Context) *tail {
	s.t.Helper()
	w := &tail{t: s.t, changed: make(chan struct{})}
	var page struct{ Cursor string }
	s.get("/api/status/events?limit=1000", &page)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := s.api.Follow(ctx, client.Follow{After: page.Cursor}, func(e client.Event) error {
			w.add(e, nil)
			return nil
		})
		if ctx.Err() == nil {
			w.add(client.Event{}, err)
		}
	}()
	s.t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *tail) add(e client.Event, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.err = err
	} else {
		w.events = append(w.events, e)
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// until waits until the events are as wanted, and gives them.
func (w *tail) until(ctx context.Context, what string, ok func([]client.Event) bool) []client.Event {
	w.t.Helper()
	for {
		w.mu.Lock()
		events, err, changed := w.events, w.err, w.changed
		w.mu.Unlock()
		require.NoError(w.t, err)
		if ok(events) {
			return events
		}
		select {
		case <-changed:
		case <-ctx.Done():
			for _, e := range events {
				w.t.Logf("%d.%d %s %s %s: %s", e.DeploymentID, e.Sequence, e.State, e.Phase, e.Status, e.Message)
			}
			w.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// find gives the first event that matches.
func find(events []client.Event, match func(client.Event) bool) (client.Event, bool) {
	for _, e := range events {
		if match(e) {
			return e, true
		}
	}
	return client.Event{}, false
}

// states is how each deployment stands after these events.
func states(events []client.Event) map[int64]string {
	out := map[int64]string{}
	for _, e := range events {
		out[e.DeploymentID] = e.State
	}
	return out
}

// count is how many deployments are in a state.
func count(events []client.Event, state string) int {
	n := 0
	for _, s := range states(events) {
		if s == state {
			n++
		}
	}
	return n
}
