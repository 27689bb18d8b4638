// Package retention bounds the history: events of deployments that have ended,
// older than a policy says, go to compressed NDJSON files or are dropped. No
// row is removed before the file that has it was read back and compared, none
// is in two files, and nothing is removed unless the policy says where to.
//
// A pass may be killed at any instruction. What it is about to do is a row of
// the table settings (the intent) before it writes a file, the file's name
// follows from the intent, and rows, intent and the stream's floor change in
// one transaction. The next pass, of whatever replica, goes on from there.
//
// Clusters that were cleaned up so long ago go the same way, each with its
// members to a file of its own, before its rows are removed.
//
// The floor of the stream (settings: stream_floor) is the newest position that
// was removed. A cursor below it is answered with a reset. Rows of deployments
// that were active then are still there below it.
//
// It may import deploy/phase, deploy/store and the standard library.
package retention
