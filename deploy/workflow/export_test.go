package workflow

import "context"

// Repair looks for lost steps now.
func (e *Engine) Repair(ctx context.Context) error { return e.repair(ctx) }

// Reclaim looks for jobs that this process has lost, as each heartbeat does.
func (e *Engine) Reclaim(ctx context.Context) error { return e.reclaim(ctx) }

// LostAfter is how many looks it takes.
const LostAfter = lostAfter

// SlotsLock is the lock under which slots are counted on PostgreSQL.
const SlotsLock = slotsLock

// SetSlots is as if the process had been started again with other settings.
func (e *Engine) SetSlots(n int) { e.opts.Slots = n }

// QueueSQL are the queries that each look at the queue makes, by what they do.
func QueueSQL() map[string]string {
	return map[string]string{"place": placeInQueue(), "first": firstOfQueue(3, 2)}
}

// AheadMost is how far the queue is counted.
const AheadMost = aheadMost
