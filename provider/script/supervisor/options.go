package supervisor

import (
	"strconv"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// Command is the name of the command that runs a supervisor.
const Command = "run-script"

// The stages of the command.
const (
	StageSupervise = "supervise" // the supervisor
	StageExec      = "exec"      // the process that becomes the script
)

// Sizes and times.
const (
	DefaultLogLimit = 16 << 20
	MinLogLimit     = 64 << 10
	// DefaultLinger is how long what the script started may outlive it without
	// being called left behind: the tee of `exec > >(tee file)` does.
	DefaultLinger = 2 * time.Second
)

// Options of a supervisor.
type Options struct {
	WorkDir  string
	Run      deploy.RunKey
	LogLimit int64         // of the output that is kept, in bytes; 0 = 16 MiB
	Linger   time.Duration // 0 = 2 s
	// Ready tells that file descriptor 3 is to be closed once the script runs,
	// or could not be started.
	Ready bool
}

func (o Options) defaults() Options {
	if o.LogLimit == 0 {
		o.LogLimit = DefaultLogLimit
	}
	o.LogLimit = max(o.LogLimit, MinLogLimit)
	if o.Linger <= 0 {
		o.Linger = DefaultLinger
	}
	return o
}

// Args are the arguments that make a program be a stage. Nothing in them comes
// from a user's input.
func Args(o Options, stage string) []string {
	o = o.defaults()
	args := []string{
		Command, "--stage=" + stage, "--work-dir=" + o.WorkDir, "--run=" + o.Run.String(),
		"--log-limit=" + strconv.FormatInt(o.LogLimit, 10), "--linger=" + o.Linger.String(),
	}
	if o.Ready && stage == StageSupervise {
		args = append(args, "--ready")
	}
	return args
}
