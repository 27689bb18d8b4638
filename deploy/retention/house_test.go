package retention

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
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

// house is a writer and a feed on one database, with a clock set by hand.
type house struct {
	*lifecycle.Writer
	t    *testing.T
	st   *store.Store
	feed *feed.Feed
	mu   sync.Mutex
	at   time.Time
}

const keep = 90 * 24 * time.Hour

func open(t *testing.T, st *store.Store) *house {
	t.Helper()
	h := &house{t: t, st: st, at: time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)}
	log := slog.New(slog.DiscardHandler)
	h.feed = feed.New(st, feed.Options{Ring: 4, Page: 3, Poll: 10 * time.Millisecond, Logger: log})
	h.Writer = lifecycle.New(st, lifecycle.Options{Now: h.now, OnCommit: h.feed.Wake, Logger: log})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.Run(ctx) })
	wg.Go(func() { _ = h.feed.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	<-h.feed.Ready()
	return h
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

func (h *house) deploy(name string) lifecycle.Deployed {
	h.t.Helper()
	d, err := h.Deploy(h.t.Context(), lifecycle.NewDeployment{Name: name, Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "p"}, Actor: deploy.Actor{Kind: deploy.ActorToken, Name: "test"}})
	require.NoError(h.t, err)
	return d
}

func (h *house) say(d lifecycle.Deployed, n int) {
	h.t.Helper()
	for i := range n {
		_, err := h.Report(h.t.Context(), lifecycle.Report{DeploymentID: d.DeploymentID, Phase: "note", Status: phase.InProgress, Message: fmt.Sprintf("<%d> & more", i), As: phase.ByMachine,
			Source: deploy.SourceInstallerScript, Details: []byte(`{"a":1}`), LogTail: "line\n"})
		require.NoError(h.t, err)
	}
}

func (h *house) end(d lifecycle.Deployed) {
	h.t.Helper()
	_, err := h.Report(h.t.Context(), lifecycle.Report{DeploymentID: d.DeploymentID, Phase: phase.Failed, Status: phase.FailedRun, As: phase.ByWorkflow, Source: deploy.SourceOrchestrator})
	require.NoError(h.t, err)
}

func (h *house) keeper(tune ...func(*Options)) *Keeper {
	h.t.Helper()
	opts := Options{Keep: keep, Now: h.now, Rows: 5, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range tune {
		f(&opts)
	}
	k, err := New(h.st, opts)
	require.NoError(h.t, err)
	return k
}

func into(dir string) func(*Options) { return func(o *Options) { o.ArchiveDir = dir } }

// numbers are what a query of one column gives.
func (h *house) numbers(query string, args ...any) (out []int64) {
	h.t.Helper()
	rows, err := h.st.Read.Query(query, args...)
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

// table is every event's position.
func (h *house) table() []int64 {
	h.t.Helper()
	return h.numbers(`SELECT position FROM deployment_history ORDER BY position`)
}

func (h *house) setting(id string) (value string) {
	h.t.Helper()
	err := h.st.Read.QueryRow(`SELECT value FROM settings WHERE id = $1`, id).Scan(&value)
	if !errors.Is(err, sql.ErrNoRows) {
		require.NoError(h.t, err)
	}
	return value
}

// archived is every event's position in all files, in the order of their
// names, and checks files and manifest against each other.
func archived(t *testing.T, dir string) (out []int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "events-*"))
	require.NoError(t, err)
	manifest, _, err := readManifest(filepath.Join(dir, manifestName))
	require.NoError(t, err)
	for _, f := range files {
		have, err := positionsOf(f)
		require.NoError(t, err)
		out = append(out, have...)
		if e, ok := manifest[filepath.Base(f)]; ok && e.Rows == len(have) {
			require.NoError(t, verify(f, e.SHA256, have))
		}
	}
	slices.Sort(out)
	return out
}

func passOnce(t *testing.T, k *Keeper) Result {
	t.Helper()
	res, err := k.Pass(t.Context())
	require.NoError(t, err)
	return res
}

// fill makes two deployments that end, one that stays active, and one that
// ends later, across midnight; it gives what retention may remove after keep.
func (h *house) fill() (removable []int64, active lifecycle.Deployed) {
	h.t.Helper()
	a, b, active := h.deploy("a"), h.deploy("b"), h.deploy("active")
	h.say(a, 4)
	h.say(active, 2)
	h.pass(3 * time.Hour) // the next day
	h.say(b, 5)
	h.say(active, 1)
	h.say(a, 2)
	h.end(a)
	h.end(b)
	removable = h.numbers(`SELECT position FROM deployment_history WHERE deployment_id <> $1 ORDER BY position`, active.DeploymentID)
	h.pass(keep + time.Second)
	late := h.deploy("late")
	h.end(late)
	return removable, active
}
