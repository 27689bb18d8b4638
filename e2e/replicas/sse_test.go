package replicas_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// message is one Server-Sent Event.
type message struct{ event, id, data string }

// sse reads Server-Sent Events (HTML Living Standard, section 9.2).
type sse struct {
	body   io.ReadCloser
	in     *bufio.Reader
	cancel context.CancelFunc
}

// openSSE opens an event stream. A lastID is sent as a browser that comes back
// sends it; query begins with "?" or is empty.
func openSSE(ctx context.Context, url, query, token, lastID string) (*sse, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/status/events"+query, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := streams.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer cancel()
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return nil, fmt.Errorf("%w: %d %s", errRefused, resp.StatusCode, text)
	}
	return &sse{resp.Body, bufio.NewReader(resp.Body), cancel}, nil
}

// streams has no time limit of its own and keeps no connection.
var streams = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (s *sse) close() {
	s.cancel()
	_ = s.body.Close() // there is nothing left to lose
}

// next gives the next event; comments are passed over.
func (s *sse) next() (m message, err error) {
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return m, err
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && m != (message{}):
			return m, nil
		case name == "event":
			m.event = value
		case name == "id":
			m.id = value
		case name == "data":
			m.data += value
		}
	}
}

func (m message) row(t testing.TB) (r row) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(m.data), &r), m.data)
	return r
}

// follower is a reader that comes back, after whatever happened, with the last
// cursor it had, and keeps what it saw.
type follower struct {
	t     *testing.T
	token string
	pick  func() string // where to connect next
	query string
	last  string
	rows  chan row // what it saw, in order
}

// follow begins a reader that runs until ctx ends. From the beginning: it
// first pages to where there is nothing yet.
func follow(ctx context.Context, t *testing.T, token, query string, pick func() string) *follower {
	t.Helper()
	f := &follower{t: t, token: token, pick: pick, query: query, rows: make(chan row, 100_000)}
	ready := make(chan struct{})
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(done)
		f.run(ctx, ready)
	}()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-ready:
	case <-ctx.Done():
		require.FailNow(t, "the stream did not begin")
	}
	return f
}

func (f *follower) run(ctx context.Context, ready chan struct{}) {
	for ctx.Err() == nil {
		s, err := openSSE(ctx, f.pick(), f.query, f.token, f.last)
		if err != nil {
			pause(ctx)
			continue
		}
		for {
			m, err := s.next()
			if err != nil {
				break
			}
			switch m.event {
			case "phase":
				var r row
				if err := json.Unmarshal([]byte(m.data), &r); err != nil {
					f.t.Errorf("an event that is no JSON: %s", m.data)
				}
				f.rows <- r
			case "reset":
				f.t.Errorf("the stream was reset: %s", m.data)
			}
			if m.id != "" {
				f.last = m.id
				if ready != nil {
					close(ready)
					ready = nil
				}
			}
		}
		s.close()
	}
}

// until gives what was seen up to a message, with the messages of steps only.
func (f *follower) until(last string) (seen []string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		select {
		case r := <-f.rows:
			if r.Phase == "note" {
				seen = append(seen, r.Message)
			}
			if r.Message == last {
				return seen
			}
		case <-ctx.Done():
			require.FailNow(f.t, "never seen: "+last, "seen: %v", seen)
		}
	}
}
