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
