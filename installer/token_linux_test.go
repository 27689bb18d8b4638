package installer_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/tools/present"
)

// TestTheTokenIsHidden: neither the console nor what a person at the console
// copies from the command line and the kernel's messages has the token.
func TestTheTokenIsHidden(t *testing.T) {
	if os.Getenv("SLIPWAY_SOAK") == "" {
		t.Skip("a virtual machine for half a minute: make soak runs it (SLIPWAY_SOAK=1)")
	}
	qemu := present.Command(t, "qemu-system-x86_64", "qemu-system-x86")
	dir, err := filepath.Abs("../.cache/installer")
	require.NoError(t, err)
	build(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-accel", "tcg", "-machine", "q35,graphics=off", "-cpu", "qemu64", "-m", "1024", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-monitor", "none", "-serial", "stdio", "-kernel", filepath.Join(dir, "vmlinuz"), "-initrd", filepath.Join(dir, "initrd.img"),
		"-append", "slipway.ip=10.0.0.1 slipway.token=slr_secret quiet console=ttyS0") // no URL: it fails, and gives a shell
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Wait() }) // its end is a kill or its own power off
	t.Cleanup(func() { _ = cmd.Process.Kill() })

	var console strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		console.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "a shell follows") {
			_, err := io.WriteString(in, "echo begin; cat /proc/cmdline; dmesg | grep -c .; cat /var/log/dmesg | grep -i 'command line'; poweroff -f\n")
			require.NoError(t, err)
		}
	}
	text := console.String()
	require.NotContains(t, text, "slr_secret", text)
	_, shell, found := strings.Cut(text, "\nbegin")
	require.True(t, found, text)
	require.GreaterOrEqual(t, strings.Count(shell, "slipway.ip=10.0.0.1 slipway.token=(hidden) quiet"), 2, "on the command line and in the messages: %s", text)
}
