package netnstest

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/tools/present"
)

// inside marks a process that runs in a namespace of its own.
const inside = "SLIPWAY_TEST_NETNS"

// Inside runs the calling test again in a child process with a new network
// namespace and reports true there. In the first process it waits for the child,
// fails as it does, and reports false: the caller returns. It needs root.
func Inside(t *testing.T) bool {
	t.Helper()
	return InsideFor(t, 2*time.Minute)
}

// InsideFor is Inside for a test that takes longer.
func InsideFor(t *testing.T, limit time.Duration) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		// A /proc that knows this namespace's processes, for programs that look
		// there for themselves.
		Run(t, "mount", "--make-rprivate", "/")
		Run(t, "mount", "-t", "proc", "proc", "/proc")
		Run(t, "ip", "link", "set", "lo", "up")
		return true
	}
	if os.Geteuid() != 0 {
		present.Missing(t, "a network namespace needs root")
	}
	present.Command(t, "ip", "iproute2")
	cmd := Again(t, t.Name(), inside+"=1")
	cmd.Args = append(cmd.Args, "-test.timeout="+limit.String()) // the last one holds
	var out bytes.Buffer
	both := io.MultiWriter(&out, t.Output()) // whoever waits sees how it goes
	cmd.Stdout, cmd.Stderr = both, both
	err := cmd.Run()
	if err != nil {
		t.Fatalf("in its network namespace: %v", err)
	}
	if !strings.Contains(out.String(), "--- PASS: "+t.Name()) {
		t.Fatal("the test did not run in its network namespace")
	}
	return false
}

// Again is this test binary with one test, in a new network namespace and with
// more environment.
func Again(t *testing.T, test string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := Command(t, self, "-test.run=^"+strings.ReplaceAll(test, "/", "$/^")+"$", "-test.v", "-test.count=1", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// Command is a command in new namespaces of network, processes and mounts. It ends when
// the process that started it does, and at the test's end. What it has started
// ends with it: a signal at the parent's death alone is lost on a program that
// changes its user or group, as dnsmasq does (prctl(2), PR_SET_PDEATHSIG).
func Command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	return cmd
}

// Run runs a command that must succeed and gives its output.
func Run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
