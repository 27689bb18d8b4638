// Package feed is the live stream of what lifecycle writes: the events of
// deployment_history and the changes of nodes, in commit order, replayed from
// the database after a cursor and then live, without a gap.
//
// One reader per process reads each row once into a bounded ring; every
// stream is a position in it. A stream that replays reads the database; one
// that was live and fell out of the ring is told so (ResetSlowConsumer). The
// reader is woken by this process's own commits, by PostgreSQL's NOTIFY from
// other replicas, and by a slow poll that repairs a lost wake-up.
//
// It may import deploy, deploy/phase, deploy/store, lib/pq and the standard
// library.
package feed
