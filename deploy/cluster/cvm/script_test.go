package cvm

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// home is a folder in which a real bash plays the controller VM: `cluster` is a
// function that the environment brings in.
type home struct {
	dir     string
	cluster string // the function's body
}

func (h home) bash(t *testing.T, script string) (out string, exit int) {
	t.Helper()
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = []string{"HOME=" + h.dir, "PATH=/usr/bin:/bin", "BASH_FUNC_cluster%%=() { " + h.cluster + "\n}", "HERE=" + h.dir}
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	return b.String(), cmd.ProcessState.ExitCode()
}

func (h home) record(t *testing.T, job Job) Record {
	t.Helper()
	out, exit := h.bash(t, lookScript(job))
	r, err := parseRecord(out)
	if err != nil || exit != 0 {
		t.Fatalf("%v, exit %d: %s", err, exit, out)
	}
	return r
}

// until asks again until it is so: the process is another's.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	limit := time.After(2 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not in time: %s", what)
		}
	}
}

func needTools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"bash", "flock"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s here", tool)
		}
	}
}

// What the simulated controller VM pretends of the two scripts, a real bash does.
func TestJobScriptsInBash(t *testing.T) {
	needTools(t)
	h := home{dir: t.TempDir()}
	pipe := filepath.Join(h.dir, "go")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	// It tells its words, holds no lock, and waits to be let go with an exit status.
	h.cluster = `printf '<%s>' "$@"; echo; [ -e /proc/self/fd/9 ] && echo "has the lock"; echo $BASHPID >"$HERE/pid"; read -r code <"$HERE/go"; return "$code"`
	if r := h.record(t, JobCreate); r.Busy || r.Token != "" || r.Ended {
		t.Errorf("before: %+v", r)
	}
	line, err := CreateSpec{Name: "a.b", Members: addrs("10.0.0.1", "10.0.0.2", "10.0.0.3"), RedundancyFactor: 2}.Command()
	if err != nil {
		t.Fatal(err)
	}
	begin := func(token string, want int) {
		t.Helper()
		out, exit := h.bash(t, startScript(JobCreate, token, line))
		if exit != want || (want == 0) != strings.Contains(out, "slipway-begun") {
			t.Fatalf("exit %d, want %d: %s", exit, want, out)
		}
	}
	letGo := func(code string) {
		t.Helper()
		if err := os.WriteFile(pipe, []byte(code+"\n"), 0); err != nil {
			t.Fatal(err)
		}
		until(t, "the job ends", func() bool { return !h.record(t, JobCreate).Busy })
	}

	begin("a-1", 0)
	if r := h.record(t, JobCreate); !r.Busy || r.Token != "a-1" || r.Ended {
		t.Errorf("while it runs: %+v", r)
	}
	begin("a-1", exitBusy)
	begin("a-2", exitBusy)
	if r := h.record(t, JobDestroy); !r.Busy || r.Token != "" {
		t.Errorf("another job, while it runs: %+v", r)
	}
	letGo("3")
	r := h.record(t, JobCreate)
	if !r.Ended || r.Exit != 3 || r.Token != "a-1" {
		t.Errorf("ended: %+v", r)
	}
	if want := "<-s><10.0.0.1,10.0.0.2,10.0.0.3><--redundancy_factor=2><--cluster_name=a.b><create>"; len(r.Tail) != 1 || r.Tail[0] != want {
		t.Errorf("printed %q", r.Tail)
	}
	begin("a-1", exitAlready)

	// Another attempt; this one is killed, as by a restart.
	if err := os.Remove(filepath.Join(h.dir, "pid")); err != nil {
		t.Fatal(err)
	}
	begin("a-2", 0)
	var pid []byte
	until(t, "the second job waits", func() bool {
		pid, err = os.ReadFile(filepath.Join(h.dir, "pid"))
		return err == nil && len(pid) > 1
	})
	kill(t, strings.TrimSpace(string(pid)))
	until(t, "the lock is free", func() bool { return !h.record(t, JobCreate).Busy })
	if r := h.record(t, JobCreate); r.Ended || r.Token != "a-2" {
		t.Errorf("killed: %+v", r)
	}
	begin("a-2", exitAlready)
	begin("a-3", 0)
	letGo("0")
	if r := h.record(t, JobCreate); !r.Ended || r.Exit != 0 || r.Token != "a-3" {
		t.Errorf("third: %+v", r)
	}
}

// kill ends a process that this test's bash started, and the subshell it is.
func kill(t *testing.T, pid string) {
	t.Helper()
	if out, err := exec.Command("kill", "-9", pid).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// The confirmation reaches a command from its pipe.
func TestConfirmationsInBash(t *testing.T) {
	needTools(t)
	h := home{dir: t.TempDir(), cluster: `read -r answer; echo "$1:$answer"`}
	for job, line := range map[Job]string{JobStop: stopLine, JobDestroy: destroyLine} {
		if out, exit := h.bash(t, startScript(job, "a", line)); exit != 0 {
			t.Fatalf("exit %d: %s", exit, out)
		}
		until(t, "it ends", func() bool { return h.record(t, job).Ended })
	}
	if r := h.record(t, JobStop); strings.Join(r.Tail, "") != "stop:I agree" {
		t.Errorf("%+v", r)
	}
	if r := h.record(t, JobDestroy); strings.Join(r.Tail, "") != "destroy:Y" {
		t.Errorf("%+v", r)
	}
}
