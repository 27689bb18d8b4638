package workflow

import "context"

// Repair looks for lost steps now.
func (e *Engine) Repair(ctx context.Context) error { return e.repair(ctx) }

// SlotsLock is the lock under which slots are counted on PostgreSQL.
const SlotsLock = slotsLock
