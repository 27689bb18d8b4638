// Package cluster makes several nodes one Nutanix cluster: who belongs to it,
// what is waited for, who forms it, what its health is, and what can be done
// about a member that fails.
//
// How far a cluster is follows from its members (StateOf), so nothing can say
// that it is deployed while one of them is not. What a member does next follows
// from the same facts (decide). What must not be forgotten is on disk before it
// is relied upon; whether a cluster exists is asked of its controller VMs, never
// of a row.
//
// It may import deploy, its packages cluster/cvm, lifecycle, operation,
// phase and store, and the standard library. It knows no HTTP and no GraphQL.
package cluster
