package scale

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
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
func number(t testing.TB, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// BenchmarkDeployments takes deployments through all phases. ns/op is of all of
// them together, from the first order to the last success; the other figures are
// of one.
func BenchmarkDeployments(b *testing.B) {
	sizes := os.Getenv("SLIPWAY_SCALE")
	if sizes == "" {
		sizes = "100"
	}
	for text := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		require.NoError(b, err)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			set := settings{nodes: n, slots: number(b, "SLIPWAY_SCALE_SLOTS", 100), downloads: number(b, "SLIPWAY_SCALE_DOWNLOADS", 100)}
			for b.Loop() {
				f := deployments(b, set)
				b.ReportMetric(float64(f.took.Nanoseconds()), "ns/op") // without setting up and taking down
				b.ReportMetric(float64(n)/f.took.Minutes(), "deployments/min")
				b.ReportMetric(float64(f.processor.Milliseconds())/float64(n), "cpu-ms/deployment")
				b.ReportMetric(float64(f.last.Milliseconds())/float64(n)*4, "cpu-ms/last-quarter")
				b.ReportMetric(float64(f.events)/float64(n), "events/deployment")
				b.ReportMetric(f.peakMB, "peak-RSS-MB")
				b.ReportMetric(f.liveMB, "live-heap-MB")
			}
		})
	}
}

// TestDeployments is the same, small: slots, download slots and a queue for both.
func TestDeployments(t *testing.T) {
	f := deployments(t, settings{nodes: 6, slots: 4, downloads: 2})
	require.GreaterOrEqual(t, f.events, 6*25)
}

// figures are what a run has cost.
type figures struct {
	took, processor time.Duration
	last            time.Duration // processor time of the last quarter of the deployments: it shows what grows
	events          int
	peakMB          float64
	liveMB          float64 // what the heap holds at the end, with all machines still there
}

// deployments runs all of them and checks that they are what they should be.
func deployments(t testing.TB, set settings) figures {
	t.Helper()
	var st *store.Store
	if os.Getenv("SLIPWAY_SCALE_POSTGRES") == "1" {
		st = storetest.Postgres(t)
	} else {
		st = storetest.SQLite(t)
	}
	h := open(t, st, set)
	defer h.stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	resetPeak()
	profile := func() {}
	if b, ok := t.(*testing.B); ok {
		profile = startProfile(b, set.nodes)
	}
	before, began, third := used(t), time.Now(), time.Duration(0)
	require.NoError(t, h.order(ctx, set.nodes))
	for looks := 1; ; looks++ {
		succeeded := h.succeeded(ctx, t)
		if third == 0 && succeeded >= set.nodes*3/4 {
			third = used(t) - before
		}
		if succeeded == set.nodes {
			break
		}
		if looks%10 == 0 && os.Getenv("SLIPWAY_SCALE_WATCH") != "" {
			fmt.Fprintln(os.Stderr, time.Since(began).Round(time.Second), used(t)-before, memory(), h.where(t))
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("not done after an hour: %s", h.where(t))
		}
	}
	f := figures{took: time.Since(began), processor: used(t) - before}
	f.last = f.processor - third
	profile()
	f.liveMB = h.live(t, set.nodes)
	h.check(t, set.nodes)
	f.events, f.peakMB = h.count(t, `SELECT COUNT(*) FROM deployment_history`), peakMB(t)
	return f
}

func (h *house) count(t testing.TB, query string) (n int) {
	t.Helper()
	require.NoError(t, h.st.Read.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// succeeded counts the deployments that have; a failure ends the benchmark. It
// reads an index only, so that looking costs little.
func (h *house) succeeded(ctx context.Context, t testing.TB) (succeeded int) {
	var failed int
	err := h.st.Read.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM deployments WHERE state = 'succeeded'), (SELECT COUNT(*) FROM deployments WHERE state = 'failed')`).Scan(&succeeded, &failed)
	require.NoError(t, err)
	if failed > 0 {
		t.Fatalf("%d failed: %s", failed, h.where(t))
	}
	return succeeded
}

// live measures the heap; a benchmark leaves its profile beside that of the processor.
func (h *house) live(t testing.TB, n int) float64 {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if _, ok := t.(*testing.B); ok {
		f, err := os.Create(filepath.Join("..", "..", ".cache", "scale", fmt.Sprintf("heap-%d.pprof", n)))
		require.NoError(t, err)
		defer f.Close()
		require.NoError(t, pprof.Lookup("heap").WriteTo(f, 0))
	}
	return float64(m.HeapAlloc+m.StackInuse) / (1 << 20)
}

// memory is what the Go runtime has now, without what it gave back; SQLite's
// own is not among it.
func memory() string {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return fmt.Sprintf("%d MB (heap in use %d, stacks %d)", (m.Sys-m.HeapReleased)>>20, m.HeapInuse>>20, m.StackInuse>>20)
}

// where counts the deployments by state, phase and failure.
func (h *house) where(t testing.TB) string {
	rows, err := h.st.Read.QueryContext(context.Background(), `SELECT state, phase, COALESCE(failure_message, ''), COUNT(*) FROM deployments GROUP BY state, phase, failure_message`)
	require.NoError(t, err)
	defer rows.Close()
	var out []string
	for rows.Next() {
		var state, phase, failure string
		var n int
		require.NoError(t, rows.Scan(&state, &phase, &failure, &n))
		out = append(out, fmt.Sprintf("%d %s in %s %s", n, state, phase, failure))
	}
	require.NoError(t, rows.Err())
	return strings.Join(out, "; ")
}

// check makes sure that what was measured is what was meant.
func (h *house) check(t testing.TB, n int) {
	t.Helper()
	state := h.sim.State()
	require.Equal(t, n, state.ServersCreated, "one server each")
	require.Equal(t, n, state.LiveServers)
	require.Equal(t, 2*n, state.DNSRecords, "an address and a pointer record each")
	for _, p := range []string{"ipxe_boot", "foundation_start", "network_config", "storage_discovery", "image_download", "installation", "post_install", "dns_registration", "health_validation"} {
		require.Equal(t, n, h.count(t, `SELECT COUNT(*) FROM phase_runs WHERE status = 'success' AND phase = '`+p+`'`), p)
	}
	require.Equal(t, n, h.count(t, `SELECT COUNT(*) FROM phase_runs WHERE phase = 'image_download' AND admitted_at IS NOT NULL`))
	require.Zero(t, h.count(t, `SELECT COUNT(*) FROM deployments WHERE attempt <> 1`))
}

// used is the processor time of this process, all of its parts together.
func used(t testing.TB) time.Duration {
	t.Helper()
	var r syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// resetPeak forgets the peak of the resident set (proc(5), clear_refs).
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

func peakMB(t testing.TB) float64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	m := peakLine.FindSubmatch(status)
	require.Len(t, m, 2)
	kb, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	return float64(kb) / 1024
}

// startProfile profiles the processor and leaves profile and top in .cache/scale.
func startProfile(t testing.TB, n int) (stop func()) {
	t.Helper()
	dir := filepath.Join("..", "..", ".cache", "scale")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	path := filepath.Join(dir, fmt.Sprintf("cpu-%d.pprof", n))
	f, err := os.Create(path)
	require.NoError(t, err)
	if err := pprof.StartCPUProfile(f); err != nil { // -cpuprofile is on already
		return func() { _ = f.Close() }
	}
	return func() {
		pprof.StopCPUProfile()
		require.NoError(t, f.Close())
		var top bytes.Buffer
		for _, order := range []string{"-cum", "-flat"} {
			out, err := exec.Command("go", "tool", "pprof", "-top", order, "-nodecount=60", path).CombinedOutput()
			require.NoError(t, err, "%s", out)
			top.Write(out)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("top-%d.txt", n)), top.Bytes(), 0o644))
	}
}
