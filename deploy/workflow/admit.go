package workflow

import (
	"context"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// admit lets a queued deployment begin when a slot is free, in the order in
// which they were accepted. A host that the deployment script configures needs
// none; its batch may keep it back all the same.
func (s *step) admit(ctx context.Context) (again time.Duration, err error) {
	err = s.write(ctx, "admission", func(tx *lifecycle.Tx) error {
		again = 0
		q, err := s.engine.queue(ctx, tx.SQL(), s)
		if err != nil {
			return err
		}
		// Others of this very transaction are not in the tables yet.
		begun, begunInBatch := tx.Begun(s.batchID.Int64)
		q.running += begun
		q.ahead -= begun
		q.batchFull = q.batchFull || s.batchID.Valid && q.inBatch+begunInBatch >= q.parallel
		switch {
		case q.stopped && s.Attempt == 1: // whoever retries one wants it in spite of the others
			r := s.report(phase.FailedRun, fmt.Sprintf("not begun: %d deployments of the batch have failed", q.failed))
			r.Phase, r.Code, r.Hint = phase.Failed, "batch_stopped", "Look at the failures of the batch, then retry this one."
			_, err = tx.Report(r)
		case s.spec.Provider == deploy.ProviderScript && q.batchFull:
			again = queueFacts{}.patience() // whoever gives a slot back does not wake it
			return tx.Await(s.DeploymentID, s.Phase, "slot", fmt.Sprintf("%d of its batch run, and no more may", q.inBatch+begunInBatch))
		case s.spec.Provider == deploy.ProviderScript:
			_, err = tx.Report(s.report(phase.Success, "it needs no slot"))
		case q.running >= s.engine.slots() || q.ahead >= s.engine.slots()-q.running || q.batchFull:
			again = q.patience()
			return tx.Await(s.DeploymentID, s.Phase, "slot", fmt.Sprintf("%d running of %d slots; %s before this one in the queue", q.running, s.engine.slots(), roughly(q.ahead)))
		default:
			_, err = tx.Report(s.report(phase.Success, "a slot is free"))
		}
		if _, refused := deploy.AsError(err); refused {
			return nil
		}
		return err
	})
	return again, err
}
