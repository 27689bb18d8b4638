package bootbench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/pxe/program"
	"github.com/slipwayhq/slipway/pxe/tftp"
)

// serveEnv makes this test binary a TFTP server for the files of a directory.
const serveEnv = "SLIPWAY_BENCH_TFTP"

// profileEnv names a file for the CPU profile of our TFTP server.
const profileEnv = "SLIPWAY_BENCH_PROFILE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveEnv); dir != "" {
		if err := serveTFTP(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveTFTP serves until it is interrupted. Its limits are out of the way: all
// clients of a benchmark have one address.
func serveTFTP(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var list []program.Program
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		p, err := program.New(f.Name(), "", time.Now(), content)
		if err != nil {
			return err
		}
		list = append(list, p)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if path := os.Getenv(profileEnv); path != "" {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	l, err := tftp.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, l.Addr())
	return tftp.New(tftp.Config{
		Programs: program.NewSet(list...), PerClient: math.MaxInt, Total: math.MaxInt, PerSecond: math.MaxInt32, Burst: math.MaxInt32,
		Logger: slog.New(slog.DiscardHandler),
	}).Serve(ctx, l)
}

// daemon is a server under measurement.
type daemon struct {
	name  string
	addr  string // host:port
	group string // directory of its control group, "" = none
}

// start starts a daemon that is ended with the benchmark.
func start(b *testing.B, name string, out io.Writer, cmd *exec.Cmd) *daemon {
	b.Helper()
	cmd.Stderr = out
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	dir := group(b, name)
	if dir != "" { // it enters the group before it is what it is
		cmd.Args = append([]string{"sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, dir, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
	}
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()
	})
	return &daemon{name: name, group: dir}
}

// ours is this package's TFTP server.
func ours(b *testing.B, dir string) *daemon {
	b.Helper()
	self, err := os.Executable()
	require.NoError(b, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serveEnv+"="+dir)
	out, w, err := os.Pipe()
	require.NoError(b, err)
	cmd.Stdout = w
	d := start(b, "slipway", os.Stderr, cmd)
	require.NoError(b, w.Close())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(b, err)
	d.addr = strings.TrimSpace(line)
	return d
}

// free is a UDP or TCP port that nobody has at the moment.
func free(b *testing.B) int {
	b.Helper()
	l, err := tftp.Listen(b.Context(), "127.0.0.1:0")
	require.NoError(b, err)
	port := l.Addr().Port()
	require.NoError(b, l.Close())
	return int(port)
}

func address(ip string, port int) string {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(port)).String()
}

// group makes a control group for a daemon: processor time is read from there,
// because it counts children that nobody waited for (tftpd-hpa forks one for each
// transfer and ignores how it ends, so no time of theirs reaches its own). Where
// there is none, no processor time is reported.
func group(b *testing.B, name string) string {
	b.Helper()
	root := "/sys/fs/cgroup" // version 2
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		root = "/sys/fs/cgroup/cpuacct" // version 1
	}
	if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
		b.Logf("no processor time: there are no control groups here: %v", err)
		return ""
	}
	dir, err := os.MkdirTemp(root, "slipway-bench-"+name+"-") //nolint:usetesting // control groups live there and nowhere else
	if err != nil {
		b.Logf("no processor time: %v", err)
		return ""
	}
	b.Cleanup(func() {
		// A process that has just ended may still be leaving.
		require.Eventually(b, func() bool { return os.Remove(dir) == nil }, 10*time.Second, 10*time.Millisecond)
	})
	return dir
}

// cpu is the processor time that a daemon has used so far, with its children.
func cpu(b *testing.B, d *daemon) time.Duration {
	b.Helper()
	if raw, err := os.ReadFile(filepath.Join(d.group, "cpuacct.usage")); err == nil { // version 1: ns
		n, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
		require.NoError(b, err)
		return time.Duration(n)
	}
	raw, err := os.ReadFile(filepath.Join(d.group, "cpu.stat")) // version 2: µs
	require.NoError(b, err)
	_, rest, found := strings.Cut(string(raw), "usage_usec ")
	us, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseInt(us, 10, 64)
	require.NoError(b, err)
	require.True(b, found)
	return time.Duration(n) * time.Microsecond
}

// measure runs a transfer of so many bytes until the benchmark has enough, and
// reports what it cost the server.
func measure(b *testing.B, d *daemon, size int64, transfer func() error) {
	b.Helper()
	b.SetBytes(size)
	var before time.Duration
	if d.group != "" {
		before = cpu(b, d)
	}
	for b.Loop() {
		if err := transfer(); err != nil {
			b.Fatal(err)
		}
	}
	if d.group != "" {
		b.ReportMetric((cpu(b, d)-before).Seconds()/(float64(size)*float64(b.N)/1e9), "cpu-s/GB")
	}
}

// file makes a file of a size with the same content in every run, in which no
// two blocks are alike.
func file(b *testing.B, path string, size int) {
	b.Helper()
	f, err := os.Create(path)
	require.NoError(b, err)
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), int64(size))
	require.NoError(b, errors.Join(err, f.Close()))
}
