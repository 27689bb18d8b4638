package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"
)

// ScriptRun is one run of the deployment script.
type ScriptRun = ScriptRunFields

// ScriptRunDetails is a run with what it stored.
type ScriptRunDetails = ScriptRunQueryScriptRun

// ScriptMarker is the file that says that a run is in progress.
type ScriptMarker = ScriptMarkerFields

// ScriptHost is the host of the deployment script.
type ScriptHost = ScriptHostQueryScriptHost

// Polling is where the polling of a deployment's host stands.
type Polling = PollingQueryNodesDeployment

// ErrNoRun is the answer to an id that no run has.
var ErrNoRun = errors.New("there is no such run of the deployment script")

// ScriptRuns reads the newest runs, at most limit of them.
func (c *Client) ScriptRuns(ctx context.Context, limit int) ([]ScriptRun, error) {
	var out []ScriptRun
	var after *string
	for len(out) < limit {
		size := min(limit-len(out), 100)
		resp, err := ScriptRunsQuery(ctx, c.gql, &size, after)
		if err != nil {
			return nil, fmt.Errorf("reading runs: %w", err)
		}
		for _, r := range resp.ScriptRuns.Nodes {
			out = append(out, r.ScriptRunFields)
		}
		if page := resp.ScriptRuns.PageInfo; page.HasNextPage && page.EndCursor != nil {
			after = page.EndCursor
			continue
		}
		break
	}
	return out, nil
}

// ScriptRun reads one run; ErrNoRun if there is none.
func (c *Client) ScriptRun(ctx context.Context, id string) (*ScriptRunDetails, error) {
	resp, err := ScriptRunQuery(ctx, c.gql, id)
	if err != nil {
		return nil, fmt.Errorf("reading run %s: %w", id, err)
	}
	if resp.ScriptRun == nil {
		return nil, ErrNoRun
	}
	return resp.ScriptRun, nil
}

// ScriptHost reads how the host of the deployment script stands; nil if the
// server runs none.
func (c *Client) ScriptHost(ctx context.Context) (*ScriptHost, error) {
	resp, err := ScriptHostQuery(ctx, c.gql)
	if err != nil {
		return nil, fmt.Errorf("reading the host of the deployment script: %w", err)
	}
	return resp.ScriptHost, nil
}

// CancelScriptRun has a running script ended; force does not give it time to
// end by itself.
func (c *Client) CancelScriptRun(ctx context.Context, id, reason string, force bool) (*ScriptRun, error) {
	in := CancelScriptRunInput{Id: id, Force: &force}
	if reason != "" {
		in.Reason = &reason
	}
	resp, err := CancelScriptRunMutation(ctx, c.gql, in)
	if err != nil {
		return nil, fmt.Errorf("canceling run %s: %w", id, err)
	}
	var bad Problems
	for _, e := range resp.CancelScriptRun.Errors {
		bad = append(bad, e.ProblemFields)
	}
	if len(bad) > 0 {
		return nil, bad
	}
	if resp.CancelScriptRun.Run == nil {
		return nil, ErrNoRun
	}
	return &resp.CancelScriptRun.Run.ScriptRunFields, nil
}

// ClearScriptMarker removes the marker of a run in progress that no living
// script has made.
func (c *Client) ClearScriptMarker(ctx context.Context) (ScriptMarker, error) {
	resp, err := ClearScriptMarkerMutation(ctx, c.gql)
	if err != nil {
		return ScriptMarker{}, fmt.Errorf("removing the marker: %w", err)
	}
	var bad Problems
	for _, e := range resp.ClearScriptMarker.Errors {
		bad = append(bad, e.ProblemFields)
	}
	if len(bad) > 0 {
		return ScriptMarker{}, bad
	}
	if resp.ClearScriptMarker.Marker == nil {
		return ScriptMarker{}, nil
	}
	return resp.ClearScriptMarker.Marker.ScriptMarkerFields, nil
}

// Polling reads where the polling of the hosts of deployments stands, by
// deployment.
func (c *Client) Polling(ctx context.Context, deployments []string) (map[string]Polling, error) {
	resp, err := PollingQuery(ctx, c.gql, deployments)
	if err != nil {
		return nil, fmt.Errorf("reading how hosts are polled: %w", err)
	}
	out := map[string]Polling{}
	for _, n := range resp.Nodes {
		if n == nil {
			continue
		}
		if d, ok := (*n).(*PollingQueryNodesDeployment); ok {
			out[d.Id] = *d
		}
	}
	return out, nil
}

// LogEnd is how a run stood when its output had ended.
type LogEnd struct {
	ID       int64
	State    string
	ExitCode *int `json:"exit_code"`
	Signal   *string
	Problem  *string
}

// FollowLog says which output to follow.
type FollowLog struct {
	Run    string // id
	Offset int64  // where to begin, in bytes
	// OnLost is told of a lost connection and of the pause before the next try.
	OnLost func(err error, pause time.Duration)
}

// FollowLog calls each for every piece of a run's output, once and in order,
// over as many connections as it takes, until the run has ended.
func (c *Client) FollowLog(ctx context.Context, f FollowLog, each func(text string) error) (LogEnd, error) {
	pause := 250 * time.Millisecond
	for {
		before := f.Offset
		end, err := c.logStream(ctx, &f, each)
		var no refused
		switch {
		case end != nil:
			return *end, nil
		case ctx.Err() != nil:
			return LogEnd{}, ctx.Err()
		case errors.As(err, &no):
			return LogEnd{}, no.error
		}
		if f.Offset != before {
			pause = 250 * time.Millisecond
		}
		wait := pause/2 + rand.N(pause) //nolint:gosec // jitter is no secret
		if f.OnLost != nil {
			f.OnLost(err, wait)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return LogEnd{}, ctx.Err()
		}
		pause = min(2*pause, 10*time.Second)
	}
}

// logStream reads one connection; a run's end comes from its last event.
func (c *Client) logStream(ctx context.Context, f *FollowLog, each func(text string) error) (end *LogEnd, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(errors.New("the stream fell silent")) })
	defer quiet.Stop()
	body, err := c.openStream(ctx, "/api/script/runs/"+url.PathEscape(f.Run)+"/log", strconv.FormatInt(f.Offset, 10))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	_, err = readEvents(body, func() { quiet.Reset(silence) }, func(id, kind, data string) (bool, error) {
		switch kind {
		case "log":
			var piece struct{ Text string }
			if err := json.Unmarshal([]byte(data), &piece); err != nil {
				return false, refused{fmt.Errorf("reading output: %w", err)}
			}
			if err := each(piece.Text); err != nil {
				return false, refused{err}
			}
		case "end":
			end = &LogEnd{}
			if err := json.Unmarshal([]byte(data), end); err != nil {
				return false, refused{fmt.Errorf("reading the end of output: %w", err)}
			}
		}
		if next, err := strconv.ParseInt(id, 10, 64); err == nil {
			f.Offset = next
		}
		return end != nil, nil
	}, func() error { return context.Cause(ctx) })
	return end, err
}
