// Package bulk asks one verb of many deployments: cancel, retry, cleanup or
// reinitialize. It owns the tables bulk_operations and bulk_items.
//
// What is asked is on disk before anything is done: the operation with one row
// for each deployment. Each verb and the row that says it was asked are
// committed together, so a process may be killed anywhere and the next, or
// another replica, goes on where it stood. No more than max_parallel are under
// way at a time, and after stop_after_failures that went wrong no further one is
// begun; both are decided under a lock of the operation's row.
//
// An operation is decided again for each deployment when its turn comes: what
// has changed since it was chosen is refused, not forced.
//
// It may import deploy, deploy/lifecycle, deploy/phase, deploy/query,
// deploy/store and the standard library.
package bulk
