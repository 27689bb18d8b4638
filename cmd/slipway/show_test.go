package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/e2e/simlock"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/machine"
)

const demoProfile = "bx2d-metal-96x384"

// showLimit bounds a demonstration: they are over in seconds, where much else runs
// in minutes.
const showLimit = 8 * time.Minute

// clock is the time that a test can put forward; it goes on by itself.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// show is a whole demonstration in this process, watched through its feed.
type show struct {
	*demo
	t     *testing.T
	ctx   context.Context
	clock *clock
	api   *client.Client
	token string

	ids    map[string]int64 // deployments by node name
	stream *feed.EventStream
	events map[int64][]*feed.Event // by deployment, in order
	quiet  int                     // heartbeats of the stream since the last event
}

// startShow starts one; it ends with the test, and must leave nothing behind.
func startShow(t *testing.T, limit time.Duration, o demoOptions) *show {
	t.Helper()
	simlock.Take(t)
	log := &logText{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	s := &show{t: t, clock: &clock{}, ids: map[string]int64{}, events: map[int64][]*feed.Event{}}
	o.Listen, o.Pace, o.Logger, o.Now = "127.0.0.1:0", machine.QuickPace(), slog.New(slog.NewTextHandler(log, nil)), s.clock.Now
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	var err error
	s.demo, err = startDemo(s.ctx, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		if s.stream != nil {
			s.stream.Close()
		}
		require.NoError(t, s.Stop())
		require.NoDirExists(t, s.dir, "the temporary directory must be gone")
	})
	s.token, _, err = s.app.Access.CreateToken(s.ctx, access.NewToken{Name: "tester", Role: access.RoleOperator, CreatedBy: "test"})
	require.NoError(t, err)
	s.api, err = client.New(s.app.URL, s.token)
	require.NoError(t, err)
	s.stream = s.app.Feed.Events(feed.Filter{IncludeRefused: true}, nil, time.Second)
	return s
}

// deploy orders nodes through the API; installer "" = the usual one.
func (s *show) deploy(nodes map[string]string) {
	s.t.Helper()
	parallel := len(nodes)
	in := client.DeployNodesInput{MaxParallel: &parallel}
	for name, installer := range nodes {
		spec := &client.IbmVpcSpec{ServerProfile: demoProfile, Installer: optional(installer)}
		in.Nodes = append(in.Nodes, client.DeployNodeInput{Name: name, Spec: client.DeploySpec{IbmVpc: spec}})
	}
	list, err := s.api.Deploy(s.ctx, in)
	require.NoError(s.t, err)
	s.ordered(list)
}

func (s *show) ordered(list []client.Deployment) {
	s.t.Helper()
	for _, d := range list {
		require.NoError(s.t, d.Err)
		id, err := strconv.ParseInt(strings.TrimPrefix(d.ID, "dep_"), 10, 64)
		require.NoError(s.t, err)
		s.ids[d.NodeName] = id
	}
}

// until reads the feed until done says so; done is asked after every batch.
func (s *show) until(what string, done func() bool) {
	s.t.Helper()
	for !done() {
		b, err := s.stream.Next(s.ctx)
		if err != nil {
			s.t.Fatalf("waiting until %s: %v\n%s", what, err, s.told())
		}
		require.Empty(s.t, b.Reset)
		if b.Heartbeat {
			s.quiet++
		}
		for _, e := range b.Events {
			s.quiet = 0
			s.events[e.DeploymentID] = append(s.events[e.DeploymentID], e)
		}
	}
}

// last is the last event of a node's deployment; an empty one if there is none.
func (s *show) last(name string) *feed.Event {
	list := s.events[s.ids[name]]
	if len(list) == 0 {
		return &feed.Event{}
	}
	return list[len(list)-1]
}

func (s *show) is(state string, names ...string) bool {
	for _, n := range names {
		if s.last(n).State != state {
			return false
		}
	}
	return true
}

// told lists what the feed has said, for the message of a failure.
func (s *show) told() string {
	var b strings.Builder
	for name, id := range s.ids {
		for _, e := range s.events[id] {
			fmt.Fprintf(&b, "%s %d %s %s %s: %s\n", name, e.Sequence, e.State, e.Phase, e.Status, e.Message)
		}
	}
	return b.String()
}

// get reads a document of the REST face.
func (s *show) get(path string, out any) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.app.URL+path, nil)
	require.NoError(s.t, err)
	r.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	require.Equal(s.t, http.StatusOK, resp.StatusCode, path)
	require.NoError(s.t, json.NewDecoder(resp.Body).Decode(out), path)
}

// status is how a node stands.
func (s *show) status(name string) query.NodeStatus {
	s.t.Helper()
	require.NotEmpty(s.t, s.events[s.ids[name]], name)
	var out query.NodeStatus
	s.get(fmt.Sprintf("/api/status/nodes/%d", s.events[s.ids[name]][0].NodeID), &out)
	require.Equal(s.t, name, out.ServerName)
	return out
}

// history is everything that was recorded of a node.
func (s *show) history(name string) []query.HistoryRow {
	s.t.Helper()
	var out struct {
		Rows []query.HistoryRow `json:"deployment_history"`
	}
	s.get(fmt.Sprintf("/api/status/history/%d?include=refused", s.events[s.ids[name]][0].NodeID), &out)
	return out.Rows
}

// server is a node's server in the simulated account.
func (s *show) server(name string) vpcsim.ServerState {
	s.t.Helper()
	for _, sv := range s.sim.Simulator.State().Servers {
		if strings.HasPrefix(sv.Name, "slw-"+name+"-d") {
			return sv
		}
	}
	s.t.Fatalf("%s has no server", name)
	return vpcsim.ServerState{}
}

// logText is a log in memory.
type logText struct {
	mu   sync.Mutex
	text []byte
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 20_000
	return string(l.text[max(0, len(l.text)-most):])
}

// reachableDir is a temporary directory that unprivileged users may enter.
func reachableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-test-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	abs, err := filepath.Abs(dir)
	require.NoError(t, err)
	return abs
}
