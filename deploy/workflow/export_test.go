package workflow

import (
	"context"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Repair looks for lost steps now.
func (e *Engine) Repair(ctx context.Context) error { return e.repair(ctx) }

// Reclaim looks for jobs that this process has lost, as each heartbeat does.
func (e *Engine) Reclaim(ctx context.Context) error { return e.reclaim(ctx) }

// LostAfter is how many looks it takes.
const LostAfter = lostAfter

// SlotsLock is the lock under which slots are counted on PostgreSQL.
const SlotsLock = slotsLock

// SetSlots is as if the process had been started again with other settings.
func (e *Engine) SetSlots(n int) { e.most.Store(int64(n)) }

// QueueSQL are the queries that each look at the queue makes, by what they do.
func QueueSQL() map[string]string {
	return map[string]string{"place": placeInQueue(), "first": firstOfQueue(3, 2)}
}

// AheadMost is how far the queue is counted.
const AheadMost = aheadMost

// StepTimeout is how long a step of a queue may take.
func (e *Engine) StepTimeout(queue string) time.Duration {
	return (&worker{engine: e}).Timeout(&river.Job[stepArgs]{JobRow: &rivertype.JobRow{Queue: queue}})
}
