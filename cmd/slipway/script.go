package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/journal"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/workflow"
	"github.com/slipwayhq/slipway/provider/script"
)

// scriptFlags are the settings of hosts that a deployment script configures.
type scriptFlags struct {
	WorkDir   string        `help:"Work directory of the deployment script; without it, --script is off." env:"SLIPWAY_SCRIPT_WORK_DIR" type:"path"`
	Enabled   bool          `name:"enabled" help:"Run the deployment script in the usual work directory." env:"SLIPWAY_SCRIPT_ENABLED"`
	Host      string        `help:"Name of this host in runs; default: its host name. It must stay the same." env:"SLIPWAY_SCRIPT_HOST"`
	PassEnv   []string      `help:"Environment variables that the script gets beside the usual ones." env:"SLIPWAY_SCRIPT_PASS_ENV"`
	LogLimit  int64         `help:"Most bytes of a run's output that are kept." default:"16777216" env:"SLIPWAY_SCRIPT_LOG_LIMIT"`
	KeepRuns  int           `help:"Runs, the newest, whose output and replaced files are kept." default:"20" env:"SLIPWAY_SCRIPT_KEEP_RUNS"`
	KeepFor   span          `name:"keep-records" help:"How long the other records of older runs are kept in the work directory, for instance 90d; 0 = for ever." default:"90d" env:"SLIPWAY_SCRIPT_KEEP_RECORDS"`
	KillAfter time.Duration `help:"How long a script that is to be canceled may take to end by itself." default:"30s" env:"SLIPWAY_SCRIPT_KILL_AFTER"`
	SSHUser   string        `name:"ssh-user" help:"User to log in to hosts as." default:"pinakasupport" env:"SLIPWAY_SCRIPT_SSH_USER"`
	SSHKey    string        `name:"ssh-key" help:"Private key to log in to hosts with; default: key/ps_key.pem in the work directory if it is there, else Slipway's own." env:"SLIPWAY_SCRIPT_SSH_KEY" type:"path"`
	SSHPort   int           `name:"ssh-port" help:"SSH port of hosts." default:"22" env:"SLIPWAY_SCRIPT_SSH_PORT"`
	PollWait  time.Duration `help:"How long hosts are left alone after the script has ended." default:"90s" env:"SLIPWAY_SCRIPT_POLL_WAIT"`
	PollEvery time.Duration `help:"From the beginning of one attempt to reach a host to the next." default:"5s" env:"SLIPWAY_SCRIPT_POLL_EVERY"`
	Attempts  int           `name:"poll-attempts" help:"Attempts to reach a host before it is given up." default:"120" env:"SLIPWAY_SCRIPT_POLL_ATTEMPTS"`
	AtOnce    int           `name:"poll-at-once" help:"Hosts that are asked at once." default:"32" env:"SLIPWAY_SCRIPT_POLL_AT_ONCE"`
	Look      time.Duration `name:"look-timeout" help:"How long hosts may take to tell their boot ids before the script runs." default:"10s" env:"SLIPWAY_SCRIPT_LOOK_TIMEOUT"`
	Connect   time.Duration `name:"connect-timeout" help:"TCP connection to a host." default:"10s" env:"SLIPWAY_SCRIPT_CONNECT_TIMEOUT"`
	Banner    time.Duration `name:"banner-timeout" help:"SSH handshake with a host." default:"30s" env:"SLIPWAY_SCRIPT_BANNER_TIMEOUT"`
	Auth      time.Duration `name:"auth-timeout" help:"Login to a host." default:"15s" env:"SLIPWAY_SCRIPT_AUTH_TIMEOUT"`
}

func (f scriptFlags) on() bool { return f.Enabled || f.WorkDir != "" }

// host is where the script runs; nil if it is not to run here.
func (f scriptFlags) host(cfg appConfig) (*script.Host, error) {
	if !f.on() {
		return nil, nil
	}
	records := time.Duration(f.KeepFor)
	if records == 0 {
		records = -1 // for ever
	}
	host, err := script.NewHost(script.Config{Name: f.Host, WorkDir: f.WorkDir, PassEnv: f.PassEnv, LogLimit: f.LogLimit, KeepRuns: f.KeepRuns, KeepRecords: records, Log: cfg.Logger, Now: cfg.Now})
	if err != nil {
		return nil, fmt.Errorf("deployment script: %w", err)
	}
	if _, err := os.Stat(host.WorkDir()); err != nil {
		cfg.Logger.Warn("the work directory of the deployment script cannot be used as it is: nothing can be applied", "error", err)
	}
	return host, nil
}

// checker logs in to hosts.
func (f scriptFlags) checker(cfg appConfig, own ssh.Signer, defaultKey string) (*health.Checker, error) {
	out := &health.Checker{Key: own, Dial: cfg.Dial, Timeouts: health.Timeouts{Dial: f.Connect, Banner: f.Banner, Auth: f.Auth}}
	file := f.SSHKey
	if file == "" {
		if _, err := os.Stat(defaultKey); err != nil {
			return out, nil
		}
		file = defaultKey
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--script-ssh-key: %w", err)
	}
	if out.Key, err = ssh.ParsePrivateKey(raw); err != nil {
		return nil, fmt.Errorf("--script-ssh-key: %s: %w", file, err)
	}
	return out, nil
}

// attemptLimit is more than one attempt to reach a host can take: its
// connection, handshake and login, two commands of 15 s, and some time to spare.
func (f scriptFlags) attemptLimit() time.Duration {
	return f.Connect + f.Banner + f.Auth + 30*time.Second + 15*time.Second
}

// lateWriter is the app's writer, which is made after what it is told of.
type lateWriter struct{ app *app }

// Do changes deployments in a transaction of the writer.
func (w lateWriter) Do(ctx context.Context, deployments, nodes []int64, change func(*lifecycle.Tx) error) error {
	return w.app.Writer.Do(ctx, deployments, nodes, change)
}

// applying makes the service that applies configurations, and the settings of
// the workflow's steps for it. Without a host it only reads.
func (a *app) applying(cfg appConfig, key health.Key) (*apply.Service, workflow.Polling, error) {
	f := cfg.Script
	deps := apply.Deps{Store: a.Store, Writer: lateWriter{a}, Now: cfg.Now, Logger: cfg.Logger}
	if a.scriptHost == nil {
		return apply.New(deps), workflow.Polling{}, nil
	}
	checker, err := f.checker(cfg, key.Signer, filepath.Join(a.scriptHost.WorkDir(), "key", "ps_key.pem"))
	if err != nil {
		return nil, workflow.Polling{}, err
	}
	deps.Host, deps.Provider = a.scriptHost, script.New(a.scriptHost, journal.New(a.Store, cfg.Now))
	deps.Prober, deps.User, deps.Port, deps.LookLimit, deps.KillAfter = checker, f.SSHUser, f.SSHPort, f.Look, f.KillAfter
	s := apply.New(deps)
	return s, workflow.Polling{Scripts: s, Prober: checker, User: f.SSHUser, Port: f.SSHPort, Wait: f.PollWait, Every: f.PollEvery, Attempts: f.Attempts, AtOnce: f.AtOnce,
		AttemptLimit: f.attemptLimit()}, nil
}
