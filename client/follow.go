package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Event is one event of the stream, with the keys of a history row.
type Event struct {
	Phase        string    `json:"phase"`
	Status       string    `json:"status"`
	Message      string    `json:"message"`
	Timestamp    time.Time `json:"timestamp"`
	OccurredAt   time.Time `json:"occurred_at"`
	NodeID       int64     `json:"node_id"`
	DeploymentID int64     `json:"deployment_id"`
	Attempt      int       `json:"attempt"`
	Sequence     int       `json:"sequence"`
	Cursor       string    `json:"cursor"`
	State        string    `json:"state"`
	Outcome      string    `json:"outcome"`
	Source       string    `json:"source"`
	Progress     *int      `json:"progress"`
}

// Ended reports whether the event ended its deployment.
func (e Event) Ended() bool {
	switch e.State {
	case "queued", "running", "canceling", "cleaning_up":
		return false
	}
	return true
}

// Follow says which events to follow.
type Follow struct {
	Deployments []string // ids; the stream ends by itself when all have ended
	Nodes       []string
	After       string // cursor; empty = from now on
	// OnLost is told of a lost connection and of the pause before the next try.
	OnLost func(err error, pause time.Duration)
	// GiveUp ends the following after this long without a connection; 0 = never.
	GiveUp time.Duration
}

// ErrReset is what Follow ends with when the server no longer has what came
// after the cursor: read the state anew, then follow from now.
var ErrReset = errors.New("the server no longer has the events after this cursor")

// refused is an answer that trying again does not change.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// silence is how long a stream may be quiet; the server sends a heartbeat
// every 15 s.
const silence = 45 * time.Second

// Follow calls each for every event, once and in order, over as many
// connections as it takes. It returns nil when the server has ended the
// stream because all named deployments have ended.
func (c *Client) Follow(ctx context.Context, f Follow, each func(Event) error) error {
	last := time.Now()
	pause := 250 * time.Millisecond
	for {
		before := f.After
		ended, err := c.stream(ctx, &f, each)
		var no refused
		switch {
		case ended:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &no):
			return no.error
		}
		if f.After != before {
			last, pause = time.Now(), 250*time.Millisecond
		}
		if f.GiveUp > 0 && time.Since(last) > f.GiveUp {
			return fmt.Errorf("no connection for %s: %w", f.GiveUp, err)
		}
		wait := pause/2 + rand.N(pause) //nolint:gosec // jitter is no secret
		if f.OnLost != nil {
			f.OnLost(err, wait)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, 10*time.Second)
	}
}

// stream reads one connection; ended means that nothing more will come.
func (c *Client) stream(ctx context.Context, f *Follow, each func(Event) error) (ended bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(errors.New("the stream fell silent")) })
	defer quiet.Stop()
	q := url.Values{"deployment": f.Deployments, "node": f.Nodes}
	body, err := c.openStream(ctx, "/api/status/events?"+q.Encode(), f.After)
	if err != nil {
		return false, err
	}
	defer body.Close()
	return readEvents(body, func() { quiet.Reset(silence) }, func(id, kind, data string) (bool, error) {
		ended, err := dispatch(kind, data, each)
		if err != nil {
			return false, refused{err}
		}
		if id != "" {
			f.After = id
		}
		return ended, nil
	}, func() error { return context.Cause(ctx) })
}

// openStream asks for Server-Sent Events after the one with an id, or all if it
// is empty. The error is refused if there is no use in asking again.
func (c *Client) openStream(ctx context.Context, path, after string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, refused{err}
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer "+c.token)
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // only for the message
	refusal := &APIError{Status: resp.StatusCode}
	if json.Unmarshal(text, refusal) == nil && refusal.Code != "" {
		err = refusal
	} else {
		err = fmt.Errorf("the server answered %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return nil, err
	}
	return nil, refused{err}
}

// readEvents reads Server-Sent Events (HTML Living Standard, section 9.2) until
// one of them ends the stream. alive is called for every line; why tells what
// broke a connection, if something of ours did.
func readEvents(from io.Reader, alive func(), each func(id, kind, data string) (ended bool, err error), why func() error) (ended bool, err error) {
	lines := bufio.NewReader(from)
	var id, kind string
	var data strings.Builder
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			if cause := why(); cause != nil {
				err = cause
			}
			return false, err
		}
		alive()
		field, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			data.WriteString(value)
		case "":
			if line != "\n" && line != "\r\n" {
				continue // a comment
			}
			if ended, err := each(id, kind, data.String()); ended || err != nil {
				return ended, err
			}
			id, kind = "", ""
			data.Reset()
		}
	}
}

func dispatch(kind, data string, each func(Event) error) (ended bool, err error) {
	switch kind {
	case "end":
		return true, nil
	case "reset":
		return false, ErrReset
	case "phase":
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return false, fmt.Errorf("reading an event: %w", err)
		}
		return false, each(e)
	}
	return false, nil
}
