// Package query is the read model: what the faces show of nodes, deployments,
// phase runs and history. It reads through ent on the read pool, in a constant
// number of queries a page, and writes nothing.
//
// Statuses and Machines answer one node at a time in the words of REST and the
// boot service; Fleet answers pages, in both directions, by keyset.
//
// It may import deploy, deploy/phase, deploy/feed, deploy/stats, deploy/store
// and ent.
package query
