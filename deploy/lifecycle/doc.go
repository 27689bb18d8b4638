// Package lifecycle is the only writer of phase and state. Reports, boots,
// orders, deadlines and the workflow's own steps all come through its one
// Writer per process, which groups them into transactions (group commit),
// locks deployments by id, then nodes by id, then the stream counter, and
// answers only when the transaction is on disk.
//
// It may import deploy, deploy/phase, deploy/store, golang.org/x/time/rate
// and the standard library.
package lifecycle
