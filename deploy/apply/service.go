package apply

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/store"
)

// Prober looks at hosts before the script runs; package health's Checker does.
type Prober interface {
	Check(ctx context.Context, t health.Target) health.Result
}

// Writer changes deployments; package lifecycle's Writer does.
type Writer interface {
	Do(ctx context.Context, deployments, nodes []int64, apply func(*lifecycle.Tx) error) error
}

// Deps are what a Service is made of.
type Deps struct {
	// Host runs the script. nil = none is set up here: everything but reading is
	// refused with wrong_state.
	Host   deploy.ScriptHost
	Store  *store.Store
	Writer Writer
	// Provider journals what each node holds: the intent before its file is
	// written, the file after.
	Provider deploy.Provider
	// Prober, with User and Port, reads the boot ids of hosts before the script
	// runs, so that their restart can be proven. nil = they are not read.
	Prober Prober
	User   string
	Port   int
	// LookLimit is how long hosts may take to tell that; all are asked at once.
	// Default 10 s.
	LookLimit time.Duration
	// KillAfter is how long a script that is to be canceled may take to end by
	// itself. Default 30 s.
	KillAfter time.Duration
	// LookEvery is the pause between looks at a running script. Default 500 ms.
	LookEvery time.Duration
	Now       func() time.Time // nil = time.Now
	Logger    *slog.Logger     // nil = slog.Default()
}

// Service takes and runs configurations. It is safe for concurrent use.
type Service struct {
	deps Deps
	// driving is held while a run of this host is taken a step further: what is
	// done to files and processes is done by one at a time.
	driving sync.Mutex
	asked   int64 // the run whose script was asked to end
	wake    chan struct{}
}

// New makes a Service.
func New(d Deps) *Service {
	if d.KillAfter <= 0 {
		d.KillAfter = 30 * time.Second
	}
	if d.LookLimit <= 0 {
		d.LookLimit = lookLimit
	}
	if d.LookEvery <= 0 {
		d.LookEvery = 500 * time.Millisecond
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	return &Service{deps: d, wake: make(chan struct{}, 1)}
}

func (s *Service) now() time.Time { return s.deps.Now().UTC().Truncate(time.Microsecond) }

// equipped refuses what needs a host if there is none.
func (s *Service) equipped() error {
	if s.deps.Host == nil {
		return &deploy.Error{Code: deploy.CodeWrongState, Message: "no deployment script is set up on this server", Hint: "start it with --script-work-dir"}
	}
	return nil
}

// Run drives the runs of this host until ctx ends.
func (s *Service) Run(ctx context.Context) {
	if s.deps.Host == nil {
		return
	}
	if m, err := s.MarkerState(ctx); err == nil && m.Stale {
		s.deps.Logger.Warn("the marker of a run in progress is there, but no script of ours that is alive has made it: nothing can be applied until it is cleared", "marker", m.Path, "since", m.Since.UTC())
	}
	ticker := time.NewTicker(s.deps.LookEvery)
	defer ticker.Stop()
	for {
		if err := s.driveAll(ctx); err != nil && ctx.Err() == nil {
			s.deps.Logger.Warn("a look at the deployment script will be repeated", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-ticker.C:
		}
	}
}

// hurry has the next look come at once.
func (s *Service) hurry() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
