package query

import (
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/predicate"
)

// Groups of the fleet: every node is in exactly one. They are what people tell
// nodes apart by; a node that is stalled is not counted as running as well.
const (
	GroupFailed     = "failed"
	GroupStalled    = "stalled"    // being worked on, and stale or past a deadline
	GroupLate       = "late"       // running, longer than 95 in 100 took, and not stalled
	GroupRunning    = "running"    // and neither late nor stalled
	GroupQueued     = "queued"     //
	GroupDeployed   = "deployed"   //
	GroupCanceled   = "canceled"   // or being canceled, and not stalled
	GroupCleaned    = "cleaned"    // or being cleaned up, and not stalled
	GroupRegistered = "registered" // never deployed
)

// GroupNames lists the groups, what needs attention first.
func GroupNames() []string {
	return []string{GroupFailed, GroupStalled, GroupLate, GroupRunning, GroupQueued, GroupDeployed, GroupCanceled, GroupCleaned, GroupRegistered}
}

// inGroup chooses the nodes of a group; none for a word that is no group.
func inGroup(group string, now time.Time) predicate.Node {
	stuck := node.Or(node.Stale(true), isOverdue(now))
	switch group {
	case GroupFailed:
		return node.State(phase.StateFail)
	case GroupStalled:
		return node.And(node.StateIn(phase.Running, phase.Canceling, phase.CleaningUp), stuck)
	case GroupLate:
		return node.And(node.State(phase.Running), node.Late(true), node.Not(stuck))
	case GroupRunning:
		return node.And(node.State(phase.Running), node.Late(false), node.Not(stuck))
	case GroupQueued:
		return node.State(phase.Queued)
	case GroupDeployed:
		return node.State(phase.Succeeded)
	case GroupCanceled:
		return node.Or(node.State(phase.StateStop), node.And(node.State(phase.Canceling), node.Not(stuck)))
	case GroupCleaned:
		return node.Or(node.State(phase.CleanedUp), node.And(node.State(phase.CleaningUp), node.Not(stuck)))
	case GroupRegistered:
		return node.State("")
	}
	return node.IDIn()
}
