// Command slipway deploys bare metal servers over the network and shows, live
// and truthfully, where each of them is. It is the server, its command line
// client, the simulator of IBM's cloud and the demonstration in one binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker for releases.
var version = "dev"

// The exit codes of the commands that wait for a result.
const (
	exitOK       = 0
	exitFailed   = 1 // a deployment failed, or the command itself did
	exitUsage    = 2
	exitCanceled = 3 // a deployment was canceled
	exitLost     = 4 // the server could not be reached any more
)

type cli struct {
	LogLevel  string `help:"Log from this level on." enum:"debug,info,warn,error" default:"info" env:"SLIPWAY_LOG_LEVEL"`
	LogFormat string `help:"Format of the log on standard error." enum:"text,json" default:"text" env:"SLIPWAY_LOG_FORMAT"`

	Serve        serveCmd        `cmd:"" help:"Run the server."`
	Demo         demoCmd         `cmd:"" help:"Deploy simulated servers from order to deployed, live."`
	Vpcsim       vpcsimCmd       `cmd:"" help:"Run the simulator of IBM Cloud VPC with simulated machines."`
	Deploy       deployCmd       `cmd:"" help:"Deploy nodes."`
	Plan         planCmd         `cmd:"" help:"Show what would become of a deployment, and do nothing."`
	Apply        applyCmd        `cmd:"" help:"Write configurations of nodes and run the deployment script over them."`
	Script       scriptCmd       `cmd:"" help:"Runs of the deployment script and their hosts: list, show, log, cancel, marker, probe, skip, host-key."`
	Watch        watchCmd        `cmd:"" help:"Follow deployments to their end."`
	Retry        retryCmd        `cmd:"" help:"Begin another attempt of a failed deployment."`
	Cancel       cancelCmd       `cmd:"" help:"End a deployment; what was made for it stays."`
	Cleanup      cleanupCmd      `cmd:"" help:"Release everything that a node holds."`
	Reinitialize reinitializeCmd `cmd:"" help:"Install a node's present machine anew; its data is lost."`
	Nodes        nodesCmd        `cmd:"" help:"List nodes."`
	Cluster      clusterCmd      `cmd:"" help:"Clusters: deploy, plan, list, show, watch, without, replace, cancel, cleanup, health."`
	Protect      protectCmd      `cmd:"" help:"Protect a node from cleanup and reinitialize."`
	Unprotect    unprotectCmd    `cmd:"" help:"Take the protection away."`
	Adopt        adoptCmd        `cmd:"" help:"Take an existing machine into care."`
	Console      consoleCmd      `cmd:"" help:"Open the console of a node's machine."`
	Resources    resourcesCmd    `cmd:"" help:"List what was made in clouds for nodes."`
	Drift        driftCmd        `cmd:"" help:"Compare the journal with the cloud; delete what no node holds."`
	Offer        offerCmd        `cmd:"" help:"Show what can be ordered."`
	Token        tokenCmd        `cmd:"" help:"Make, list and revoke access."`
	Artifacts    artifactsCmd    `cmd:"" help:"Manage boot files and images."`
	Migrate      migrateCmd      `cmd:"" help:"Bring the database to this version's schema."`
	RunScript    runScriptCmd    `cmd:"" hidden:"" help:"Run the deployment script of one run; the server starts this."`
	Version      versionCmd      `cmd:"" help:"Show the version."`
}

// exit carries a command's exit code.
type exit struct {
	code int
	err  error // what to say, may be nil
}

func (e exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e exit) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run parses the arguments, runs the command and gives the exit code.
func run(ctx context.Context, args []string) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("slipway"), kong.UsageOnError(),
		kong.Description("Bare metal deployment: order, network boot, install, watch. Every flag can be set in the environment as shown."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(os.Stderr, "slipway:", err)
		return exitFailed
	}
	k, err := parser.Parse(args)
	if err != nil {
		var usage *kong.ParseError
		if errors.As(err, &usage) {
			parser.Stdout = os.Stderr          // what reads the output did not ask for help
			_ = usage.Context.PrintUsage(true) // the message below says what is wrong either way
		}
		fmt.Fprintln(os.Stderr, "slipway:", err)
		return exitUsage
	}
	slog.SetDefault(c.logger())
	k.BindTo(ctx, (*context.Context)(nil))
	err = k.Run()
	var e exit
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled) && ctx.Err() != nil && !errors.As(err, &e):
		return 130 // 128 + SIGINT, as shells have it
	}
	code, text := complaint(err)
	if text != "" {
		fmt.Fprintln(os.Stderr, "slipway:", text)
	}
	return code
}

func (c *cli) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // kong has checked the enum
	opts := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, opts))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opts))
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run() error { //nolint:unparam // kong calls it so
	fmt.Println("slipway", versionText())
	return nil
}

func versionText() string {
	if version != "dev" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "dev-" + s.Value[:12]
			}
		}
	}
	return version
}
