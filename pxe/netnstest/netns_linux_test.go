package netnstest_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/pxe/netnstest"
	"github.com/slipwayhq/slipway/tools/present"
)

// alive reports whether a process with this word among its arguments runs.
func alive(t *testing.T, word string) bool {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, file := range list {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains("\x00"+string(text), "\x00"+word+"\x00") {
			return true
		}
	}
	return false
}

// TestNothingIsLeft: what a killed process had started ends with it, also a
// program in a session of its own that has changed its group.
func TestNothingIsLeft(t *testing.T) {
	if os.Geteuid() != 0 {
		present.Missing(t, "a network namespace needs root")
	}
	present.Command(t, "setpriv", "util-linux")
	present.Command(t, "setsid", "util-linux")
	word := fmt.Sprintf("4000.%d", os.Getpid())
	cmd := netnstest.Command(t, "sh", "-ec", "setsid setpriv --regid=65534 --clear-groups sh -c 'echo started; exec sleep "+word+"' & wait")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "started\n", line)
	require.Eventually(t, func() bool { return alive(t, word) }, 2*time.Minute, 10*time.Millisecond, "it does not run")
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool { return !alive(t, word) }, 2*time.Minute, 10*time.Millisecond, "it is still there")
}
