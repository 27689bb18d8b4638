package simlock

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Take waits for the lock and holds it until the test and its subtests are
// over. A test that holds it must not take it again.
func Take(t testing.TB) {
	t.Helper()
	path := filepath.Join(os.TempDir(), "slipway-simulated-machines.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatalf("lock of simulated machines: %v", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		t.Fatalf("lock of simulated machines: %v", err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("lock of simulated machines: %v", err)
		}
	})
}
