package installer_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/tools/present"
)

// build runs build.sh in a directory that has the packages already, if the
// repository's cache has them.
func build(t *testing.T, dir string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "./build.sh", dir)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// sharePackages saves a download of 70 MB.
func sharePackages(t *testing.T, dir string) {
	t.Helper()
	debs, err := filepath.Glob("../.cache/installer/packages/*.deb")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "packages"), 0o755))
	for _, deb := range debs {
		data, err := os.ReadFile(deb)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "packages", filepath.Base(deb)), data, 0o600))
	}
}

// names lists an initial ramdisk's files in their order.
func names(t *testing.T, initrd []byte) []string {
	t.Helper()
	unpack := exec.CommandContext(t.Context(), "zstd", "-q", "-d")
	unpack.Stdin = bytes.NewReader(initrd)
	archive, err := unpack.Output()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "cpio", "--quiet", "-t")
	cmd.Stdin = bytes.NewReader(archive)
	list, err := cmd.Output()
	require.NoError(t, err)
	return strings.Fields(string(list))
}

func TestBuildIsReproducible(t *testing.T) {
	if os.Getenv("SLIPWAY_SOAK") == "" {
		t.Skip("builds the install environment twice: make soak runs it (SLIPWAY_SOAK=1)")
	}
	for name, debian := range map[string]string{
		"cpio": "cpio", "zstd": "zstd", "depmod": "kmod", "busybox": "busybox-static", "curl": "curl", "ssh-keygen": "openssh-client", "apt-get": "apt", "ldd": "libc-bin",
	} {
		present.Command(t, name, debian)
	}
	first, second := t.TempDir(), t.TempDir()
	sharePackages(t, first)
	sharePackages(t, second)
	require.Contains(t, build(t, first), "modules, in "+first)
	require.Contains(t, build(t, first), "is up to date", "the second time nothing is built")
	// Another umask and another time zone are another machine.
	build(t, second, "TZ=Asia/Kathmandu", "LC_ALL=C.UTF-8")
	for _, file := range []string{"vmlinuz", "initrd.img", "manifest"} {
		a, err := os.ReadFile(filepath.Join(first, file))
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(second, file))
		require.NoError(t, err)
		require.True(t, bytes.Equal(a, b), "%s differs", file)
	}
	initrd, err := os.ReadFile(filepath.Join(first, "initrd.img"))
	require.NoError(t, err)
	list := names(t, initrd)
	require.IsIncreasing(t, list)
	for _, file := range []string{"init", "etc/slipway-installer", "bin/sh", "bin/mke2fs", "usr/bin/curl", "usr/bin/ssh-keygen", "usr/sbin/dropbear", "etc/ssl/certs/ca-certificates.crt"} {
		require.Contains(t, list, file)
	}
	all := strings.Join(list, "\n")
	for _, module := range []string{"virtio_net", "e1000", "nvme", "vmd", "ahci", "ext4"} {
		require.Contains(t, all, "/"+module+".ko")
	}
}
