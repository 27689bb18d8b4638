package script_test

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/supervisor"
)

// TestMain makes this test binary be the supervisor, too, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == supervisor.Command {
		os.Exit(runScript(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == starter {
		os.Exit(startAndTell(os.Args[2:]))
	}
	// A program with the race detector takes a second to end otherwise.
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // it cannot fail
	}
	os.Exit(m.Run())
}

func runScript(args []string) int {
	var o supervisor.Options
	f := flag.NewFlagSet(supervisor.Command, flag.ContinueOnError)
	stage := f.String("stage", "", "")
	f.StringVar(&o.WorkDir, "work-dir", "", "")
	run := f.String("run", "", "")
	f.Int64Var(&o.LogLimit, "log-limit", 0, "")
	f.DurationVar(&o.Linger, "linger", 0, "")
	f.BoolVar(&o.Ready, "ready", false, "")
	if f.Parse(args) != nil {
		return 2
	}
	o.Run, _ = deploy.ParseRunKey(*run)
	if supervisor.Main(context.Background(), o, *stage, slog.New(slog.NewTextHandler(os.Stderr, nil))) != nil {
		return 1
	}
	return 0
}
