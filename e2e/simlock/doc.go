// Package simlock lets only one test at a time run simulated machines.
//
// Every simulator gives its machines the same loopback addresses, and each
// machine listens on its own, so two simulators on one host would answer for
// each other. The lock is the host's, not the process's: the packages of one
// `go test ./...` run as processes beside each other. The kernel drops it when
// its holder ends, however it ends.
//
// The package imports the standard library only; only tests import it.
package simlock
