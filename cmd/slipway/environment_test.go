package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/pxe/artifact"
)

func TestInstallEnvironmentIsServed(t *testing.T) {
	files, err := artifact.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	dir := t.TempDir()
	f := installFlags{Environment: dir, Kernel: "vmlinuz", Initrd: "initrd.img"}
	log := &logText{}
	serve := func() error {
		return serveEnvironment(t.Context(), files, f, slog.New(slog.NewTextHandler(log, nil)))
	}
	put := func(version, kernel string) {
		for name, content := range map[string]string{"manifest": "version " + version + "\nmore\n", "vmlinuz": kernel, "initrd.img": "ramdisk " + version} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
		}
	}
	version := func(name string) string {
		a, err := files.Get(name)
		require.NoError(t, err)
		return a.Version
	}

	require.NoError(t, serve(), "an empty directory is none")
	beginning := log.String()
	require.Contains(t, beginning, "level=WARN")
	_, err = files.Get("vmlinuz")
	require.ErrorIs(t, err, artifact.ErrNotFound)
	put("1", "kernel 1")
	require.NoError(t, serve())
	require.Equal(t, []string{"slipway-installer 1", "slipway-installer 1"}, []string{version("vmlinuz"), version("initrd.img")})
	put("2", "kernel 2")
	require.NoError(t, serve())
	require.Equal(t, "slipway-installer 2", version("vmlinuz"), "a newer one takes its place")

	own := filepath.Join(t.TempDir(), "own")
	require.NoError(t, os.WriteFile(own, []byte("own"), 0o600))
	_, err = files.Register(t.Context(), "vmlinuz", "6.1", artifact.KindKernel, own)
	require.NoError(t, err)
	put("3", "kernel 3")
	require.NoError(t, serve())
	require.Equal(t, []string{"6.1", "slipway-installer 3"}, []string{version("vmlinuz"), version("initrd.img")}, "what a person registered stays")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "manifest"), []byte("what?"), 0o600))
	require.ErrorContains(t, serve(), "does not begin with a version")
	require.NotContains(t, strings.TrimPrefix(log.String(), beginning), "level=WARN")
	f.Environment = filepath.Join(dir, "nowhere")
	require.NoError(t, serve())
	require.Contains(t, log.String(), "level=WARN")
	require.Contains(t, log.String(), "directory="+f.Environment, "who names a directory means it")
}
