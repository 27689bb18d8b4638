package lifecycle_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

var errDuplicate = errors.New("a duplicate")

// together makes one group of several submissions: the writer is held while
// they queue up, in order. It gives their answers.
func (h *house) together(fill func(submit func(func() error))) []error {
	h.t.Helper()
	held, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- h.Do(context.Background(), nil, nil, func(*lifecycle.Tx) error { close(held); <-release; return nil })
	}()
	<-held
	var answers []chan error
	fill(func(f func() error) {
		answer := make(chan error, 1)
		queued := h.Queued()
		go func() { answer <- f() }()
		require.Eventually(h.t, func() bool { return h.Queued() == queued+1 }, 2*time.Minute, 100*time.Microsecond)
		answers = append(answers, answer)
	})
	close(release)
	require.NoError(h.t, <-first)
	out := make([]error, len(answers))
	for i, a := range answers {
		out[i] = <-a
	}
	return out
}

func TestABadOneFailsAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.bring(d, phase.Installation)
		before := h.state(d)
		step := func(message string) func() error {
			r := as(phase.ByMachine, d, phase.Installation, phase.InProgress)
			r.Message = message
			return func() error { _, err := h.Report(context.Background(), r); return err }
		}
		answers := h.together(func(submit func(func() error)) {
			submit(step("first"))
			submit(func() error {
				return h.Do(context.Background(), nil, nil, func(tx *lifecycle.Tx) error {
					_, err := tx.SQL().Exec(`INSERT INTO node_tombstones (id, name, changed_position, removed_at) SELECT id, NULL, 0, created_at FROM nodes`)
					return err
				})
			})
			submit(step("second"))
			submit(func() error {
				return h.Do(context.Background(), nil, nil, func(*lifecycle.Tx) error { panic("a bug") })
			})
			submit(step("third"))
			gone, cancel := context.WithCancel(context.Background())
			submit(func() error { return h.Do(gone, nil, nil, func(*lifecycle.Tx) error { panic("never run") }) })
			cancel()
		})
		require.NoError(t, answers[0])
		require.ErrorContains(t, answers[1], "constraint")
		require.NoError(t, answers[2])
		require.ErrorContains(t, answers[3], "internal error")
		require.NoError(t, answers[4])
		require.ErrorIs(t, answers[5], context.Canceled)
		s := sound(t, st, d.DeploymentID)
		require.Equal(t, before.sequence+3, s.sequence, "each good one is there once")
	})
}

func TestAGroupIsOneTransaction(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	var all []lifecycle.Deployed
	for i := range 10 {
		d := h.deploy(fmt.Sprintf("n%d", i))
		h.bring(d, phase.Installation)
		all = append(all, d)
	}
	h.mu.Lock()
	commits := len(h.woken)
	h.mu.Unlock()
	answers := h.together(func(submit func(func() error)) {
		for _, d := range all {
			submit(func() error {
				_, err := h.Report(context.Background(), as(phase.ByMachine, d, phase.Installation, phase.InProgress))
				return err
			})
		}
	})
	for _, err := range answers {
		require.NoError(t, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	require.Len(t, h.woken, commits+1)
	require.Equal(t, h.head(), h.woken[commits], "the feed is told the newest position")
}

func TestClosed(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	d := h.deploy("n1")
	h.stop()
	for range 100 {
		_, err := h.Report(t.Context(), as(phase.ByWorkflow, d, phase.Pending, phase.Success))
		require.ErrorIs(t, err, lifecycle.ErrClosed)
	}
	require.Equal(t, 1, h.state(d).sequence)
}

func TestWhatWasSubmittedIsFinished(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	d := h.deploy("n1")
	h.bring(d, phase.Installation)
	held, release := make(chan struct{}), make(chan struct{})
	go func() {
		_ = h.Do(context.Background(), nil, nil, func(*lifecycle.Tx) error { close(held); <-release; return nil })
	}()
	<-held
	answer := make(chan error, 1)
	go func() {
		_, err := h.Report(context.Background(), as(phase.ByMachine, d, phase.Installation, phase.Success))
		answer <- err
	}()
	require.Eventually(t, func() bool { return h.Queued() == 1 }, 2*time.Minute, 100*time.Microsecond)
	stopped := make(chan struct{})
	go func() { h.stop(); close(stopped) }()
	close(release)
	<-stopped
	require.NoError(t, <-answer)
	require.Equal(t, phase.PostInstall, h.state(d).phase)
}

func TestContextEndsInTheQueue(t *testing.T) {
	st := storetest.SQLite(t)
	w := lifecycle.New(st, lifecycle.Options{}) // never run: the queue only fills
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range cap(lifecycle.QueueOf(w)) {
		wg.Go(func() {
			_ = w.Do(context.Background(), nil, nil, func(*lifecycle.Tx) error { return nil })
		})
	}
	require.Eventually(t, func() bool { return w.Queued() == cap(lifecycle.QueueOf(w)) }, 2*time.Minute, time.Millisecond)
	answer := make(chan error, 1)
	go func() { answer <- w.Do(ctx, nil, nil, func(*lifecycle.Tx) error { return nil }) }()
	cancel()
	require.ErrorIs(t, <-answer, context.Canceled)
	over, stop := context.WithCancel(context.Background())
	stop()
	w.Run(over)
	wg.Wait()
}

func TestTheStepIsEnqueuedInTheSameTransaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		var entered []lifecycle.Entered
		broken := errors.New("no job table")
		fail := false
		h := open(t, st, func(o *lifecycle.Options) {
			o.OnEnter = func(ctx context.Context, tx *sql.Tx, e lifecycle.Entered) error {
				var n int
				if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM phase_runs WHERE deployment_id=$1 AND phase=$2 AND finished_at IS NULL`, e.DeploymentID, e.Phase).Scan(&n); err != nil {
					return err
				}
				if n != 1 {
					return fmt.Errorf("%s is not open", e.Phase)
				}
				if fail {
					return broken
				}
				entered = append(entered, e)
				return nil
			}
		})
		d := h.deploy("n1")
		h.bring(d, phase.Deployed)
		var keys []string
		for _, e := range entered {
			keys = append(keys, e.Phase)
			require.Equal(t, []any{d.DeploymentID, d.NodeID, "ibm_vpc", 1, 1}, []any{e.DeploymentID, e.NodeID, e.Provider, e.Attempt, e.Tries})
		}
		require.Equal(t, []string{phase.Pending, phase.ServerRequested, phase.MonitoringStart, phase.DNSRegistration, phase.HealthValidation}, keys)
		fail = true
		_, err := h.Deploy(t.Context(), lifecycle.NewDeployment{Name: "n2", Spec: vpcSpec(), Actor: tester})
		require.ErrorIs(t, err, broken)
		var n int
		require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM nodes`).Scan(&n))
		require.Equal(t, 1, n, "nothing is kept without its step")
	})
}

// TestManyAtOnce sends reports from 64 goroutines through two writers, as two
// replicas have them, while a reader looks on.
func TestManyAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		const reporters, each, deployments = 64, 20, 16
		h := open(t, st)
		writers := []*lifecycle.Writer{h.Writer}
		if st.Dialect == store.PostgreSQL {
			second := lifecycle.New(st, lifecycle.Options{Logger: slog.New(slog.DiscardHandler)})
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() { second.Run(ctx) })
			t.Cleanup(func() { cancel(); wg.Wait() })
			writers = append(writers, second)
		}
		var all []lifecycle.Deployed
		want := make([]int, deployments)
		for i := range deployments {
			d := h.deploy(fmt.Sprintf("n%d", i))
			h.bring(d, phase.Installation)
			all = append(all, d)
			want[i] = h.state(d).sequence + reporters*each/deployments
		}
		done, looked := make(chan struct{}), make(chan struct{})
		seen := map[int64]int{}
		go func() {
			defer close(looked)
			for {
				var head int64
				var n int
				if st.Read.QueryRow(`SELECT position FROM stream_counter`).Scan(&head) == nil &&
					st.Read.QueryRow(`SELECT COUNT(*) FROM deployment_history WHERE position <= $1`, head).Scan(&n) == nil {
					seen[head] = n
				}
				select {
				case <-done:
					return
				default:
				}
			}
		}()
		var wg sync.WaitGroup
		errs := make(chan error, reporters*each)
		for g := range reporters {
			wg.Go(func() {
				for i := range each {
					d := all[(g+i)%deployments]
					r := as(phase.ByMachine, d, phase.Installation, phase.InProgress)
					if g%2 == 0 {
						r.DeploymentID, r.NodeID = 0, d.NodeID
					}
					r.Message, r.IdempotencyKey = fmt.Sprintf("%d of %d", i, g), fmt.Sprintf("%d-%d", g, i)
					_, err := writers[(g+i)%len(writers)].Report(context.Background(), r)
					errs <- err
				}
			})
		}
		wg.Wait()
		close(done)
		<-looked
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		for i, d := range all {
			require.Equal(t, want[i], sound(t, st, d.DeploymentID).sequence)
		}
		require.Greater(t, len(seen), 1)
		for head, n := range seen {
			var now int
			require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM deployment_history WHERE position <= $1`, head).Scan(&now))
			require.Equal(t, n, now, "a reader who saw up to %d saw all of it: positions are in the order of commits", head)
		}
		var events, positions int
		require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*), COUNT(DISTINCT position) FROM deployment_history`).Scan(&events, &positions))
		require.Equal(t, events, positions)
	})
}
