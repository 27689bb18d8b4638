package workflow

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Steps of hosts that the deployment script configures are in queues of their
// own, which only replicas with such a script work: another could only fail
// them. Those that ask hosts are in a third, for hosts that do not answer hold
// their workers for long, and must hold up nobody else. A step is unique by
// what it is for, whatever queue it is in.
const (
	queueScript = "script"
	queuePoll   = "poll"
)

const (
	// stepLimit is how long a step may take, but for what it asks of a host.
	stepLimit = 45 * time.Second
	// workersMax is how many steps of a queue a replica works on together.
	workersMax = 32
	// leaveFor is how long a step of another host is left to others.
	leaveFor = 2 * time.Second
	// leaveQuietly is how often in a row the same replica must have met such a
	// step before it says that the host's own does not take it.
	leaveQuietly = 3
)

// queues are those that this replica works.
func (e *Engine) queues() map[string]river.QueueConfig {
	out := map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workersMax}}
	if e.opts.Polling.Scripts != nil {
		out[queueScript] = river.QueueConfig{MaxWorkers: workersMax}
		out[queuePoll] = river.QueueConfig{MaxWorkers: e.opts.Polling.AtOnce}
	}
	return out
}

// ofScript reports whether a step needs the deployment script's host. Admission
// does not; a cleanup is asked of the provider.
func ofScript(provider, key string) bool {
	return provider == deploy.ProviderScript && key != phase.Pending && key != phase.Cleanup
}

// into is the queue of a step.
func into(provider, key string) *river.InsertOpts {
	switch {
	case !ofScript(provider, key):
		return nil
	case phase.Polls(key):
		return &river.InsertOpts{Queue: queuePoll}
	}
	return &river.InsertOpts{Queue: queueScript}
}

// here reports whether this replica can do the step: it needs a script, and that
// of the host where the deployment's last run was, which has its files.
func (s *step) here() bool {
	if !ofScript(s.spec.Provider, s.Phase) {
		return true
	}
	scripts := s.engine.opts.Polling.Scripts
	return scripts != nil && (s.runHost == "" || s.runHost == scripts.Host())
}

// leave puts a step off that another replica is to take. takenBy are those that
// took it, the last one being this. Which host is waited for is said when its
// replica seems not to be there; the phase's deadline ends it.
func (w *worker) leave(ctx context.Context, s *step, takenBy []string) error {
	alone := len(takenBy) >= leaveQuietly
	for _, id := range takenBy[max(0, len(takenBy)-leaveQuietly):] {
		alone = alone && id == w.engine.opts.ReplicaID
	}
	if alone {
		host := "a host that has the deployment script"
		if s.runHost != "" {
			host = "the host " + s.runHost + ", where the last run was"
		}
		err := s.write(ctx, "await", func(tx *lifecycle.Tx) error {
			// Its clock may have stood while another run had the host.
			if err := tx.LetRun(s.DeploymentID, s.Phase, s.awaiting); err != nil {
				return err
			}
			return tx.Await(s.DeploymentID, s.Phase, awaitedReplica, fmt.Sprintf("no Slipway on %s takes it", host))
		})
		if err != nil {
			return err
		}
	}
	return river.JobSnooze(leaveFor)
}

// awaitedReplica is what a phase waits for whose host has no replica.
const awaitedReplica = "script_replica"

// taken takes back that a replica was waited for.
func (s *step) taken(ctx context.Context) error {
	if s.awaiting != awaitedReplica {
		return nil
	}
	return s.write(ctx, "taken", func(tx *lifecycle.Tx) error { return tx.GoOn(s.DeploymentID, s.Phase) })
}
