package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/supervisor"
)

// runScriptCmd is the supervisor of a deployment script. The server starts it;
// people do not, so that help does not list it. It reads no environment: what
// the script is given there is for the script.
type runScriptCmd struct {
	WorkDir  string        `help:"The script's work directory." required:""`
	Key      string        `name:"run" help:"The run's number and identity." required:""`
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
	key, ok := deploy.ParseRunKey(c.Key)
	if !ok || !filepath.IsAbs(c.WorkDir) {
		return exit{exitUsage, errors.New("run-script: an absolute --work-dir, and the number and identity of a --run are needed")}
	}
	o := supervisor.Options{WorkDir: c.WorkDir, Run: key, LogLimit: c.LogLimit, Linger: c.Linger, Ready: c.Ready}
	// A signal that asks this program to end is not for a supervisor.
	return supervisor.Main(context.WithoutCancel(ctx), o, c.Stage, slog.Default())
}
