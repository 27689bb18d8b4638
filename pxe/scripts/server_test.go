package scripts

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestConfigurationIsAskedForUntilItComes(t *testing.T) {
	each(t, []environment{dash, busybox, busyboxOnly}, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		var asked atomic.Int32
		d.boot = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, "/boot/server/") {
				return false
			}
			switch asked.Add(1) {
			case 1:
				w.WriteHeader(http.StatusServiceUnavailable)
			case 2:
				if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
					_ = conn.Close()
				}
			default:
				return false
			}
			return true
		}
		if r := m.install(t, d); r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
		if n := asked.Load(); n != 3 {
			t.Errorf("asked %d times, want 3", n)
		}
	})
}

func TestBadConfiguration(t *testing.T) {
	tests := []struct {
		name   string
		answer func(w http.ResponseWriter)
		want   string
	}{
		{"cut off", func(w http.ResponseWriter) { fmt.Fprint(w, "# slipway node configuration 1\nCFG_A='b'\n") }, "is no configuration, or not all of it"},
		{"an error page", func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") }, "is no configuration, or not all of it"},
		{"no shell", func(w http.ResponseWriter) {
			fmt.Fprint(w, "# slipway node configuration 1\nCFG_A='b\n# slipway node configuration end\n")
		}, "is no shell text"},
		{"of another machine", func(w http.ResponseWriter) {
			fmt.Fprint(w, "# slipway node configuration 1\nCFG_NODE_CONFIG_MGMT_IP='10.0.0.1'\n# slipway node configuration end\n")
		}, "is for 10.0.0.1, not for " + testIP},
		{"not found", func(w http.ResponseWriter) { http.Error(w, "no such node", http.StatusNotFound) }, "configuration: the server answered 404: no such node"},
		{"a variable is missing", func(w http.ResponseWriter) {
			fmt.Fprint(w, "# slipway node configuration 1\nCFG_B=1\n# slipway node configuration end\n")
		}, "a command failed with status 2"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inTurn(t, i, []environment{dash, busybox, busyboxOnly}, func(t *testing.T, env environment) {
				d, m := typicalRun(t, env)
				d.boot = func(w http.ResponseWriter, r *http.Request) bool {
					if strings.HasPrefix(r.URL.Path, "/boot/server/") {
						tt.answer(w)
						return true
					}
					return false
				}
				wantFailure(t, m, d, m.install(t, d), "foundation_start", "foundation-init.sh:", tt.want)
			})
		})
	}
}

func TestScriptsAreChecked(t *testing.T) {
	serve := func(name string, header, content string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/boot/scripts/"+name {
				return false
			}
			if header != "" {
				w.Header().Set("X-Checksum-Sha256", header)
			}
			fmt.Fprint(w, content)
			return true
		}
	}
	t.Run("against the header", func(t *testing.T) {
		each(t, both, func(t *testing.T, env environment) {
			d, m := typicalRun(t, env)
			d.boot = serve(Report, strings.Repeat("0", 64), "exit 0\n")
			wantFailure(t, m, d, m.install(t, d), "foundation_start", "report.sh: sha256 is", "the server said 0000", "foundation-init.sh:")
		})
	})
	t.Run("against the configuration", func(t *testing.T) {
		each(t, both, func(t *testing.T, env environment) {
			d, m := typicalRun(t, env)
			d.boot = serve(PostInstall, "", "exit 0\n")
			wantFailure(t, m, d, m.install(t, d), "foundation_start", "post-install.sh: sha256 is", "the configuration says", "foundation-init.sh:")
		})
	})
	t.Run("one is missing", func(t *testing.T) {
		each(t, []environment{dash, busybox, busyboxOnly}, func(t *testing.T, env environment) {
			d, m := typicalRun(t, env)
			delete(d.scripts, Report)
			wantFailure(t, m, d, m.install(t, d), "foundation_start", "report.sh: the server answered 404", "foundation-init.sh:")
		})
	})
}

func TestNothingToStartFrom(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		m.write(t, "proc/cmdline", "quiet slipway.url="+d.url+" slipway.ip="+testIP+"\n")
		if r := m.install(t, d); r.code != 7 || !strings.Contains(r.stdout, "slipway.token") {
			t.Errorf("exit %d, %q", r.code, r.stdout)
		}
	})
}

func TestEnvironmentGoesBeforeTheCommandLine(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		m.write(t, "proc/cmdline", "slipway.url=http://127.0.0.1:1 slipway.ip=10.9.9.9 slipway.token=slr_other\n")
		m.vars["SLIPWAY_URL"], m.vars["SLIPWAY_IP"], m.vars["SLIPWAY_TOKEN"] = d.url+"/", testIP, testToken
		if r := m.install(t, d); r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
		checkInstaller(t, m, d)
	})
}

func TestBadTokenIsFatal(t *testing.T) {
	each(t, []environment{dash, busybox, busyboxOnly}, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		m.vars["SLIPWAY_TOKEN"] = "slr_wrong"
		r := m.install(t, d)
		if r.code != 5 || len(d.accepted()) != 0 {
			m.explain(t, d, r)
			t.Errorf("exit %d, want 5", r.code)
		}
	})
}

// The installer of these runs for ever: only the server's word ends it.
func endlessInstaller(d *slipwayd, m *machine) {
	m.vars["SLIPWAY_HEARTBEAT"] = "0.1"
	d.images["installer.sh"] = []byte("sh -c 'echo $PPID' >\"$SLIPWAY_ROOT/alive\"\nwhile :; do sleep 0.05; done\n")
	d.artifacts()
}

func TestEndedDeploymentStopsTheInstaller(t *testing.T) {
	tests := []struct {
		name   string
		code   int
		answer int
		body   string
	}{
		{"ended, JSON", 6, http.StatusConflict, `{"error":"the deployment has ended","code":"deployment_ended","request_id":"r1"}`},
		{"ended, text", 6, http.StatusConflict, `refused: deployment_ended: the deployment was canceled`},
		{"token withdrawn", 5, http.StatusUnauthorized, `the token is not valid`},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inTurn(t, i, both, func(t *testing.T, env environment) {
				d, m := typicalRun(t, env)
				endlessInstaller(d, m)
				d.answer = func(_ int, r *received) (int, map[string]string, string) {
					if _, err := os.Stat(filepath.Join(m.root, "alive")); err == nil && r.report.Phase == "installation" {
						return tt.answer, nil, tt.body
					}
					return http.StatusOK, nil, ""
				}
				r := m.install(t, d)
				if r.code != tt.code {
					m.explain(t, d, r)
					t.Fatalf("exit %d, want %d", r.code, tt.code)
				}
				gone(t, strings.TrimSpace(m.read(t, "alive")))
				for _, got := range d.all() {
					if got.report.Status == "failed" {
						t.Errorf("it still reported %s", got.line())
					}
				}
			})
		})
	}
}

// TestRefusalDoesNotStopTheWork: what the server refuses is printed and dropped.
func TestRefusalDoesNotStopTheWork(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		d.answer = func(_ int, r *received) (int, map[string]string, string) {
			if r.report.Phase == "network_config" {
				return http.StatusConflict, nil, `{"error":"an earlier phase","code":"out_of_order"}`
			}
			return http.StatusOK, nil, ""
		}
		r := m.install(t, d)
		if r.code != 0 || !strings.Contains(r.stdout, "report refused (409), dropped") || !strings.Contains(r.stdout, "out_of_order") {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
	})
}

// TestServerAwayDuringTheWork: all reports of an outage come afterwards, in
// order, with the time at which things happened.
func TestServerAwayDuringTheWork(t *testing.T) {
	each(t, []environment{dash, busybox, busyboxOnly}, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		m.vars["SLIPWAY_FINAL_PATIENCE"] = "60"
		away := true
		d.answer = func(_ int, r *received) (int, map[string]string, string) {
			// The reports' part of the server is away from the start until the
			// machine has come to its end.
			if _, err := os.Stat(filepath.Join(m.root, "target/etc/ssh/ssh_host_ed25519_key.pub")); err == nil {
				away = false
			}
			if away {
				return 0, nil, ""
			}
			return http.StatusOK, nil, ""
		}
		r := m.install(t, d)
		if r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
		golden(t, "install.reports", d.lines())
		first, last := time.Time{}, time.Time{}
		keys := map[string]bool{}
		for i, got := range d.accepted() {
			keys[got.report.IdempotencyKey] = true
			if i == 0 {
				first = got.report.OccurredAt
			}
			if got.report.OccurredAt.Before(last) {
				t.Errorf("%s happened before the one before it", got.line())
			}
			last = got.report.OccurredAt
			if delay := got.at.Sub(got.report.OccurredAt); i == 0 && delay < 200*time.Millisecond {
				t.Errorf("the first report came %s after the fact: it was not buffered", delay)
			}
		}
		if !last.After(first) && !env.busybox { // its date knows whole seconds only
			t.Error("all reports have the same time")
		}
		for _, got := range d.all() {
			if !keys[got.report.IdempotencyKey] {
				t.Errorf("a try of %s had a key of its own", got.line())
			}
		}
	})
}

// TestServerNeverComesBack: the machine says so with its exit code and keeps
// the queue.
func TestServerNeverComesBack(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		m.vars["SLIPWAY_FINAL_PATIENCE"] = "0"
		d.answer = func(int, *received) (int, map[string]string, string) { return http.StatusBadGateway, nil, "" }
		r := m.install(t, d)
		queue, err := filepath.Glob(filepath.Join(m.root, "var/lib/slipway/queue/*.json"))
		if r.code != 7 || err != nil || len(queue) != 14 {
			m.explain(t, d, r)
			t.Errorf("exit %d, %d reports kept, %v", r.code, len(queue), err)
		}
	})
}

// TestAnotherDeploymentsReportsAreNotSent: what an earlier boot with another
// token left in a state directory that outlived it is dropped.
func TestAnotherDeploymentsReportsAreNotSent(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		m.write(t, "var/lib/slipway/boot-mark", "another\n")
		m.write(t, "var/lib/slipway/queue/0000000001.json", `{"server_ip":"10.240.0.10","phase":"installation","status":"failed","idempotency_key":"old"}`)
		if r := m.install(t, d); r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
		golden(t, "install.reports", d.lines())
	})
}

// TestTokenIsNeverAnArgument puts a spy in front of every command. It runs with
// dash, which takes commands from PATH.
func TestTokenIsNeverAnArgument(t *testing.T) {
	each(t, []environment{dash, dashWget}, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		entries, err := os.ReadDir(m.bin)
		if err != nil {
			t.Fatal(err)
		}
		calls := filepath.Join(filepath.Dir(m.bin), "calls")
		for _, e := range entries {
			real, err := filepath.EvalSymlinks(filepath.Join(m.bin, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if e.Name() == "ip" || e.Name() == "sh" {
				continue
			}
			command := "exec '" + real + "' \"$@\""
			if filepath.Base(real) == "busybox" {
				command = "exec '" + real + "' " + e.Name() + " \"$@\""
			}
			m.tool(t, e.Name(), "printf '%s\\n' \""+e.Name()+" $*\" >>'"+calls+"'\n"+command+"\n")
		}
		if r := m.install(t, d); r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
		log, err := os.ReadFile(calls)
		if err != nil {
			t.Fatal(err)
		}
		client := "curl "
		if !env.curl {
			client = "wget "
		}
		if !bytes.Contains(log, []byte(client)) || bytes.Count(log, []byte("\n")) < 100 {
			t.Fatalf("the spies saw too little:\n%s", log)
		}
		if bytes.Contains(log, []byte(testToken)) {
			t.Error("the token was an argument")
		}
	})
}

// TestTokenLeavesNoTailInALog: an installer that prints the kernel's command
// line does not make the token part of a report.
func TestTokenIsNotInALogTail(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		d.images["installer.sh"] = []byte("cat \"$SLIPWAY_ROOT/proc/cmdline\"\nexit 1\n")
		d.artifacts()
		last := wantFailure(t, m, d, m.install(t, d), "installation", "ended with status 1")
		if !strings.Contains(*last.report.LogTail, "slipway.token=[token]") || strings.Contains(last.raw, testToken) {
			t.Errorf("the log tail is not redacted:\n%s", *last.report.LogTail)
		}
	})
}
