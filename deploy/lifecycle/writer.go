package lifecycle

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"golang.org/x/time/rate"
)

// MaxGroup is the most submissions that share one transaction.
const MaxGroup = 64

// ErrClosed is what a submission gets after the Writer has stopped.
var ErrClosed = errors.New("lifecycle: the writer has stopped")

// Entered tells the workflow that a phase it owns was entered, or is to be
// tried again. It is called inside the transaction that did it.
type Entered struct {
	DeploymentID int64
	NodeID       int64
	Provider     string
	Attempt      int
	Phase        string
	Tries        int
}

// Options tune a Writer.
type Options struct {
	// Now is the clock; nil = the system's.
	Now func() time.Time
	// OnEnter enqueues the step of a phase that the workflow owns, in the
	// caller's transaction. It must not use another connection. nil = none.
	OnEnter func(ctx context.Context, tx *sql.Tx, e Entered) error
	// OnFreed wakes who waits for a slot, in the transaction in which n
	// deployments gave theirs back. The same holds for it as for OnEnter. nil = none.
	OnFreed func(ctx context.Context, tx *sql.Tx, n int) error
	// OnCommit is told the newest stream position after each commit.
	OnCommit func(position int64)
	// OnOutcome is told what became of each report, for metrics.
	OnOutcome func(outcome string, code deploy.Code)
	// Deadline overrides a phase's deadline for a profile; nil = the table.
	Deadline func(provider, profile string, d phase.Definition) time.Duration
	// Needs says which phases a deployment skips; nil = none but cluster_formation.
	Skip func(s deploy.Spec) []phase.Key
	// Accept refuses, with a *deploy.Error, a spec that cannot be worked on
	// here, for instance because its provider is not set up. nil = all.
	Accept func(s deploy.Spec) error
	// StaleAfter is how long a machine that owns the phase may be silent
	// before its node is marked stale; zero = 2 minutes.
	StaleAfter time.Duration
	Logger     *slog.Logger
}

// Writer is the one writer of phase and state in this process.
type Writer struct {
	store *store.Store
	opts  Options
	queue chan *item
	done  chan struct{}
	stmts *statements
	begun time.Time // silence before it may be ours: nobody is stale for that

	aliveMu sync.Mutex
	alive   map[int64]time.Time

	refusalMu sync.Mutex
	refusals  map[int64]*rate.Limiter
}

type item struct {
	ctx    context.Context
	deps   []int64
	nodes  []int64
	report *Report // what apply will report, if it is one report: its key is looked up with the group's
	apply  func(*Tx) error
	result chan error
}

// New makes a Writer; Run must be called for it to work.
func New(st *store.Store, opts Options) *Writer {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.StaleAfter == 0 {
		opts.StaleAfter = 2 * time.Minute
	}
	if opts.Deadline == nil {
		opts.Deadline = func(_, _ string, d phase.Definition) time.Duration { return d.Deadline }
	}
	if opts.Skip == nil {
		opts.Skip = func(deploy.Spec) []phase.Key { return []phase.Key{phase.ClusterFormation} }
	}
	w := &Writer{
		store: st, opts: opts,
		queue: make(chan *item, 4*MaxGroup), done: make(chan struct{}),
		stmts: newStatements(st.Write), alive: map[int64]time.Time{}, refusals: map[int64]*rate.Limiter{},
	}
	w.begun = w.now()
	return w
}

func (w *Writer) now() time.Time { return w.opts.Now().UTC().Truncate(time.Microsecond) }

// Run works until ctx ends; then it finishes what was submitted and returns.
func (w *Writer) Run(ctx context.Context) {
	defer close(w.done)
	defer w.stmts.close()
	heartbeats := time.NewTicker(time.Second)
	defer heartbeats.Stop()
	for {
		select {
		case it := <-w.queue:
			w.group(it)
		case <-heartbeats.C:
			w.flushAlive(context.WithoutCancel(ctx))
		case <-ctx.Done():
			for {
				select {
				case it := <-w.queue:
					w.group(it)
				default:
					w.flushAlive(context.WithoutCancel(ctx))
					return
				}
			}
		}
	}
}

// Do runs apply in a transaction of the one writer, with the named
// deployments and nodes locked. apply may run more than once and must not
// reach for a connection pool. A *deploy.Error from it is an answer, not a
// failure: what apply recorded is kept.
func (w *Writer) Do(ctx context.Context, deployments, nodes []int64, apply func(*Tx) error) error {
	return w.submit(&item{ctx: ctx, deps: deployments, nodes: nodes, apply: apply, result: make(chan error, 1)})
}

func (w *Writer) submit(it *item) error {
	ctx := it.ctx
	select {
	case w.queue <- it:
	case <-w.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	// From here the answer is awaited even if ctx ends: apply may be running,
	// and a commit is bounded in time.
	select {
	case err := <-it.result:
		return err
	case <-w.done:
		select {
		case err := <-it.result:
			return err
		default:
			return ErrClosed
		}
	}
}

// group commits first together with what waits behind it. If the transaction
// fails, each item is redone in a transaction of its own, so that a bad one
// fails alone.
func (w *Writer) group(first *item) {
	runtime.Gosched() // who is about to submit may join: it waits for nobody
	live := w.gather(nil, first)
	if len(live) == 0 {
		return
	}
	// While the transaction begins, more arrive: they join it.
	live, answers, err := w.commit(live, w.gather)
	if err != nil && len(live) > 1 {
		w.opts.Logger.Warn("a group of reports is redone one by one", "reports", len(live), "error", err)
		for _, it := range live {
			one, err := w.commitRetrying([]*item{it})
			if err == nil {
				err = one[0]
			}
			it.result <- err
		}
		return
	}
	if err != nil && w.store.IsSerialization(err) {
		answers, err = w.commitRetrying(live)
	}
	for i, it := range live {
		if err != nil {
			it.result <- err
		} else {
			it.result <- answers[i]
		}
	}
}

// gather adds to items more of them, and what waits in the queue, without those
// whose callers have gone.
func (w *Writer) gather(items []*item, more ...*item) []*item {
	join := func(it *item) {
		if err := it.ctx.Err(); err != nil {
			it.result <- err
			return
		}
		items = append(items, it)
	}
	for _, it := range more {
		join(it)
	}
	for len(items) < MaxGroup {
		select {
		case it := <-w.queue:
			join(it)
		default:
			return items
		}
	}
	return items
}

func (w *Writer) commitRetrying(items []*item) (answers []error, err error) {
	for range 3 {
		_, answers, err = w.commit(items, nil)
		if err == nil || !w.store.IsSerialization(err) {
			break
		}
	}
	return answers, err
}

// commit runs the items in one transaction, and those that gather adds once it
// has begun: all gives both. answers holds each item's business answer; err is
// set if nothing was kept.
func (w *Writer) commit(items []*item, gather func([]*item, ...*item) []*item) (all []*item, answers []error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	sqlTx, err := w.store.Write.BeginTx(ctx, nil)
	if err != nil {
		return items, nil, fmt.Errorf("lifecycle: begin: %w", err)
	}
	defer func() {
		if p := recover(); p != nil {
			_ = sqlTx.Rollback()
			w.opts.Logger.Error("a submission panicked", "panic", p)
			all, answers, err = items, nil, fmt.Errorf("lifecycle: internal error: %v", p)
		}
	}()
	if gather != nil {
		items = gather(items)
	}
	tx := newTx(ctx, w, sqlTx)
	answers = make([]error, len(items))
	err = tx.lock(items)
	for i, it := range items {
		if err != nil {
			break
		}
		answers[i] = it.apply(tx)
		if _, answer := deploy.AsError(answers[i]); answers[i] != nil && !answer {
			err = answers[i]
		}
	}
	var last int64
	if err == nil {
		last, err = tx.flush()
	}
	if err != nil {
		_ = sqlTx.Rollback()
		return items, nil, err
	}
	if err := sqlTx.Commit(); err != nil {
		return items, nil, fmt.Errorf("lifecycle: commit: %w", err)
	}
	w.stmts.prepare(ctx)
	if last > 0 && w.opts.OnCommit != nil {
		w.opts.OnCommit(last)
	}
	return items, answers, nil
}

// Alive notes a sign of life of a machine; it is written with others about
// once a second and makes no event.
func (w *Writer) Alive(nodeID int64) {
	w.aliveMu.Lock()
	w.alive[nodeID] = w.now()
	w.aliveMu.Unlock()
}

func (w *Writer) flushAlive(ctx context.Context) {
	w.aliveMu.Lock()
	seen := w.alive
	w.alive = map[int64]time.Time{}
	w.aliveMu.Unlock()
	if len(seen) == 0 {
		return
	}
	ids := make([]int64, 0, len(seen))
	for id := range seen {
		ids = append(ids, id)
	}
	it := &item{ctx: ctx, nodes: ids, result: make(chan error, 1), apply: func(tx *Tx) error {
		for id, at := range seen {
			if n := tx.nodes[id]; n != nil {
				tx.seen(n, at)
			}
		}
		return nil
	}}
	if _, err := w.commitRetrying([]*item{it}); err != nil {
		w.opts.Logger.Warn("signs of life were not written", "nodes", len(seen), "error", err)
	}
}

// mayRecordRefusal bounds the rows that refusals of one deployment can make:
// a burst of 50, then one in ten seconds.
func (w *Writer) mayRecordRefusal(deploymentID int64) bool {
	w.refusalMu.Lock()
	defer w.refusalMu.Unlock()
	l := w.refusals[deploymentID]
	if l == nil {
		if len(w.refusals) > 10_000 {
			clear(w.refusals)
		}
		l = rate.NewLimiter(rate.Every(10*time.Second), 50)
		w.refusals[deploymentID] = l
	}
	return l.AllowN(w.now(), 1)
}
