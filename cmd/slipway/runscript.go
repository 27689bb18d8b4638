package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/slipwayhq/slipway/provider/script/supervisor"
)

// runScriptCmd is the supervisor of a deployment script. The server starts it;
// people do not, so that help does not list it. It reads no environment: what
// the script is given there is for the script.
type runScriptCmd struct {
	WorkDir  string        `help:"The script's work directory." required:""`
	Number   int64         `name:"run" help:"The run's number." required:""`
	LogLimit int64         `help:"How much of the output is kept, in bytes."`
	Linger   time.Duration `help:"How long what the script started may outlive it."`
	Stage    string        `help:"supervise, or exec: become the script." enum:"supervise,exec" default:"supervise"`
	Ready    bool          `help:"File descriptor 3 is closed once the script runs or could not be started."`
}

// Help says who calls it.
func (c *runScriptCmd) Help() string {
	return "This is started by the server for each run of the deployment script, and outlives it. See docs/script.md."
}

// Run supervises the script of one run, or becomes it.
func (c *runScriptCmd) Run(ctx context.Context) error {
	if c.Number <= 0 || !filepath.IsAbs(c.WorkDir) {
		return exit{exitUsage, errors.New("run-script: an absolute --work-dir and a --run greater than 0 are needed")}
	}
	o := supervisor.Options{WorkDir: c.WorkDir, Run: c.Number, LogLimit: c.LogLimit, Linger: c.Linger, Ready: c.Ready}
	// A signal that asks this program to end is not for a supervisor.
	return supervisor.Main(context.WithoutCancel(ctx), o, c.Stage, slog.Default())
}
