package present

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Complete is the environment variable that makes what is missing a failure
// when it is "1".
const Complete = "SLIPWAY_TEST_COMPLETE"

// sbin is where Debian keeps servers; it is not in everybody's PATH.
var sbin = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

// Command gives the path of a program. Debian's package of it is named where
// it is missing.
func Command(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	for _, dir := range sbin {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	Missing(t, name+" is not installed: apt-get install "+debian)
	return ""
}

// Missing ends a test that cannot be run here: skipped, or failed where
// everything should be there.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv(Complete) == "1" {
		t.Fatalf("%s; with %s=1 everything must be there", reason, Complete)
	}
	t.Skip(reason)
}
