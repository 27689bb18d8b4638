package tftp

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/slipwayhq/slipway/pxe/netnstest"
	"github.com/slipwayhq/slipway/pxe/privilege"
)

// Without the right to port 69 the error names the capability; with it, and as
// nobody special otherwise, the port can be had.
func TestPortNeedsACapability(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	start, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	require.NoError(t, err)
	require.Equal(t, "1024", strings.TrimSpace(string(start)), "of a new namespace")
	for _, c := range []struct {
		have uint32
		ok   bool
	}{{0, false}, {1 << unix.CAP_NET_RAW, false}, {1 << unix.CAP_NET_BIND_SERVICE, true}} {
		ended := make(chan error, 1)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with its reduced rights
			head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			data := [2]unix.CapUserData{{Effective: c.have, Permitted: c.have}}
			if err := unix.Capset(&head, &data[0]); err != nil {
				ended <- err
				return
			}
			l, err := Listen(t.Context(), "127.0.0.1:69")
			if err == nil {
				err = l.Close()
			}
			ended <- err
		}()
		err := <-ended
		if c.ok {
			require.NoError(t, err)
			continue
		}
		var missing *privilege.Missing
		require.ErrorAs(t, err, &missing)
		require.Equal(t, privilege.BindService, missing.Capability)
		require.ErrorContains(t, err, "UDP port 69 needs the capability CAP_NET_BIND_SERVICE")
	}
}
