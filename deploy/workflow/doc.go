// Package workflow runs the phases that Slipway itself owns, as durable jobs
// on River: admit, order, wait for the first boot, DNS, health. The state
// machine is in our own tables (the open phase run); a job is one short,
// idempotent step of it, enqueued in the transaction that entered the phase.
// A wait is a snoozed job plus what it awaits and the last evidence, on the
// phase run. Nothing waits in memory: kill the process anywhere and the step
// is repeated by this or another replica.
//
// It may import deploy, deploy/apply, deploy/phase, deploy/lifecycle, deploy/store,
// deploy/health, River and the standard library.
package workflow
