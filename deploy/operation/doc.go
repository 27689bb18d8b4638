// Package operation holds what operators ask for that needs a provider beside
// the database: the check-list before a deployment, the plan of a cleanup, what
// a node holds, what can be ordered, how journal and cloud differ, taking a
// machine into care, and consoles. The verbs that only move a deployment
// (retry, cancel, cleanup, reinitialize, protect) are package lifecycle's.
//
// Nothing here writes phases or states. A provider that lacks an interface of
// package deploy gives a wrong_state deploy.Error that says so, and trouble of a
// provider becomes a deploy.Error that never looks like the caller's own
// missing rights.
//
// It may import deploy, deploy/lifecycle, deploy/phase, deploy/query,
// deploy/stats, deploy/store, ent and golang.org/x/sync.
package operation
