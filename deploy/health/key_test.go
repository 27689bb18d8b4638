package health_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slipwayhq/slipway/deploy/health"
	"golang.org/x/crypto/ssh"
)

func TestLoadOrCreateKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ssh", "id_ed25519")
	const racers = 8
	keys := make([]health.Key, racers)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			key, err := health.LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	all.Wait()
	for _, k := range keys {
		if k.Authorized != keys[0].Authorized {
			t.Fatal("racers ended up with different keys")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	text, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(text), "-----BEGIN OPENSSH PRIVATE KEY-----") {
		t.Fatal("not in OpenSSH format")
	}
	public, comment, _, rest, err := ssh.ParseAuthorizedKey([]byte(keys[0].Authorized))
	if err != nil || comment != "slipway" || len(rest) > 0 || string(public.Marshal()) != string(keys[0].Signer.PublicKey().Marshal()) || public.Type() != ssh.KeyAlgoED25519 {
		t.Fatalf("authorized line %q does not carry the key (%v)", keys[0].Authorized, err)
	}
	left, _ := os.ReadDir(filepath.Dir(path))
	if len(left) != 1 {
		t.Fatalf("temporary files are left: %v", left)
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if _, err := health.LoadOrCreateKey(open); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte("secret-looking text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{open: "chmod 600", garbage: "garbage", dir: "owner"} {
		_, err := health.LoadOrCreateKey(path)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret-looking") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text, _ := os.ReadFile(garbage); string(text) != "secret-looking text" {
		t.Error("an unreadable key was overwritten")
	}
}
