//go:build !linux

package supervisor

import (
	"context"
	"errors"
	"log/slog"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

var errLinux = errors.New("the deployment script is run on Linux only")

// Main needs Linux: it asks the kernel for what a script leaves behind.
func Main(context.Context, Options, string, *slog.Logger) error { return errLinux }

// Kill needs Linux.
func Kill(State, *Process, bool) error { return errLinux }

// EnvRun has the run's number in the script's environment.
const EnvRun = "SLIPWAY_RUN_ID"

func (Process) alive() bool { return false }

func held(context.Context, *workdir.Dir, string) (bool, error) { return false, nil }

func holder(context.Context, *workdir.Dir) (deploy.RunKey, error) {
	return deploy.RunKey{}, nil
}
