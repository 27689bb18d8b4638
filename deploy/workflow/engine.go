package workflow

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
)

// Prober proves that an installed machine is the right one and answers.
type Prober interface {
	Check(ctx context.Context, t health.Target) health.Result
}

// Options tune an Engine.
type Options struct {
	// ReplicaID names this process; it must be unique among running replicas.
	ReplicaID string
	Providers map[string]deploy.Provider
	// BootURL mints a boot locator and gives the URL to boot from.
	BootURL func(ctx context.Context, nodeID, deploymentID int64) (string, error)
	Prober  Prober
	// AccessUser is who the prober logs in as.
	AccessUser string
	// Clusters brings the members of clusters together; nil = this server has
	// none.
	Clusters deploy.Clusters
	// Polling is for hosts that the deployment script configures.
	Polling Polling
	// SSHPort is used where the machine reported none.
	SSHPort int
	// Slots bounds how many deployments run at once. Default 25, IBM's quota
	// of servers in an account.
	Slots int
	// ObserveEvery is the pause between looks at a server that has not booted
	// yet. Default 10 s.
	ObserveEvery time.Duration
	// ProbeEvery is the pause between attempts to log in. Default 5 s.
	ProbeEvery time.Duration
	// ShortestWait is the least pause before a step is repeated. Default 1 s.
	ShortestWait time.Duration
	// SweepEvery is how often deadlines are looked at. Default 1 s.
	SweepEvery time.Duration
	// SilentAfter is how long a replica may be silent before others take over
	// its jobs. Default 10 s.
	SilentAfter time.Duration
	// ReportGrace is the longest back-off of the machines' reporting; they get
	// it on top of our own downtime. Default 60 s.
	ReportGrace time.Duration
	// Boundary is told each point of a step between which something changes
	// for good: its beginning and end, and before and after each thing that it
	// records. A test stops the process there. Nil = nobody.
	Boundary func(point string)
	Now      func() time.Time
	Logger   *slog.Logger
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.ObserveEvery, 10*time.Second)
	set(&o.ProbeEvery, 5*time.Second)
	set(&o.ShortestWait, time.Second)
	set(&o.SweepEvery, time.Second)
	set(&o.SilentAfter, 10*time.Second)
	set(&o.ReportGrace, time.Minute)
	o.Polling = o.Polling.withDefaults()
	if o.Slots == 0 {
		o.Slots = 25
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Boundary == nil {
		o.Boundary = func(string) {}
	}
	if o.AccessUser == "" {
		o.AccessUser = "root"
	}
	return o
}

// Engine runs the workflow's steps.
type Engine struct {
	store  *store.Store
	writer *lifecycle.Writer
	opts   Options
	client *river.Client[*sql.Tx]
	desk   desk
	most   atomic.Int64 // slots
	looks  atomic.Int32 // at the queue, see lookSoon
}

// New makes an Engine. Its Enqueue goes into lifecycle.Options.OnEnter; Run
// gets the writer.
func New(st *store.Store, opts Options) (*Engine, error) {
	e := &Engine{store: st, opts: opts.withDefaults()}
	e.most.Store(int64(e.opts.Slots))
	if e.opts.ReplicaID == "" {
		return nil, errors.New("workflow: a replica needs an id")
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{engine: e})
	var driver riverdriver.Driver[*sql.Tx] = riverdatabasesql.New(st.Write)
	poll := 200 * time.Millisecond
	if st.Dialect == store.SQLite {
		driver = riversqlite.New(st.Write)
		poll = 500 * time.Millisecond // inserts wake it within 50 ms; this finds what was snoozed
	}
	client, err := river.NewClient(driver, &river.Config{
		ID:                   e.opts.ReplicaID,
		Queues:               e.queues(),
		Workers:              workers,
		FetchCooldown:        50 * time.Millisecond,
		FetchPollInterval:    poll,
		JobTimeout:           stepLimit,
		RescueStuckJobsAfter: 2 * stepLimit,
		RetryPolicy:          retryPolicy{},
		Logger:               e.opts.Logger.With("part", "jobs"),
		MaxAttempts:          1000,
		SkipUnknownJobCheck:  false,
		// What a step did is in our own tables. River would keep its row for a day.
		CompletedJobRetentionPeriod: 10 * time.Minute,
		CancelledJobRetentionPeriod: 10 * time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("workflow: making the job client: %w", err)
	}
	e.client = client
	return e, nil
}

// retryPolicy repeats a step that failed unexpectedly after 1, 2, 4 ... 30 s.
// The phase's deadline, not a count of attempts, ends it.
type retryPolicy struct{}

// NextRetry is river's question when to try again.
func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(min(time.Second<<min(max(len(job.Errors), 0), 5), 30*time.Second))
}

// stepArgs names a step: the workflow's part of one phase of one attempt.
type stepArgs struct {
	DeploymentID int64  `json:"deployment_id"`
	Attempt      int    `json:"attempt"`
	Phase        string `json:"phase"`
	Tries        int    `json:"tries"`
}

// Kind names the job in the database.
func (stepArgs) Kind() string { return "phase_step" }

// InsertOpts makes a step unique while it is not over. What waits for a slot
// comes after what runs: ten thousand that were just ordered hold up nobody.
func (a stepArgs) InsertOpts() river.InsertOpts {
	priority := 1
	if a.Phase == phase.Pending {
		priority = 2
	}
	return river.InsertOpts{Priority: priority, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

// Enqueue inserts the step of an entered phase in the transaction that
// entered it.
func (e *Engine) Enqueue(ctx context.Context, tx *sql.Tx, in lifecycle.Entered) error {
	_, err := e.client.InsertTx(ctx, tx, stepArgs{DeploymentID: in.DeploymentID, Attempt: in.Attempt, Phase: in.Phase, Tries: in.Tries}, into(in.Provider, in.Phase))
	if err != nil {
		return fmt.Errorf("workflow: enqueueing: %w", err)
	}
	return nil
}

// Run works until ctx ends, then lets running steps finish. The writer must
// be running.
func (e *Engine) Run(ctx context.Context, w *lifecycle.Writer) error {
	e.writer = w
	if err := e.arrive(ctx); err != nil {
		return err
	}
	// The heartbeat waits for nothing else, or others would take over our jobs.
	var beats sync.WaitGroup
	beating, stopBeating := context.WithCancel(ctx)
	defer beats.Wait()
	defer stopBeating()
	beats.Go(func() { e.every(beating, 2*time.Second, e.beat) })
	if err := e.repay(ctx, true); err != nil {
		return err
	}
	if err := e.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("workflow: starting the job client: %w", err)
	}
	e.loop(ctx)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := e.client.Stop(stop); err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := e.client.StopAndCancel(last); err != nil {
			return fmt.Errorf("workflow: stopping the job client: %w", err)
		}
	}
	return nil
}

func (e *Engine) loop(ctx context.Context) {
	var parts sync.WaitGroup
	e.lookSoon() // there may be more slots than before
	parts.Go(func() { e.every(ctx, looksEvery, e.look) })
	parts.Go(func() { e.every(ctx, e.opts.SweepEvery, e.sweep) })
	parts.Go(func() { e.every(ctx, 30*time.Second, e.repair) })
	parts.Wait()
}

// every does something again and again until ctx ends.
func (e *Engine) every(ctx context.Context, pause time.Duration, do func(context.Context) error) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := do(ctx); err != nil && ctx.Err() == nil {
			e.opts.Logger.Warn("the workflow's housekeeping will be repeated", "error", err)
		}
	}
}

// sweep lets deadlines act, but not before machines were given the time that
// all of Slipway was away.
func (e *Engine) sweep(ctx context.Context) error {
	if err := e.repay(ctx, false); err != nil {
		return err
	}
	if owed, _, err := e.owed(ctx); err != nil || owed > 0 {
		return err
	}
	return e.writer.Sweep(ctx)
}

// repair enqueues the step of every open phase of ours that has none, and
// wakes the queue if slots are free.
func (e *Engine) repair(ctx context.Context) error {
	open, err := e.openPhases(ctx)
	if err != nil {
		return fmt.Errorf("workflow: looking for open phases: %w", err)
	}
	// After the phases, so that one that ends meanwhile may seem to lack its
	// step, never one that begins. Steps are unique: one too many is not kept,
	// or finds its phase left.
	there, err := e.liveSteps(ctx)
	if err != nil {
		return fmt.Errorf("workflow: looking for lost steps: %w", err)
	}
	var lost []river.InsertManyParams
	for _, o := range open {
		if !there[o.stepArgs] {
			lost = append(lost, river.InsertManyParams{Args: o.stepArgs, InsertOpts: into(o.provider, o.Phase)})
		}
	}
	for part := range slices.Chunk(lost, 200) {
		if _, err := e.client.InsertMany(ctx, part); err != nil {
			return fmt.Errorf("workflow: repairing: %w", err)
		}
	}
	if err := e.tellUntaken(ctx); err != nil {
		return err
	}
	return e.fill(ctx)
}

// openPhase is a phase that needs a step, and its deployment's provider.
type openPhase struct {
	stepArgs
	provider string
}

// openPhases are the phases that need a step.
func (e *Engine) openPhases(ctx context.Context) (open []openPhase, err error) {
	rows, err := e.store.Read.QueryContext(ctx, `SELECT r.deployment_id, r.attempt, r.phase, r.tries, d.provider FROM phase_runs r JOIN deployments d ON d.id = r.deployment_id
		WHERE r.finished_at IS NULL AND d.state IN ('queued', 'running', 'canceling', 'cleaning_up')`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var o openPhase
		if err := rows.Scan(&o.DeploymentID, &o.Attempt, &o.Phase, &o.Tries, &o.provider); err != nil {
			return nil, err
		}
		if d, ok := phase.Lookup(o.Phase); ok && d.Owner == phase.OwnerWorkflow {
			open = append(open, o)
		}
	}
	return open, errors.Join(rows.Err(), rows.Close())
}

// liveSteps are the steps that are not over. They are found by their states
// only: by their kind SQLite would read those that are over too.
func (e *Engine) liveSteps(ctx context.Context) (map[stepArgs]bool, error) {
	steps, err := e.stepsWhere(ctx, `state IN ('available', 'pending', 'retryable', 'running', 'scheduled')`)
	there := map[stepArgs]bool{}
	for _, a := range steps {
		there[a] = true
	}
	return there, err
}

// stepsWhere are the steps whose jobs are as a condition of SQL says.
func (e *Engine) stepsWhere(ctx context.Context, where string) (out []stepArgs, err error) {
	args := `json(args)`
	if e.store.Dialect == store.PostgreSQL {
		args = `args::text`
	}
	rows, err := e.store.Read.QueryContext(ctx, `SELECT `+args+` FROM river_job WHERE `+where)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text []byte
		var a stepArgs
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &a); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}
