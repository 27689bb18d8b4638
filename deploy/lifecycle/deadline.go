package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// timeOut lets the open phase's deadline act if it has passed: another try,
// or the end of the deployment.
func (tx *Tx) timeOut(deploymentID int64) error {
	d, n, err := tx.deployment(deploymentID)
	if err != nil {
		return err
	}
	if d.open == nil || d.open.deadline == nil || d.open.deadline.After(tx.at) || d.open.stoppedAt != nil || d.maintenance {
		return nil
	}
	def, _ := phase.Lookup(d.open.phase)
	limit := tx.w.opts.Deadline(d.provider, d.profile, def)
	v := phase.TimeOut(d.facts(), d.open.tries)
	for _, m := range v.Moves {
		message := fmt.Sprintf("%s did not end within %s (try %d of %d)", m.Phase, limit, d.open.tries, def.Retries+1)
		if d.open.evidence != "" {
			message += "; last: " + d.open.evidence
		}
		r := Report{Message: message, Code: "deadline_passed", OccurredAt: tx.at, Source: deploy.SourceOrchestrator, Actor: deploy.System}
		if m.Status == phase.Waiting {
			d.open.tries++
			d.open.lastHash = "" // the next try may say what the last one said
			deadline := tx.at.Add(limit)
			d.open.deadline = &deadline
		}
		tx.move(d, m, message, nil)
		e := tx.event(d, m.Phase, m.Status, r, "")
		e.outcome = Accepted
		if m.Status == phase.TimedOut {
			tx.fail(d, r, m.Phase)
			d.failure.sequence = e.sequence
			d.finished = &tx.at
		}
		d.state, e.state = v.State, v.State
	}
	tx.mirror(d, n)
	if d.open != nil {
		tx.enqueue(d)
	}
	return nil
}

// waitsForMachine reports whether a phase is over when a machine has done
// something: reported, booted, become a member of a cluster, or come back from
// what the deployment script did to it.
func waitsForMachine(provider string, key phase.Key) bool {
	def, _ := phase.Lookup(key)
	return def.Owner != phase.OwnerWorkflow || key == phase.MonitoringStart || key == phase.ClusterFormation || provider == deploy.ProviderScript && phase.Polls(key)
}

// Recover gives machines the time that all of Slipway was away: open phases
// of machine and boot, and those in which a host of the deployment script is
// asked, get downtime plus grace, the longest back-off of the machines' own
// reporting.
func (w *Writer) Recover(ctx context.Context, downtime, grace time.Duration) error {
	if downtime <= 0 {
		return nil
	}
	open, err := w.column(ctx, `SELECT deployment_id FROM phase_runs WHERE finished_at IS NULL AND deadline_at IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("lifecycle: looking for open phases: %w", err)
	}
	for _, id := range open {
		err := w.Do(ctx, []int64{id}, nil, func(tx *Tx) error {
			d, _, err := tx.deployment(id)
			if err != nil || d.open == nil || d.open.deadline == nil {
				return err
			}
			if d.open.stoppedAt != nil {
				return nil // its deadline moves when the clock goes on, by all the time it stood
			}
			if !waitsForMachine(d.provider, d.open.phase) {
				return nil
			}
			deadline := d.open.deadline.Add(downtime + grace)
			d.open.deadline, d.open.dirty, d.dirty = &deadline, true, true
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Await records what the open phase waits for, since when, and the last
// thing learnt about it. It makes no event; it is what "stuck" is told from.
func (tx *Tx) Await(deploymentID int64, key phase.Key, awaiting, evidence string) error {
	d, n, err := tx.deployment(deploymentID)
	if err != nil || d.open == nil || d.open.phase != key {
		return err
	}
	if d.open.awaiting == awaiting && d.open.evidence == evidence {
		return nil
	}
	if d.open.awaiting != awaiting {
		d.open.awaitSince = &tx.at
	}
	d.open.awaiting, d.open.evidence, d.open.dirty, d.dirty, n.dirty = awaiting, evidence, true, true, true
	return nil
}

// OpenPhase tells where a deployment stands, under its lock.
func (tx *Tx) OpenPhase(deploymentID int64) (key phase.Key, attempt, tries int, state phase.State, err error) {
	d, _, err := tx.deployment(deploymentID)
	if err != nil {
		return "", 0, 0, "", err
	}
	if d.open != nil {
		tries = d.open.tries
	}
	return d.phase, d.attempt, tries, d.state, nil
}

// Begun counts the deployments that left the queue in this transaction, those
// that took a slot and those of a batch: queries do not see them before it is
// flushed.
func (tx *Tx) Begun(batchID int64) (slots, inBatch int) {
	for _, d := range tx.deps {
		if d.state != phase.Running || d.started == nil || !d.started.Equal(tx.at) {
			continue
		}
		if d.provider != deploy.ProviderScript {
			slots++
		}
		if d.batchID.Valid && d.batchID.Int64 == batchID {
			inBatch++
		}
	}
	return slots, inBatch
}
