package privilege

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatIsMissing(t *testing.T) {
	var m *Missing
	err := Port(os.NewSyscallError("bind", syscall.EACCES), 67)
	require.ErrorAs(t, err, &m)
	require.Equal(t, BindService, m.Capability)
	require.ErrorContains(t, err, "UDP port 67 needs the capability CAP_NET_BIND_SERVICE")
	require.ErrorIs(t, err, syscall.EACCES)

	err = Interface(os.NewSyscallError("setsockopt", syscall.EPERM), "eth0")
	require.ErrorAs(t, err, &m)
	require.Equal(t, Raw, m.Capability)
	require.ErrorContains(t, err, "binding to the interface eth0 needs the capability CAP_NET_RAW")

	for _, err := range []error{Port(syscall.EADDRINUSE, 69), Port(syscall.EADDRNOTAVAIL, 69), Interface(syscall.ENODEV, "eth9")} {
		require.NotErrorAs(t, err, &m, "not every failure is a right that is missing")
	}
	require.ErrorContains(t, Port(syscall.EADDRINUSE, 69), "another program has it")
	require.ErrorContains(t, Interface(syscall.ENODEV, "eth9"), "eth9")
}
