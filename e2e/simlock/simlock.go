// Package simlock lets only one test at a time run simulated machines.
//
// Every simulator gives its machines the same loopback addresses, and each
// machine listens on its own, so two simulators on one host would answer for
// each other. The lock is the host's, not the process's: the packages of one
// `go test ./...` run as processes beside each other. The kernel drops it when
// its holder ends, however it ends.
//
// The package imports the standard library only; only tests import it.
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
