package scripts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// withConfig gives a machine report.sh and a configuration, so that a single
// step can be run as foundation-init.sh runs it.
func withConfig(t *testing.T, env environment) (*slipwayd, *machine) {
	t.Helper()
	d, m := typicalRun(t, env)
	script, _ := Get(Report)
	m.write(t, "lib/report.sh", string(script.Content))
	m.vars["SLIPWAY_SCRIPT_DIR"] = filepath.Join(m.root, "lib")
	m.vars["SLIPWAY_TOKEN"] = testToken
	m.vars["CFG_REPORT_URL"] = d.url + "/api/status/phase"
	for k, v := range map[string]string{
		"NODE_CONFIG_MGMT_IP": testIP, "NODE_CONFIG_NODE_NAME": "metal-1",
		"NETWORK_ADDRESS": testIP, "NETWORK_NETMASK": "255.255.255.0",
		"ACCESS_USER": "root", "ACCESS_SSH_PORT": "22", "ACCESS_AUTHORIZED_KEYS_1": "ssh-ed25519 AAAA one", "ACCESS_AUTHORIZED_KEYS_COUNT": "1",
	} {
		m.vars["CFG_"+k] = v
	}
	return d, m
}

func TestNetworkInterface(t *testing.T) {
	held := `case "$*" in "-o -4 addr show"*) echo "7: ens2f0    inet 10.240.0.10/24 brd 10.240.0.255 scope global ens2f0" ;; esac` + "\n"
	tests := []struct {
		name   string
		change func(*testing.T, *machine)
		want   string // in the last report's message
		failed bool
	}{
		{"by MAC", func(_ *testing.T, m *machine) { m.vars["CFG_NETWORK_MAC"] = "02:00:01:00:00:0B" }, "ens2f0 has 10.240.0.10/24", false},
		{"no such MAC", func(_ *testing.T, m *machine) { m.vars["CFG_NETWORK_MAC"] = "02:00:01:00:00:99" }, "no interface has the MAC address 02:00:01:00:00:99", true},
		{"MAC twice", func(t *testing.T, m *machine) {
			m.vars["CFG_NETWORK_MAC"] = "02:00:01:00:00:0a"
			m.write(t, "sys/class/net/ens2f0/address", "02:00:01:00:00:0a\n")
		}, "two interfaces have the MAC address", true},
		{"VLAN of the same MAC", func(t *testing.T, m *machine) {
			m.vars["CFG_NETWORK_MAC"] = "02:00:01:00:00:0a"
			m.write(t, "sys/class/net/ens1f0.7/address", "02:00:01:00:00:0a\n")
		}, "ens1f0 has 10.240.0.10/24", false},
		{"by address", func(t *testing.T, m *machine) { m.tool(t, "ip", held) }, "ens2f0 has 10.240.0.10/24", false},
		{"which of two", func(*testing.T, *machine) {}, "which one of: ens1f0 ens2f0?", true},
		{"the only one", func(t *testing.T, m *machine) {
			if err := os.RemoveAll(filepath.Join(m.root, "sys/class/net/ens1f0")); err != nil {
				t.Fatal(err)
			}
		}, "ens2f0 has 10.240.0.10/24", false},
		{"none", func(t *testing.T, m *machine) {
			if err := os.RemoveAll(filepath.Join(m.root, "sys/class/net")); err != nil {
				t.Fatal(err)
			}
		}, "no network interface with hardware", true},
		{"no ip", func(t *testing.T, m *machine) {
			if err := os.Remove(filepath.Join(m.bin, "ip")); err != nil {
				t.Fatal(err)
			}
		}, "there is no ip in ", true},
		{"prefix length", func(_ *testing.T, m *machine) {
			m.vars["CFG_NETWORK_NETMASK"], m.vars["CFG_NETWORK_MAC"] = "27", "02:00:01:00:00:0a"
		}, "ens1f0 has 10.240.0.10/27", false},
		{"mask with a hole", func(_ *testing.T, m *machine) {
			m.vars["CFG_NETWORK_NETMASK"], m.vars["CFG_NETWORK_MAC"] = "255.0.255.0", "02:00:01:00:00:0a"
		}, "its ones are not together", true},
		{"no mask", func(_ *testing.T, m *machine) {
			m.vars["CFG_NETWORK_NETMASK"], m.vars["CFG_NETWORK_MAC"] = "255.255.255.7", "02:00:01:00:00:0a"
		}, "is no netmask", true},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inTurn(t, i, both, func(t *testing.T, env environment) {
				d, m := withConfig(t, env)
				tt.change(t, m)
				r := m.run(t, NetworkConfig)
				if tt.failed {
					wantFailure(t, m, d, r, "network_config", tt.want, "network-config.sh:")
					return
				}
				if reports := d.accepted(); r.code != 0 || !strings.Contains(reports[len(reports)-1].report.Message, tt.want) {
					m.explain(t, d, r)
					t.Fatalf("exit %d", r.code)
				}
			})
		})
	}
}

// TestNetworkTwice: the second run adds nothing that is there.
func TestNetworkTwice(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		_, m := withConfig(t, env)
		m.vars["CFG_NETWORK_MAC"], m.vars["CFG_NETWORK_VLANS_COUNT"], m.vars["CFG_NETWORK_VLANS_1_ID"] = "02:00:01:00:00:0a", "1", "100"
		m.vars["CFG_NETWORK_DNS_SERVERS_COUNT"], m.vars["CFG_NETWORK_DNS_SERVERS_1"] = "1", "161.26.0.7"
		// An ip that remembers what was added, by files.
		m.tool(t, "ip", `printf '%s\n' "$*" >>"$SLIPWAY_ROOT/ip.log"
case "$*" in
"addr add"*) : >"$SLIPWAY_ROOT/has-address" ;;
"link add"*) : >"$SLIPWAY_ROOT/has-vlan" ;;
"link show"*) [ -e "$SLIPWAY_ROOT/has-vlan" ] ;;
"-o -4 addr show"*) [ ! -e "$SLIPWAY_ROOT/has-address" ] || echo "2: ens1f0    inet 10.240.0.10/24 scope global" ;;
esac
`)
		for range 2 {
			if r := m.run(t, NetworkConfig); r.code != 0 {
				t.Fatalf("exit %d\n%s", r.code, r.stderr)
			}
		}
		log := m.read(t, "ip.log")
		if strings.Count(log, "addr add") != 1 || strings.Count(log, "link add") != 1 {
			t.Errorf("ip was asked:\n%s", log)
		}
		if got := m.read(t, "etc/resolv.conf"); got != "nameserver 161.26.0.7\n" {
			t.Errorf("resolv.conf is %q", got)
		}
	})
}

func TestPostInstallKeepsWhatIsThere(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := withConfig(t, env)
		m.vars["CFG_ACCESS_USER"] = "admin"
		m.write(t, "target/etc/passwd", fmt.Sprintf("root:x:0:0:root:/root:/bin/sh\nadmin:x:%d:%d:Ad Min:/var/home/admin:/bin/sh\n", os.Getuid(), os.Getgid()))
		m.write(t, "target/var/home/admin/.ssh/authorized_keys", "ssh-rsa THERE before")
		m.write(t, "target/etc/ssh/sshd_config", "")
		if out, err := exec.Command(lookPath(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(m.root, "target/etc/ssh/ssh_host_ed25519_key")).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		public := strings.Join(strings.Fields(m.read(t, "target/etc/ssh/ssh_host_ed25519_key.pub"))[:2], " ")
		for range 2 {
			if r := m.run(t, PostInstall); r.code != 0 {
				m.explain(t, d, r)
				t.Fatalf("exit %d", r.code)
			}
		}
		if got := m.read(t, "target/var/home/admin/.ssh/authorized_keys"); got != "ssh-rsa THERE before\nssh-ed25519 AAAA one\n" {
			t.Errorf("authorized_keys is %q", got)
		}
		reports := d.accepted()
		if got := reports[len(reports)-1].report.Details["ssh_host_key"]; got != public {
			t.Errorf("host key %v, want the one that was there, %s", got, public)
		}
	})
}

func TestPostInstallStaysInside(t *testing.T) {
	tests := []struct {
		name string
		link [2]string // where, to what; %s is a directory outside
		want string
	}{
		{"home", [2]string{"target/root", "%s"}, "leads out of the installed system"},
		{"etc/ssh", [2]string{"target/etc/ssh", "%s"}, "leads out of the installed system"},
		{".ssh", [2]string{"target/root/.ssh", "%s"}, "symbolic link"},
		{"host key", [2]string{"target/etc/ssh/ssh_host_ed25519_key", "%s/key"}, "symbolic link"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inTurn(t, i, both, func(t *testing.T, env environment) {
				d, m := withConfig(t, env)
				outside := t.TempDir()
				m.write(t, "target/etc/hostname", "x\n")
				path := filepath.Join(m.root, tt.link[0])
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(strings.ReplaceAll(tt.link[1], "%s", outside), path); err != nil {
					t.Fatal(err)
				}
				wantFailure(t, m, d, m.run(t, PostInstall), "post_install", tt.want, "post-install.sh:")
				if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
					t.Errorf("something was written outside: %v %v", entries, err)
				}
			})
		})
	}
}

// TestPostInstallMakesAHome: the user can get to it, and it is where sshd looks.
func TestPostInstallMakesAHome(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := withConfig(t, env)
		m.vars["CFG_ACCESS_USER"] = "admin"
		m.write(t, "target/etc/hostname", "x\n")
		if r := m.run(t, PostInstall); r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
		for path, want := range map[string]os.FileMode{"home": 0o755, "home/admin": 0o755, "home/admin/.ssh": 0o700, "etc/ssh": 0o755, "etc/ssh/ssh_host_ed25519_key.pub": 0o644} {
			info, err := os.Stat(filepath.Join(m.root, "target", path))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != want {
				t.Errorf("%s has mode %s, want %s", path, info.Mode().Perm(), want)
			}
		}
	})
}

func TestPostInstallWithoutASystem(t *testing.T) {
	each(t, both, func(t *testing.T, env environment) {
		d, m := withConfig(t, env)
		wantFailure(t, m, d, m.run(t, PostInstall), "post_install", "the installed system is not at "+filepath.Join(m.root, "target"))
	})
}

// hostState is what an installation must not change on the machine that tests it.
func hostState(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, argv := range [][]string{
		{"ip", "-j", "link"}, {"ip", "-j", "-4", "route", "show", "table", "all"}, {"ip", "-j", "-6", "route", "show", "table", "all"},
		{"ip", "-j", "rule"}, {"lsblk", "--json", "--output", "NAME,SIZE,TYPE,RO,FSTYPE,UUID,MOUNTPOINTS"},
	} {
		out, err := exec.Command(lookPath(t, argv[0]), argv[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", argv, err, out)
		}
		fmt.Fprintf(&b, "%v\n%s\n", argv, out)
	}
	for _, dir := range []string{"/sys/block", "/sys/class/net", "/dev"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			fmt.Fprintln(&b, filepath.Join(dir, e.Name()), e.Type())
		}
	}
	for _, file := range []string{"/etc/resolv.conf", "/root/.ssh/authorized_keys", "/etc/ssh/ssh_host_ed25519_key.pub"} {
		content, err := os.ReadFile(file)
		fmt.Fprintf(&b, "%s %q %v\n", file, content, err)
	}
	return b.String()
}

// TestHostIsUnchanged runs every script as root, to the end and into failures,
// with busybox too, whose shell would rather use its own ip than the one in PATH.
func TestHostIsUnchanged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root could change the host, and this is not root")
	}
	before := hostState(t)
	t.Run("runs", func(t *testing.T) {
		each(t, allClients, func(t *testing.T, env environment) {
			d, m := typicalRun(t, env)
			if r := m.install(t, d); r.code != 0 {
				m.explain(t, d, r)
				t.Errorf("exit %d", r.code)
			}
			for _, name := range []string{NetworkConfig, PostInstall} {
				_, m := withConfig(t, env)
				m.vars["CFG_NETWORK_MAC"] = "02:00:01:00:00:0a"
				m.write(t, "target/etc/hostname", "x\n")
				if r := m.run(t, name); r.code != 0 {
					t.Errorf("%s: exit %d\n%s", name, r.code, r.stderr)
				}
			}
			bare := newMachine(t, env)
			if err := os.RemoveAll(filepath.Join(bare.root, "etc")); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{FoundationInit, NetworkConfig, PostInstall} {
				if r := bare.run(t, name); r.code != 8 {
					t.Errorf("%s outside of an install environment: exit %d", name, r.code)
				}
			}
		})
	})
	if after := hostState(t); after != before {
		t.Errorf("the host has changed:\n--- before\n%s\n--- after\n%s", before, after)
	}
}

// TestPostInstallTellsTheControllerVMsKey: of what the installer left, the key;
// without a file nothing; and of what is no key, that it is none.
func TestPostInstallTellsTheControllerVMsKey(t *testing.T) {
	const path = "var/lib/slipway/cvm_host_key.pub"
	rsa := "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7" + strings.Repeat("x+/A", 80) + "=="
	for name, tt := range map[string]struct {
		file string // "" is none
		want string // reported; "" is none
		fail bool
	}{
		"none":           {"", "", false},
		"with a comment": {testCVMKey + " root@NTNX-1-A-CVM\n", testCVMKey, false},
		"the first":      {"\n" + testCVMKey + "\r\n" + rsa + "\n", testCVMKey, false},
		"RSA, no end":    {rsa, rsa, false},
		"ECDSA":          {"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= x\n", "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY=", false},
		"empty":          {"\n", "", true},
		"private":        {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE\n", "", true},
		"known_hosts":    {"10.0.0.5 " + testCVMKey + "\n", "", true},
		"no base64":      {"ssh-ed25519 AAAA\"},{\"x\":1\n", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, both, func(t *testing.T, env environment) {
				d, m := withConfig(t, env)
				m.write(t, "target/etc/hostname", "x\n")
				if tt.file != "" {
					m.write(t, path, tt.file)
				}
				r := m.run(t, PostInstall)
				if tt.fail {
					failed := wantFailure(t, m, d, r, "post_install", "left no public key", "cvm_host_key.pub", "post-install.sh:")
					if strings.Contains(failed.line(), "b3BlbnNzaC1") {
						t.Error("the failure shows what was in the file")
					}
					return
				}
				if r.code != 0 {
					m.explain(t, d, r)
					t.Fatalf("exit %d", r.code)
				}
				reports := d.accepted()
				got, told := reports[len(reports)-1].report.Details["cvm_ssh_host_key"]
				if told != (tt.want != "") || told && got != tt.want {
					t.Errorf("reported %v, want %q", got, tt.want)
				}
			})
		})
	}
}
