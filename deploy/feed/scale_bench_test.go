package feed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// fillFleet makes nodes that all download their images, by SQL: a fleet of a
// hundred thousand would take the writer minutes.
func fillFleet(b *testing.B, st *store.Store, nodes int) {
	b.Helper()
	const series = `WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $1) SELECT `
	now := time.Now().UTC().Truncate(time.Microsecond)
	for _, stmt := range []string{
		`INSERT INTO nodes (id, name, provider, server_profile, mac_addresses, labels, deployment_status, state, current_deployment_id, stale, late, version, changed_position, created_at, updated_at) ` +
			series + `i, 'node-' || i, 'ibm_vpc', 'bx2d-metal-96x384', '[]', '{}', 'image_download', 'running', i, $2, $2, 1, 0, $3, $3 FROM c`,
		`INSERT INTO deployments (id, node_id, number, attempt, state, phase, phase_status, provider, skip_phases, maintenance, config, requested_by_kind, requested_by, created_at, updated_at, started_at) ` +
			series + `i, i, 1, 1, 'running', 'image_download', 'in_progress', 'ibm_vpc', '["cluster_formation"]', $2, '{}', 'token', 'bench', $3, $3, $3 FROM c`,
		`INSERT INTO phase_runs (deployment_id, attempt, phase, ordinal, provider, server_profile, status, entered_at, started_at) ` +
			series + `i, 1, 'image_download', 9, 'ibm_vpc', CASE WHEN $2 THEN '' ELSE 'bx2d-metal-96x384' END, 'in_progress', $3, $3 FROM c`,
	} {
		_, err := st.Write.ExecContext(b.Context(), stmt, nodes, false, now)
		require.NoError(b, err)
	}
}

// BenchmarkEventByFleet measures one event from the report to a reader of the
// stream, by the number of nodes in the database: it must not depend on it.
func BenchmarkEventByFleet(b *testing.B) {
	for _, nodes := range []int{100, 1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			st := storetest.SQLite(b)
			fillFleet(b, st, nodes)
			ctx, cancel := context.WithCancel(context.Background())
			var parts sync.WaitGroup
			b.Cleanup(func() { cancel(); parts.Wait() })
			quiet := slog.New(slog.DiscardHandler)
			f := feed.New(st, feed.Options{Logger: quiet})
			w := lifecycle.New(st, lifecycle.Options{OnCommit: f.Wake, Logger: quiet})
			parts.Go(func() { w.Run(ctx) })
			parts.Go(func() { _ = f.Run(ctx) })
			<-f.Ready()
			s := f.Events(feed.Filter{}, nil, 0)
			defer s.Close()
			fleet := f.Nodes(nil, 0)
			defer fleet.Close()
			i := 0
			for b.Loop() {
				i++
				_, err := w.Report(ctx, lifecycle.Report{DeploymentID: int64(i*7919%nodes + 1), Phase: phase.ImageDownload, Status: phase.InProgress,
					Message: fmt.Sprint("part ", i), As: phase.ByMachine, Source: deploy.SourceInstallerScript, Actor: deploy.Actor{Kind: deploy.ActorMachine, Name: "bench"}})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Next(ctx); err != nil {
					b.Fatal(err)
				}
				if _, err := fleet.Next(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReplay reads a million events by cursor, page by page, and tells
// how much memory that takes at the most.
func BenchmarkReplay(b *testing.B) {
	const events, deployments = 1_000_000, 1000
	st := storetest.SQLite(b)
	fillFleet(b, st, deployments)
	_, err := st.Write.ExecContext(b.Context(), `INSERT INTO deployment_history (id, position, deployment_id, node_id, sequence, attempt, phase, status, message, outcome, source, actor, progress, hash, state, occurred_at, recorded_at)
		WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $1)
		SELECT i, i, i % $2 + 1, i % $2 + 1, i / $2 + 1, 1, 'image_download', 'in_progress', 'part ' || i, 'accepted', 'installer_script', 'bench', i % 101, '', 'running', $3, $3 FROM c`,
		events, deployments, time.Now().UTC())
	require.NoError(b, err)
	_, err = st.Write.ExecContext(b.Context(), `UPDATE stream_counter SET position = $1`, events)
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	b.Cleanup(func() { cancel(); parts.Wait() })
	f := feed.New(st, feed.Options{Logger: slog.New(slog.DiscardHandler)})
	parts.Go(func() { _ = f.Run(ctx) })
	<-f.Ready()
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peak uint64
	for b.Loop() {
		zero := f.Cursor(0)
		s := f.Events(feed.Filter{}, &zero, 0)
		read := 0
		for {
			batch, err := s.Next(ctx)
			if err != nil && !errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
			for _, e := range batch.Events {
				read++
				if e.Position != int64(read) {
					b.Fatalf("position %d after %d events", e.Position, read)
				}
			}
			if read%(64*256) == 0 {
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc)
			}
			if batch.CaughtUp {
				break
			}
		}
		s.Close()
		if read != events {
			b.Fatalf("%d of %d events were read", read, events)
		}
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(peak-min(peak, before.HeapAlloc))/(1<<20), "MiB-peak-growth")
}
