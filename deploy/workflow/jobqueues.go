package workflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
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
	// clusterLimit is how long a step may take that asks controller VMs, one of
	// whose answers may take a minute and a half.
	clusterLimit = 3 * time.Minute
	// workersMax is how many steps of a queue a replica works on together.
	workersMax = 32
	// leaveFor is how long a step of another host is left to others.
	leaveFor = 2 * time.Second
)

// queues are those that this replica works.
func (e *Engine) queues() map[string]river.QueueConfig {
	out := map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workersMax}}
	if e.opts.Polling.Scripts != nil {
		out[queueScript] = river.QueueConfig{MaxWorkers: workersMax}
		out[queuePoll] = river.QueueConfig{MaxWorkers: e.opts.Polling.AtOnce}
		if e.store.Dialect == store.PostgreSQL { // other replicas leave steps to this one
			for _, queue := range []string{queueScript, queuePoll} {
				out[ofHost(queue, e.opts.Polling.Scripts.Host())] = out[queue]
			}
		}
	}
	return out
}

// ofScript reports whether a step needs the deployment script's host: all do but
// admission. A cleanup removes files that are there.
func ofScript(provider, key string) bool {
	return provider == deploy.ProviderScript && key != phase.Pending
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

// leave gives a step to the replica that is to take it, and says which host is
// waited for; the phase's deadline ends it. On PostgreSQL the step goes into the
// queue of its host: put off in a queue that all work, it could come back to the
// wrong one again and again. On SQLite there is no other replica.
func (w *worker) leave(ctx context.Context, s *step, job int64) error {
	if err := s.awaitReplica(ctx); err != nil {
		return err
	}
	if s.engine.store.Dialect == store.PostgreSQL {
		queue := into(s.spec.Provider, s.Phase).Queue
		if s.runHost != "" {
			queue = ofHost(queue, s.runHost)
		}
		if _, err := s.engine.store.Write.ExecContext(ctx, `UPDATE river_job SET queue = $1 WHERE id = $2`, queue, job); err != nil {
			return fmt.Errorf("workflow: giving a step to %s: %w", s.whoTakes(), err)
		}
	}
	return river.JobSnooze(leaveFor)
}

// whoTakes is the host whose replica is to take a step.
func (s *step) whoTakes() string {
	if s.runHost != "" {
		return "the host " + s.runHost + ", where the last run was"
	}
	return "a host that has the deployment script"
}

// awaitReplica records that the step waits for another replica.
func (s *step) awaitReplica(ctx context.Context) error {
	return s.write(ctx, "await", func(tx *lifecycle.Tx) error {
		// Its clock may have stood while another run had the host.
		if err := tx.LetRun(s.DeploymentID, s.Phase, s.awaiting); err != nil {
			return err
		}
		return tx.Await(s.DeploymentID, s.Phase, awaitedReplica, "Slipway on "+s.whoTakes()+" is to take it")
	})
}

// tellUntaken says of steps that no replica takes whom they wait for. A replica
// with a script says it itself of those that it meets (see leave).
func (e *Engine) tellUntaken(ctx context.Context) error {
	if e.opts.Polling.Scripts != nil {
		return nil
	}
	where := `state = 'available' AND queue IN ('` + queueScript + `', '` + queuePoll + `')`
	if e.store.Dialect == store.PostgreSQL { // else nobody else could take it
		where += ` AND scheduled_at < now() - interval '10 seconds'`
	}
	steps, err := e.stepsWhere(ctx, where)
	if err != nil {
		return fmt.Errorf("workflow: looking for steps that nobody takes: %w", err)
	}
	for _, args := range steps {
		s, err := e.load(ctx, args)
		if err != nil {
			return err
		}
		if s == nil || s.awaiting == awaitedReplica {
			continue
		}
		if err := s.awaitReplica(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ofHost is the queue of one host's steps. The name of a host may have what that
// of a queue may not.
func ofHost(queue, host string) string {
	sum := sha256.Sum256([]byte(host))
	return queue + "-" + hex.EncodeToString(sum[:8])
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
