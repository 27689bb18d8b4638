package scripts

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/pxe/nodeconfig"
)

// wantFailure checks that the last report is a failure of that phase whose
// message has all of these parts, and returns it.
func wantFailure(t *testing.T, m *machine, d *slipwayd, r result, phase string, parts ...string) received {
	t.Helper()
	reports := d.accepted()
	if len(reports) == 0 || r.code != 1 {
		m.explain(t, d, r)
		t.Fatalf("exit %d with %d reports, want exit 1 and a failed report", r.code, len(reports))
	}
	last := reports[len(reports)-1]
	if last.report.Phase != phase || last.report.Status != "failed" {
		m.explain(t, d, r)
		t.Fatalf("the last report is %q, want %s failed", last.line(), phase)
	}
	for _, part := range parts {
		if !strings.Contains(last.report.Message, part) {
			t.Errorf("the message %q does not have %q", last.report.Message, part)
		}
	}
	for _, other := range reports[:len(reports)-1] {
		if other.report.Status == "failed" {
			t.Errorf("failed twice: %s", other.line())
		}
	}
	return last
}

// lineOf is the number of the only line of a script that contains text.
func lineOf(t *testing.T, name, text string) int {
	t.Helper()
	source, err := sources.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for i, line := range strings.Split(string(source), "\n") {
		if strings.Contains(line, text) {
			if found != 0 {
				t.Fatalf("%s: %q is in lines %d and %d", name, text, found, i+1)
			}
			found = i + 1
		}
	}
	if found == 0 {
		t.Fatalf("%s: no line has %q", name, text)
	}
	return found
}

func TestFailingLineIsNamed(t *testing.T) {
	tests := []struct {
		name, tool, script string // the tool that fails, and how
		phase, file, line  string
		status             int
	}{
		{"child script", "ip", `case "$*" in "addr add"*) echo "RTNETLINK answers: no" >&2; exit 7 ;; esac`, "network_config", NetworkConfig, `"$ip" addr add`, 7},
		{"another line of it", "ip", `case "$*" in *" mtu "*) exit 3 ;; esac`, "network_config", NetworkConfig, `mtu "$CFG_NETWORK_MTU"`, 3},
		{"last script", "ssh-keygen", `exit 9`, "post_install", PostInstall, "ssh-keygen -q -t", 9},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inTurn(t, i, both, func(t *testing.T, env environment) {
				d, m := typicalRun(t, env)
				m.tool(t, tt.tool, tt.script+"\n")
				r := m.install(t, d)
				line := lineOf(t, tt.file, tt.line)
				last := wantFailure(t, m, d, r, tt.phase, fmt.Sprintf("%s:%d: a command failed with status %d", tt.file, line, tt.status))
				if got := last.report.Details; got["script"] != tt.file || got["line"] != float64(line) || got["exit_status"] != float64(tt.status) {
					t.Errorf("details are %v", got)
				}
				if last.report.LogTail == nil || !strings.Contains(*last.report.LogTail, "FAILED in "+tt.phase) {
					t.Errorf("the log tail does not tell of it: %v", last.report.LogTail)
				}
			})
		})
	}
}

func TestUnsetVariableIsNamed(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		line := lineOf(t, FoundationInit, `timeout=${CFG_INSTALLER_TIMEOUT:-0}`)
		d.scripts[FoundationInit] = bytes.Replace(d.scripts[FoundationInit], []byte("timeout=${CFG_INSTALLER_TIMEOUT:-0}"), []byte("timeout=$NO_SUCH_VARIABLE"), 1)
		wantFailure(t, m, d, m.install(t, d), "installation", fmt.Sprintf("foundation-init.sh:%d: ", line))
	})
}

func TestSignalIsReported(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		d.images["installer.sh"] = []byte("kill -s TERM $PPID\nwhile :; do sleep 0.1; done\n")
		d.artifacts()
		wantFailure(t, m, d, m.install(t, d), "installation", "foundation-init.sh:", "stopped by signal 15")
	})
}

func TestWrongSum(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		want, got := d.config.Artifacts[1].SHA256, ""
		d.images["hypervisor.img"] = bytes.Replace(d.images["hypervisor.img"], []byte("f"), []byte("F"), 1)
		got = hexSum(d.images["hypervisor.img"])
		wantFailure(t, m, d, m.install(t, d), "image_download", "hypervisor.img", "sha256 is "+got, "expected "+want, "foundation-init.sh:")
		if n := d.imaged; n != 3 { // installer.sh once, the bad one twice
			t.Errorf("%d downloads, want 3", n)
		}
		if _, err := os.Stat(filepath.Join(m.root, "installer-args")); err == nil {
			t.Error("the installer ran")
		}
	})
}

func TestOneBadTransferIsRepeated(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		d.image = func(n int, w http.ResponseWriter, _ *http.Request, content []byte) bool {
			if n == 2 { // the first try at hypervisor.img
				_, _ = w.Write(bytes.Repeat([]byte("X"), len(content)))
			}
			return n == 2
		}
		if r := m.install(t, d); r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
	})
}

func TestResume(t *testing.T) {
	each(t, []environment{dash, busybox, busyboxOnly}, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		half := len(d.images["hypervisor.img"]) / 2
		d.image = func(n int, w http.ResponseWriter, _ *http.Request, content []byte) bool {
			if n != 2 {
				return false
			}
			// The whole is announced, half of it comes, then the connection breaks.
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = w.Write(content[:half])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		r := m.install(t, d)
		if r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
		want := fmt.Sprintf("GET /boot/images/hypervisor.img bytes=%d-", half)
		if !strings.Contains(strings.Join(d.gets, "\n"), want) {
			t.Errorf("no request %q among\n%s", want, strings.Join(d.gets, "\n"))
		}
	})
}

func TestServerThatCannotResume(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		d.image = func(n int, w http.ResponseWriter, _ *http.Request, content []byte) bool {
			if n < 2 {
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			if n == 2 {
				_, _ = w.Write(content[:1000])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(content) // 200 whatever range was asked for
			return true
		}
		if r := m.install(t, d); r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
	})
}

func TestArtifactIsMissing(t *testing.T) {
	each(t, []environment{dash, busybox, busyboxOnly}, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		delete(d.images, "hypervisor.img")
		wantFailure(t, m, d, m.install(t, d), "image_download", "hypervisor.img", "404")
	})
}

func TestDisks(t *testing.T) {
	tests := []struct {
		name   string
		change func(*testing.T, *machine, *nodeconfig.Storage)
		want   []string
	}{
		{"boot disk is missing", func(_ *testing.T, _ *machine, s *nodeconfig.Storage) { s.BootDisk.Serial = "S0OTHER" },
			[]string{"boot_disk: no disk matches (serial S0OTHER)", "nvme1n1 (nvme, 480000000000 bytes, serial S0BOOT)"}},
		{"boot disk is ambiguous", func(_ *testing.T, _ *machine, s *nodeconfig.Storage) {
			s.BootDisk = nodeconfig.Disk{Type: nodeconfig.DiskNVMe}
		},
			[]string{"boot_disk: ambiguous, 3 disks match (type nvme) where 1 should: nvme0n1 nvme1n1 nvme2n1"}},
		{"too few data disks", func(_ *testing.T, _ *machine, s *nodeconfig.Storage) { s.DataDrives[0].Count = 3 },
			[]string{"data_drives 1: only 2 of 3 disks match"}},
		{"size does not fit", func(_ *testing.T, _ *machine, s *nodeconfig.Storage) { s.DataDrives[1].Size++ },
			[]string{"data_drives 2: no disk matches"}},
		{"a disk is used once", func(_ *testing.T, _ *machine, s *nodeconfig.Storage) {
			s.DataDrives = append(s.DataDrives, nodeconfig.Disk{Serial: "S0BOOT"})
		}, []string{"data_drives 3: no disk matches (serial S0BOOT)"}},
		{"virtual media is none", func(_ *testing.T, _ *machine, s *nodeconfig.Storage) { s.BootDisk.Serial = "VIRTUAL" },
			[]string{"boot_disk: no disk matches (serial VIRTUAL)"}},
		{"no device node", func(t *testing.T, m *machine, _ *nodeconfig.Storage) {
			if err := os.Remove(filepath.Join(m.root, "dev/nvme1n1")); err != nil {
				t.Fatal(err)
			}
		}, []string{"disk nvme1n1 has no device node"}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inTurn(t, i, both, func(t *testing.T, env environment) {
				d, m := typicalRun(t, env)
				tt.change(t, m, &d.config.Storage)
				last := wantFailure(t, m, d, m.install(t, d), "storage_discovery", append(tt.want, "foundation-init.sh:")...)
				if _, ok := last.report.Details["disks"].([]any); !ok && tt.name != "no device node" {
					t.Errorf("the details %v have no inventory", last.report.Details)
				}
			})
		})
	}
}

func TestKernelNameWithSlash(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		m.disk(t, "cciss!c0d0", 100_000_000_000, map[string]string{"device/model": "RAID"})
		d.config.Storage.BootDisk = nodeconfig.Disk{Model: "RAID", MaxSize: 200_000_000_000}
		if r := m.install(t, d); r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
		if got := m.read(t, "dev/cciss/c0d0"); got != "image" {
			t.Errorf("dev/cciss/c0d0 holds %q", got)
		}
	})
}

func TestInstallerFails(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		d.images["installer.sh"] = []byte("echo 'writing' >&2\necho 'installer.sh:2: disk is worn out' >\"$SLIPWAY_ERROR_FILE\"\nexit 42\n")
		d.artifacts()
		last := wantFailure(t, m, d, m.install(t, d), "installation", "installer installer.sh ended with status 42: installer.sh:2: disk is worn out", "foundation-init.sh:")
		if last.report.LogTail == nil || !strings.Contains(*last.report.LogTail, "writing\n") {
			t.Error("the installer's output is not in the log tail")
		}
	})
}

// TestInstallerTimeout also proves that what the installer started is stopped
// with it, even when it does not listen to SIGTERM.
func TestInstallerTimeout(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		m.vars["SLIPWAY_KILL_GRACE"] = "0.2"
		d.images["installer.sh"] = []byte("trap '' TERM\n(sh -c 'echo $PPID' >\"$SLIPWAY_ROOT/alive\"; while :; do sleep 0.05; done) &\nwhile :; do sleep 0.05; done\n")
		d.artifacts()
		d.config.Installer.Timeout = 1
		start := time.Now()
		wantFailure(t, m, d, m.install(t, d), "installation", "installer.sh was stopped, it had not ended after 1 seconds")
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("it took %s", took)
		}
		gone(t, strings.TrimSpace(m.read(t, "alive")))
	})
}

// gone waits until a process that was killed has been reaped, too.
func gone(t *testing.T, pid string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		status, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(status), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %s is still there: %s", pid, status)
		}
	}
}

// TestHeartbeats: while the installer runs, its last report comes again and
// again, the same to the byte; when the installer reports itself, that one does.
func TestHeartbeats(t *testing.T) {
	each(t, []environment{dash, busybox, busyboxOnly}, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		m.vars["SLIPWAY_HEARTBEAT"] = "0.1"
		d.images["installer.sh"] = []byte(installerScript + `
wait_for() { until [ -e "$SLIPWAY_ROOT/$1" ]; do sleep 0.02; done; }
wait_for first
sh "$SLIPWAY_REPORT" installation in_progress "half of it" --progress 50
wait_for second
`)
		d.artifacts()
		beats := map[string]int{}
		raw := map[string]string{}
		d.answer = func(_ int, r *received) (int, map[string]string, string) {
			beats[r.report.Message]++
			if before := raw[r.report.IdempotencyKey]; before != "" && before != r.raw {
				t.Errorf("the same key with another body:\n%s%s", before, r.raw)
			}
			raw[r.report.IdempotencyKey] = r.raw
			switch {
			case r.report.Message == "half of it" && beats[r.report.Message] == 3:
				m.write(t, "second", "")
			case r.report.Phase == "installation" && beats[r.report.Message] == 3:
				m.write(t, "first", "")
			}
			return http.StatusOK, nil, ""
		}
		if r := m.install(t, d); r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
		if !strings.Contains(d.lines(), "installation in_progress 50%: half of it\n") {
			t.Errorf("the installer's own report is missing:\n%s", d.lines())
		}
		if strings.Count(d.lines(), "\n") != 15 {
			t.Errorf("a heartbeat counts as a report:\n%s", d.lines())
		}
	})
}

func TestDownloadProgress(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		m.vars["SLIPWAY_PROGRESS_INTERVAL"] = "0.1"
		seen := make(chan struct{})
		d.answer = func(_ int, r *received) (int, map[string]string, string) {
			if strings.HasPrefix(r.report.Message, "downloading hypervisor.img (2 of 2)") && *r.report.Progress >= 40 {
				select {
				case <-seen:
				default:
					close(seen)
				}
			}
			return http.StatusOK, nil, ""
		}
		d.image = func(n int, w http.ResponseWriter, _ *http.Request, content []byte) bool {
			if n != 2 {
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = w.Write(content[:len(content)/2])
			w.(http.Flusher).Flush()
			select { // the rest only comes after progress was reported
			case <-seen:
			case <-time.After(2 * time.Minute):
			}
			_, _ = w.Write(content[len(content)/2:])
			return true
		}
		r := m.install(t, d)
		select {
		case <-seen:
		default:
			m.explain(t, d, r)
			t.Fatal("no progress was reported during the download")
		}
		if r.code != 0 {
			t.Errorf("exit %d", r.code)
		}
	})
}

func TestStrangeNamesAreOnlyText(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		name := "it's \"quoted\"\\ $(touch pwned) `touch pwned`\nnext\tline; ünï 漢字"
		d.config.NodeConfig.NodeName = name // no document with it validates: the scripts must stand it all the same
		d.config.Network.Domain = "a$(touch pwned)"
		r := m.install(t, d)
		if r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
		if got := d.accepted()[0].report.Message; got != "install environment of "+name+" is running" {
			t.Errorf("the message is %q", got)
		}
		err := filepath.WalkDir(filepath.Dir(m.bin), func(path string, _ os.DirEntry, err error) error {
			if strings.Contains(path, "pwned") {
				t.Errorf("the name was run: %s", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestRefusesOutsideTheInstallEnvironment(t *testing.T) {
	for _, name := range []string{FoundationInit, NetworkConfig, PostInstall} {
		t.Run(name, func(t *testing.T) {
			each(t, both, func(t *testing.T, env environment) {
				d, m := typicalRun(t, env)
				if err := os.Remove(filepath.Join(m.root, "etc/slipway-installer")); err != nil {
					t.Fatal(err)
				}
				before := tree(t, m.root)
				r := m.run(t, name)
				if r.code != 8 || !strings.Contains(r.stderr, "nothing was touched") {
					t.Errorf("exit %d, %q", r.code, r.stderr)
				}
				if after := tree(t, m.root); after != before {
					t.Errorf("it changed the tree:\n%s\n%s", before, after)
				}
				if len(d.all())+len(d.gets) != 0 {
					t.Errorf("it spoke to the server: %v", d.gets)
				}
			})
		})
	}
}

// tree lists files with size and time.
func tree(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		fmt.Fprintln(&b, path, info.Size(), info.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
