package simlock

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Take waits for the lock and holds it until the test and its subtests are
// over. A test that holds it must not take it again, and begins what it limits
// in time afterwards: how long others hold it is not its own doing.
func Take(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile(path(), os.O_CREATE|os.O_RDWR, 0o666)
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

// path names the lock: the host's, or that of a network namespace that is not
// the host's (namespaces(7)). The browser's tests name it the same way.
func path() string {
	name := "slipway-simulated-machines"
	own, err := os.Readlink("/proc/self/ns/net") // "net:[4026531840]"
	host, hostErr := os.Readlink("/proc/1/ns/net")
	if err == nil && hostErr == nil && own != host {
		name += "-" + strings.Trim(own, "net:[]")
	}
	return filepath.Join(os.TempDir(), name+".lock")
}
