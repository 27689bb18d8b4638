// Package replicas has the tests of what is live: positions that never skip,
// several servers on one PostgreSQL, a database that goes away and comes back,
// Server-Sent Events through nginx, and documents and sockets made to hurt.
//
// Where a test says so, the server is the real binary: $SLIPWAY_BINARY, or one
// built from the working tree. No test here runs simulated machines; nodes are
// of the provider rack, for which nothing is ordered.
//
// The package has tests only; they may import everything.
package replicas
