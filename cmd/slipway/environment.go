package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipwayhq/slipway/pxe/artifact"
)

// environmentVersion begins the version of every install environment that
// `make installer` builds: an artifact with such a version was not put there by
// a person, and gives way to a newer one.
const environmentVersion = "slipway-installer "

// usualEnvironment is where packages put one; it may be missing.
const usualEnvironment = "/usr/share/slipway/installer"

// serveEnvironment registers the install environment of a directory, so that it
// is served without anybody's doing. What a person registered under the same
// names stays. An empty or missing directory is no problem: there are others.
func serveEnvironment(ctx context.Context, files *artifact.Catalogue, f installFlags, log *slog.Logger) error {
	version, err := environmentIn(f.Environment)
	if err == nil && version == "" && f.Environment != "" && f.Environment != usualEnvironment {
		log.Warn("the directory of --install-environment has no install environment as make installer builds it", "directory", f.Environment)
	}
	if err != nil || version == "" {
		return err
	}
	for name, part := range map[string]struct {
		file string
		kind artifact.Kind
	}{f.Kernel: {"vmlinuz", artifact.KindKernel}, f.Initrd: {"initrd.img", artifact.KindInitrd}} {
		known, err := files.Get(name)
		switch {
		case err == nil && !strings.HasPrefix(known.Version, environmentVersion):
			log.Info("the install environment is somebody's own", "artifact", name, "version", known.Version)
			continue
		case err == nil && known.Version == version && known.Broken == "":
			continue
		case err != nil && !errors.Is(err, artifact.ErrNotFound):
			return fmt.Errorf("install environment: %w", err)
		}
		made, err := files.Register(ctx, name, version, part.kind, filepath.Join(f.Environment, part.file))
		if err != nil {
			return fmt.Errorf("install environment: %w", err)
		}
		log.Info("the install environment is served", "artifact", name, "version", made.Version, "sha256", made.SHA256)
	}
	return nil
}

// environmentIn reads the version of the environment in a directory; empty if
// there is none.
func environmentIn(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("install environment: %w", err)
	}
	first, _, _ := strings.Cut(string(manifest), "\n")
	version, ok := strings.CutPrefix(first, "version ")
	if !ok || version == "" {
		return "", fmt.Errorf("install environment: %s does not begin with a version", filepath.Join(dir, "manifest"))
	}
	return environmentVersion + version, nil
}
