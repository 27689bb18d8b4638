package simlock

import (
	"errors"
	"os"
	"path/filepath"
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

// apartEnv names a network of the tests' own (scripts/apart.sh).
const apartEnv = "SLIPWAY_TEST_APART"

// path names the lock: the host's, or that of a network of the tests' own. The
// browser's tests name it the same way.
func path() string {
	name := "slipway-simulated-machines"
	if apart := os.Getenv(apartEnv); apart != "" {
		name += "-" + apart
	}
	return filepath.Join(os.TempDir(), name+".lock")
}
