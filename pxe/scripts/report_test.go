package scripts

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// reporter is a machine on which report.sh is used as a command.
func reporter(t *testing.T, env environment) (*slipwayd, *machine) {
	t.Helper()
	d := newSlipwayd(t)
	m := newMachine(t, env)
	m.vars["SLIPWAY_URL"], m.vars["SLIPWAY_IP"], m.vars["SLIPWAY_TOKEN"] = d.url, testIP, testToken
	return d, m
}

var allClients = []environment{dash, busybox, dashWget, busyboxOnly}

func (m *machine) queue(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(m.root, "var/lib/slipway/queue/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestReportCommand(t *testing.T) {
	each(t, allClients, func(t *testing.T, env environment) {
		d, m := reporter(t, env)
		m.write(t, "my.log", "one\ntwo\t\"x\"\\\x01\x00\n")
		message := "a \"b\" \\ \t $(id) `id`\nnext: ünï 漢字"
		r := m.run(t, Report, "installation", "in_progress", message, "--progress", "42", "--details", "{\"a\": [1,\n2]}", "--log", filepath.Join(m.root, "my.log"))
		if r.code != 0 || !strings.Contains(r.stdout, "reported: installation in_progress accepted") {
			t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		got := d.all()[0].report
		if got.Message != message || *got.Progress != 42 || got.ServerIP != testIP || *got.LogTail != "one\ntwo\t\"x\"\\" {
			t.Errorf("got %+v, log tail %q", got, *got.LogTail)
		}
		if fmt.Sprint(got.Details) != "map[a:[1 2]]" {
			t.Errorf("details are %v", got.Details)
		}
		if m.run(t, Report, "installation", "success").code != 0 || d.all()[1].report.Message != "" {
			t.Error("a report without a message is not possible")
		}
	})
}

func TestReportUsage(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := reporter(t, env)
		for _, args := range [][]string{
			{}, {"installation"}, {"a", "b", "c", "d"}, {"a", "b", "c", "--progress"}, {"a", "b", "c", "--progress", "x"},
			{"a", "b", "c", "--details", "[]"}, {"a", "b", "c", "--unknown"},
		} {
			if r := m.run(t, Report, args...); r.code != 2 || r.stderr == "" {
				t.Errorf("%q: exit %d, stderr %q, want 2 and why", args, r.code, r.stderr)
			}
		}
		m.vars["SLIPWAY_TOKEN"] = "a\"b"
		if r := m.run(t, Report, "a", "b", "c"); r.code != 2 {
			t.Errorf("a token that is none: exit %d, want 2", r.code)
		}
		if len(d.all()) != 0 || m.queue(t) != 0 {
			t.Error("a wrong call left something behind")
		}
	})
}

// TestServerAwayThenBack is the whole life of a queue: nobody listens, four
// reports, the same address listens again, one more report.
func TestServerAwayThenBack(t *testing.T) {
	each(t, allClients, func(t *testing.T, env environment) {
		d, m := reporter(t, env)
		d.stop()
		var want []string
		for i := range 4 {
			want = append(want, fmt.Sprintf("installation in_progress: step %d", i))
			if r := m.run(t, Report, "installation", "in_progress", fmt.Sprintf("step %d", i)); r.code != 4 || !strings.Contains(r.stdout, "not delivered (HTTP 000), kept") {
				t.Fatalf("exit %d, want 4\n%s%s", r.code, r.stdout, r.stderr)
			}
		}
		if n := m.queue(t); n != 4 {
			t.Fatalf("%d reports are kept, want 4", n)
		}
		back := time.Now()
		d.start(t, d.addr)
		if r := m.run(t, Report, "installation", "success", "done"); r.code != 0 {
			t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		want = append(want, "installation success: done")
		if got := strings.TrimSpace(d.lines()); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
		keys := map[string]bool{}
		last := time.Time{}
		for i, r := range d.all() {
			keys[r.report.IdempotencyKey] = true
			if r.report.OccurredAt.Before(last) || i < 4 && r.report.OccurredAt.After(back) {
				t.Errorf("report %d: occurred_at %s", i, r.report.OccurredAt)
			}
			last = r.report.OccurredAt
		}
		if len(keys) != 5 || m.queue(t) != 0 {
			t.Errorf("%d keys, %d reports still kept", len(keys), m.queue(t))
		}
	})
}

// TestLostAnswer: the server has it, the machine does not know: the same report
// comes again, to the byte.
func TestLostAnswer(t *testing.T) {
	each(t, allClients, func(t *testing.T, env environment) {
		d, m := reporter(t, env)
		m.vars["SLIPWAY_PATIENCE"] = "10"
		d.answer = func(n int, _ *received) (int, map[string]string, string) {
			if n < 3 {
				return 0, nil, ""
			}
			return http.StatusOK, nil, ""
		}
		if r := m.run(t, Report, "installation", "in_progress", "x"); r.code != 0 {
			t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		got := d.all()
		if len(got) != 4 {
			t.Fatalf("%d requests, want 4", len(got))
		}
		for _, r := range got[1:] {
			if r.raw != got[0].raw {
				t.Errorf("another body: %s", r.raw)
			}
		}
	})
}

func TestReportRefusals(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		code   int
		kept   int
	}{
		{"bad request", 400, `{"code":"invalid"}`, 3, 0},
		{"forbidden", 403, `{"code":"forbidden"}`, 3, 0},
		{"conflict", 409, `{"code":"out_of_order"}`, 3, 0},
		{"too large", 413, `{"code":"too_large"}`, 3, 0},
		{"unprocessable", 422, `{"code":"idempotency_conflict"}`, 3, 0},
		{"unauthenticated", 401, `{"code":"unauthenticated"}`, 5, 1},
		{"ended", 409, `{"code":"deployment_ended"}`, 6, 1},
		{"bad gateway", 502, `<html>`, 4, 1},
		{"moved", 301, ``, 4, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, allClients, func(t *testing.T, env environment) {
				if tt.status == http.StatusMovedPermanently && !env.curl {
					t.Skip("busybox wget takes a redirection to nowhere for success")
				}
				d, m := reporter(t, env)
				d.answer = func(int, *received) (int, map[string]string, string) { return tt.status, nil, tt.body }
				r := m.run(t, Report, "installation", "in_progress", "x")
				code, kept := tt.code, tt.kept
				if !env.curl && tt.code == 6 {
					code, kept = 3, 0 // wget shows the status line only
				}
				if r.code != code || m.queue(t) != kept {
					t.Errorf("exit %d, %d kept, want %d and %d\n%s%s", r.code, m.queue(t), code, kept, r.stdout, r.stderr)
				}
				if tt.status == 301 {
					return
				}
				if want := fmt.Sprint(tt.status); !strings.Contains(r.stdout, want) && !strings.Contains(r.stdout, tt.body) {
					t.Errorf("the answer is not printed: %q", r.stdout)
				}
				if env.curl && !strings.Contains(r.stdout, tt.body) {
					t.Errorf("the answer is not printed: %q", r.stdout)
				}
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			each(t, both, func(t *testing.T, env environment) {
				d, m := reporter(t, env)
				m.vars["SLIPWAY_PATIENCE"] = "10"
				d.answer = func(n int, _ *received) (int, map[string]string, string) {
					if n == 0 {
						return status, map[string]string{"Retry-After": "2"}, "later"
					}
					return http.StatusOK, nil, ""
				}
				if r := m.run(t, Report, "installation", "in_progress", "x"); r.code != 0 {
					t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
				}
				got := d.all()
				if len(got) != 2 {
					t.Fatalf("%d requests, want 2", len(got))
				}
				// The machine counts whole seconds, so up to one may be missing.
				if wait := got[1].at.Sub(got[0].at); wait < time.Second || wait > 8*time.Second {
					t.Errorf("it came back after %s, asked for 2 s", wait)
				}
			})
		})
	}
}

// TestRetryAfterHoldsEveryProcess: a wait longer than our patience leaves the
// report in the queue, and the next call does not ask before the time either.
func TestRetryAfterHoldsEveryProcess(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := reporter(t, env)
		d.answer = func(int, *received) (int, map[string]string, string) {
			return http.StatusServiceUnavailable, map[string]string{"Retry-After": "100"}, "maintenance"
		}
		for range 3 {
			if r := m.run(t, Report, "installation", "in_progress", "x"); r.code != 4 {
				t.Fatalf("exit %d, want 4\n%s%s", r.code, r.stdout, r.stderr)
			}
		}
		if r := m.run(t, Report, "--heartbeat"); r.code != 4 {
			t.Errorf("heartbeat: exit %d, want 4", r.code)
		}
		if n := len(d.all()); n != 1 || m.queue(t) != 3 {
			t.Errorf("%d requests and %d reports kept, want 1 and 3", n, m.queue(t))
		}
	})
}

func TestFlush(t *testing.T) {
	each(t, allClients, func(t *testing.T, env environment) {
		d, m := reporter(t, env)
		d.stop()
		if r := m.run(t, Report, "installation", "in_progress", "x"); r.code != 4 {
			t.Fatalf("exit %d, want 4", r.code)
		}
		if r := m.run(t, Report, "--flush"); r.code != 4 {
			t.Fatalf("flush without a server: exit %d, want 4", r.code)
		}
		d.start(t, d.addr)
		if r := m.run(t, Report, "--flush"); r.code != 0 || len(d.accepted()) != 1 || m.queue(t) != 0 {
			t.Fatalf("flush: exit %d, %d reports\n%s%s", r.code, len(d.accepted()), r.stdout, r.stderr)
		}
		if r := m.run(t, Report, "--heartbeat"); r.code != 0 || len(d.all()) != 2 || d.all()[0].raw != d.all()[1].raw {
			t.Errorf("heartbeat: exit %d, %d requests", r.code, len(d.all()))
		}
	})
}

// TestManyReportersAtOnce: the lock holds, and a lock whose holder died is taken.
func TestManyReportersAtOnce(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := reporter(t, env)
		dead := exec.Command("true")
		if err := dead.Run(); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(m.root, "var/lib/slipway/queue"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(fmt.Sprint(dead.ProcessState.Pid()), filepath.Join(m.root, "var/lib/slipway/queue/lock")); err != nil {
			t.Fatal(err)
		}
		m.vars["SLIPWAY_PATIENCE"] = "30"
		script, _ := Get(Report)
		var wg sync.WaitGroup
		codes := make([]int, 6)
		for i := range codes {
			cmd := m.command(t, script.Content, Report, "installation", "in_progress", fmt.Sprintf("worker %d", i))
			wg.Go(func() {
				_ = cmd.Run()
				codes[i] = cmd.ProcessState.ExitCode()
			})
		}
		wg.Wait()
		if slices.Max(codes) != 0 || len(d.accepted()) != 6 || len(d.all()) != 6 || m.queue(t) != 0 {
			t.Errorf("exit codes %v, %d reports in %d requests", codes, len(d.accepted()), len(d.all()))
		}
		if _, err := os.Lstat(filepath.Join(m.root, "var/lib/slipway/queue/lock")); err == nil {
			t.Error("the lock was left behind")
		}
	})
}

// TestLogTail: a failure carries the last 64 KiB, from the start of a line.
func TestLogTail(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := reporter(t, env)
		var log strings.Builder
		for i := range 20000 {
			fmt.Fprintf(&log, "line %d ü\n", i)
		}
		m.write(t, "var/log/slipway/install.log", log.String())
		if r := m.run(t, Report, "installation", "failed", "x"); r.code != 0 {
			t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		tail := *d.all()[0].report.LogTail
		if len(tail) > 65536 || len(tail) < 65000 || !strings.HasPrefix(tail, "line ") || !strings.HasSuffix(tail, "\nline 19999 ü") {
			t.Errorf("%d bytes, from %q to %q", len(tail), tail[:20], tail[len(tail)-20:])
		}
		m.write(t, "var/log/slipway/install.log", strings.Repeat("x", 100000))
		if r := m.run(t, Report, "installation", "failed", "one long line"); r.code != 0 || len(*d.all()[1].report.LogTail) != 65536 {
			t.Errorf("exit %d, %d bytes of one long line", r.code, len(*d.all()[1].report.LogTail))
		}
	})
}

func TestReportUsesTheStoredToken(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := reporter(t, env)
		m.run(t, Report, "installation", "in_progress", "x")
		delete(m.vars, "SLIPWAY_TOKEN")
		m.write(t, "var/lib/slipway/config.sh", "CFG_REPORT_URL='"+d.url+"/api/status/phase'\nCFG_NODE_CONFIG_MGMT_IP='10.1.1.1'\n")
		delete(m.vars, "SLIPWAY_URL")
		delete(m.vars, "SLIPWAY_IP")
		if r := m.run(t, Report, "installation", "in_progress", "y"); r.code != 0 || d.accepted()[1].report.ServerIP != "10.1.1.1" {
			t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
	})
}
