package feed_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
)

// house is a writer and a feed on one database, as one process has them.
type house struct {
	t    *testing.T
	st   *store.Store
	feed *feed.Feed
	*lifecycle.Writer
}

// open starts a process. With deaf its feed hears of nobody's commits: only
// polling and, on PostgreSQL, notifications wake it.
func open(t *testing.T, st *store.Store, opts feed.Options, deaf bool) *house {
	t.Helper()
	opts.Logger = slog.New(slog.DiscardHandler)
	f := feed.New(st, opts)
	wo := lifecycle.Options{Logger: opts.Logger, OnCommit: f.Wake}
	if deaf {
		wo.OnCommit = nil
	}
	w := lifecycle.New(st, wo)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx) })
	wg.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	<-f.Ready()
	return &house{t, st, f, w}
}

func (h *house) deploy(name string) lifecycle.Deployed {
	h.t.Helper()
	d, err := h.Deploy(h.t.Context(), lifecycle.NewDeployment{Name: name, Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "p"}, Actor: deploy.Actor{Kind: deploy.ActorToken, Name: "test"}})
	require.NoError(h.t, err)
	return d
}

// say records a step of the deployment: one event.
func (h *house) say(d lifecycle.Deployed, message string) lifecycle.Receipt {
	h.t.Helper()
	r, err := h.Report(context.Background(), lifecycle.Report{DeploymentID: d.DeploymentID, Phase: "note", Status: phase.InProgress, Message: message, As: phase.ByMachine, Source: deploy.SourceInstallerScript})
	require.NoError(h.t, err)
	return r
}

func (h *house) end(d lifecycle.Deployed) lifecycle.Receipt {
	h.t.Helper()
	r, err := h.Report(context.Background(), lifecycle.Report{DeploymentID: d.DeploymentID, Phase: phase.Failed, Status: phase.FailedRun, As: phase.ByWorkflow, Source: deploy.SourceOrchestrator})
	require.NoError(h.t, err)
	return r
}

// caughtUp waits until the feed has read what is committed now.
func (h *house) caughtUp() {
	h.t.Helper()
	head := h.head()
	at := h.feed.Cursor(0)
	s := h.feed.Events(feed.Filter{IncludeRefused: true}, &at, 5*time.Millisecond)
	defer s.Close()
	for at.Position < head {
		at = next(h.t, s).Cursor
	}
}

func (h *house) head() (p int64) {
	h.t.Helper()
	require.NoError(h.t, h.st.Read.QueryRow(`SELECT position FROM stream_counter`).Scan(&p))
	return p
}

// table is every event's position, as the database has them.
func (h *house) table() (out []int64) {
	h.t.Helper()
	rows, err := h.st.Read.Query(`SELECT position FROM deployment_history ORDER BY position`)
	require.NoError(h.t, err)
	defer rows.Close()
	for rows.Next() {
		var p int64
		require.NoError(h.t, rows.Scan(&p))
		out = append(out, p)
	}
	require.NoError(h.t, rows.Err())
	return out
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func next(t *testing.T, s *feed.EventStream) feed.Batch {
	t.Helper()
	b, err := s.Next(within(t))
	require.NoError(t, err)
	return b
}

// collect reads until n events came.
func collect(t *testing.T, s *feed.EventStream, n int) (out []*feed.Event) {
	t.Helper()
	for len(out) < n {
		b := next(t, s)
		require.Empty(t, b.Reset)
		out = append(out, b.Events...)
	}
	require.Len(t, out, n)
	return out
}

// nothing asserts that the stream has nothing to give: a heartbeat comes first.
func nothing(t *testing.T, s *feed.EventStream) {
	t.Helper()
	b := next(t, s)
	require.True(t, b.Heartbeat, "%+v", b)
}

func messages(events []*feed.Event) (out []string) {
	for _, e := range events {
		out = append(out, e.Message)
	}
	return out
}

func name(i int) string { return fmt.Sprintf("n%d", i) }
