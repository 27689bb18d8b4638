package scale

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// number reads a whole number from the environment.
func number(b *testing.B, name string, otherwise int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(b, err, name)
	return n
}

// BenchmarkDeployments takes deployments through all phases. ms/op is of all of
// them together; the other figures are of one.
func BenchmarkDeployments(b *testing.B) {
	sizes := os.Getenv("SLIPWAY_SCALE")
	if sizes == "" {
		sizes = "100,1000"
	}
	for text := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		require.NoError(b, err)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			set := settings{nodes: n, slots: number(b, "SLIPWAY_SCALE_SLOTS", 100), downloads: number(b, "SLIPWAY_SCALE_DOWNLOADS", 8)}
			for b.Loop() {
				deployments(b, set)
			}
		})
	}
}

func deployments(b *testing.B, set settings) {
	b.StopTimer()
	var st *store.Store
	if os.Getenv("SLIPWAY_SCALE_POSTGRES") == "1" {
		st = storetest.Postgres(b)
	} else {
		st = storetest.SQLite(b)
	}
	h := open(b, st, set)
	defer h.stop()
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	resetPeak()
	before, began := used(b), time.Now()
	profile := startProfile(b, set.nodes)
	b.StartTimer()
	require.NoError(b, h.order(ctx, set.nodes))
	for looks := 1; !h.ended(ctx, b, set.nodes); looks++ {
		if looks%50 == 0 && os.Getenv("SLIPWAY_SCALE_WATCH") != "" {
			fmt.Fprintln(os.Stderr, time.Since(began).Round(time.Second), h.where(b))
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			b.Fatalf("not done after an hour: %s", h.where(b))
		}
	}
	b.StopTimer()
	profile()
	took, spent := time.Since(began), used(b)-before
	h.check(b, set.nodes)
	n := float64(set.nodes)
	b.ReportMetric(n/took.Minutes(), "deployments/min")
	b.ReportMetric(float64(spent.Milliseconds())/n, "cpu-ms/deployment")
	b.ReportMetric(float64(h.count(b, `SELECT COUNT(*) FROM deployment_history`))/n, "events/deployment")
	b.ReportMetric(peakMB(b), "peak-RSS-MB")
	b.StartTimer()
}

func (h *house) count(b *testing.B, query string) (n int) {
	b.Helper()
	require.NoError(b, h.st.Read.QueryRowContext(b.Context(), query).Scan(&n))
	return n
}

// ended reports whether all have succeeded; a failure ends the benchmark.
func (h *house) ended(ctx context.Context, b *testing.B, n int) bool {
	var succeeded, failed int
	err := h.st.Read.QueryRowContext(ctx, `SELECT COALESCE(SUM(CASE WHEN state = 'succeeded' THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END), 0)
		FROM deployments`).Scan(&succeeded, &failed)
	require.NoError(b, err)
	if failed > 0 {
		b.Fatalf("%d failed: %s", failed, h.where(b))
	}
	return succeeded == n
}

// where counts the deployments by state, phase and failure.
func (h *house) where(b *testing.B) string {
	rows, err := h.st.Read.QueryContext(context.Background(), `SELECT state, phase, COALESCE(failure_message, ''), COUNT(*) FROM deployments GROUP BY state, phase, failure_message`)
	require.NoError(b, err)
	defer rows.Close()
	var out []string
	for rows.Next() {
		var state, phase, failure string
		var n int
		require.NoError(b, rows.Scan(&state, &phase, &failure, &n))
		out = append(out, fmt.Sprintf("%d %s in %s %s", n, state, phase, failure))
	}
	require.NoError(b, rows.Err())
	return strings.Join(out, "; ")
}

// check makes sure that what was measured is what was meant.
func (h *house) check(b *testing.B, n int) {
	b.Helper()
	state := h.sim.State()
	require.Equal(b, n, state.ServersCreated, "one server each")
	require.Equal(b, n, state.LiveServers)
	require.Equal(b, 2*n, state.DNSRecords, "an address and a pointer record each")
	for _, p := range []string{"ipxe_boot", "foundation_start", "network_config", "storage_discovery", "image_download", "installation", "post_install", "dns_registration", "health_validation"} {
		require.Equal(b, n, h.count(b, `SELECT COUNT(*) FROM phase_runs WHERE status = 'success' AND phase = '`+p+`'`), p)
	}
	require.Equal(b, n, h.count(b, `SELECT COUNT(*) FROM phase_runs WHERE phase = 'image_download' AND admitted_at IS NOT NULL`))
	require.Zero(b, h.count(b, `SELECT COUNT(*) FROM deployments WHERE attempt <> 1`))
}

// used is the processor time of this process, all of its parts together.
func used(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// resetPeak forgets the peak of the resident set (proc(5), clear_refs).
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

func peakMB(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(b, err)
	m := peakLine.FindSubmatch(status)
	require.Len(b, m, 2)
	kb, err := strconv.Atoi(string(m[1]))
	require.NoError(b, err)
	return float64(kb) / 1024
}

// startProfile profiles the processor and leaves profile and top in .cache/scale.
func startProfile(b *testing.B, n int) (stop func()) {
	b.Helper()
	dir := filepath.Join("..", "..", ".cache", "scale")
	require.NoError(b, os.MkdirAll(dir, 0o755))
	path := filepath.Join(dir, fmt.Sprintf("cpu-%d.pprof", n))
	f, err := os.Create(path)
	require.NoError(b, err)
	if err := pprof.StartCPUProfile(f); err != nil { // -cpuprofile is on already
		return func() { _ = f.Close() }
	}
	return func() {
		pprof.StopCPUProfile()
		require.NoError(b, f.Close())
		var top bytes.Buffer
		for _, order := range []string{"-cum", "-flat"} {
			out, err := exec.Command("go", "tool", "pprof", "-top", order, "-nodecount=60", path).CombinedOutput()
			require.NoError(b, err, "%s", out)
			top.Write(out)
		}
		require.NoError(b, os.WriteFile(filepath.Join(dir, fmt.Sprintf("top-%d.txt", n)), top.Bytes(), 0o644))
	}
}
