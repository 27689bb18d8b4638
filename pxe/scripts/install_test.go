package scripts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// golden compares with testdata; UPDATE_GOLDEN=1 rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (UPDATE_GOLDEN=1 rewrites it):\n%s", path, diff)
	}
}

func TestInstall(t *testing.T) {
	everywhere(t, []environment{dash, busybox, dashWget, busyboxOnly}, func(t *testing.T, env environment) {
		d, m := typicalRun(t, env)
		r := m.install(t, d)
		if r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
		golden(t, "install.reports", d.lines())
		golden(t, "install.ip", m.read(t, "ip.log"))
		golden(t, "install.resolv.conf", m.read(t, "etc/resolv.conf"))
		checkReports(t, d)
		checkInventory(t, d)
		checkInstaller(t, m, d)
		checkAccess(t, m, d)
		checkSecrecy(t, m, r)
	})
}

// checkReports looks at what every report of a good run must have.
func checkReports(t *testing.T, d *slipwayd) {
	t.Helper()
	keys := map[string]bool{}
	last := ""
	for _, r := range d.accepted() {
		if r.report.ServerIP != testIP {
			t.Errorf("%s: server_ip %q", r.line(), r.report.ServerIP)
		}
		if len(r.report.IdempotencyKey) != 32 || keys[r.report.IdempotencyKey] {
			t.Errorf("%s: idempotency_key %q", r.line(), r.report.IdempotencyKey)
		}
		keys[r.report.IdempotencyKey] = true
		if age := r.at.Sub(r.report.OccurredAt); age < -1e9 || age > 60e9 {
			t.Errorf("%s: occurred_at %s is %s old", r.line(), r.report.OccurredAt, age)
		}
		if r.report.LogTail != nil {
			t.Errorf("%s: has a log tail", r.line())
		}
		if now := r.report.OccurredAt.String(); now < last {
			t.Errorf("%s: occurred_at went back", r.line())
		} else {
			last = now
		}
	}
}

func checkInventory(t *testing.T, d *slipwayd) {
	t.Helper()
	for _, r := range d.accepted() {
		if r.report.Phase == "storage_discovery" && r.report.Status == "success" {
			got, err := json.MarshalIndent(r.report.Details, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "install.inventory.json", string(got)+"\n")
			return
		}
	}
	t.Error("no inventory was reported")
}

func checkInstaller(t *testing.T, m *machine, d *slipwayd) {
	t.Helper()
	want := strings.Join(d.config.Installer.Args, "\n") + "\n"
	if got := m.read(t, "installer-args"); got != want {
		t.Errorf("the installer got the arguments %q, want %q", got, want)
	}
	for disk, want := range map[string]string{"nvme1n1": "image", "nvme0n1": "data", "nvme2n1": "data", "sda": "data", "sdb": ""} {
		if got := m.read(t, "dev/"+disk); got != want {
			t.Errorf("disk %s holds %q, want %q", disk, got, want)
		}
	}
	env := m.read(t, "installer-env")
	for _, want := range []string{"CFG_NODE_CONFIG_NODE_NAME=", "SLIPWAY_BOOT_DISK=", "SLIPWAY_ARTIFACT_DIR=", "SLIPWAY_REPORT=", "SLIPWAY_CVM_KEY_FILE=", "CFG_ARTIFACTS_2_SHA256="} {
		if !strings.Contains(env, want) {
			t.Errorf("the installer's environment has no %s", want)
		}
	}
	if strings.Contains(env, testToken) {
		t.Error("the installer's environment has the token")
	}
}

func checkAccess(t *testing.T, m *machine, d *slipwayd) {
	t.Helper()
	keys := m.read(t, "target/root/.ssh/authorized_keys")
	if want := strings.Join(d.config.Access.AuthorizedKeys, "\n") + "\n"; keys != want {
		t.Errorf("authorized_keys: got %q, want %q", keys, want)
	}
	for path, want := range map[string]os.FileMode{
		"target/root": 0o755 | os.ModeDir, "target/root/.ssh": 0o700 | os.ModeDir, "target/root/.ssh/authorized_keys": 0o600, "target/etc/ssh/ssh_host_ed25519_key": 0o600,
	} {
		info, err := os.Stat(filepath.Join(m.root, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %s, want %s", path, info.Mode(), want)
		}
	}
	signer, err := ssh.ParsePrivateKey([]byte(m.read(t, "target/etc/ssh/ssh_host_ed25519_key")))
	if err != nil {
		t.Fatal(err)
	}
	reports := d.accepted()
	details := reports[len(reports)-1].report.Details
	want := map[string]any{
		"ssh_host_key": strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))),
		"boot_id":      "11111111-2222-3333-4444-555555555555", "ssh_port": 2222.0,
		"cvm_ssh_host_key": testCVMKey,
	}
	if diff := cmp.Diff(want, details); diff != "" {
		t.Errorf("details of post_install:\n%s", diff)
	}
}

// checkSecrecy looks for the token where it must not be.
func checkSecrecy(t *testing.T, m *machine, r result) {
	t.Helper()
	if strings.Contains(r.stdout+r.stderr, testToken) {
		t.Error("the token was printed")
	}
	holders := 0
	err := filepath.WalkDir(m.root, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.HasSuffix(path, "proc/cmdline") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), testToken) {
			return err
		}
		holders++
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(m.root, path)
		if info.Mode().Perm() != 0o600 || !strings.HasPrefix(rel, "var/lib/slipway/") {
			t.Errorf("%s (mode %s) holds the token", rel, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if holders > 3 {
		t.Errorf("%d files hold the token", holders)
	}
}
