// Package simlock lets only one test at a time run simulated machines.
//
// Every simulator gives its machines the same loopback addresses, and each
// machine listens on its own, so two simulators on one network would answer for
// each other. The lock is the network's, not the process's: the packages of one
// `go test ./...` run as processes beside each other. Tests in a network namespace
// of their own (scripts/apart.sh), where nobody else has these addresses, wait for
// nobody outside. The kernel drops the lock when its holder ends, however it ends.
//
// The package imports the standard library only; only tests import it.
package simlock
