// Package apply tests how configurations are applied, as a whole: the real
// program in a process of its own, a real deployment script in a real work
// directory, and hosts that are real OpenSSH servers on loopback addresses.
//
// A host restarts when the script ends its SSH server: then the test boots it
// again, with another boot id, or does not, or makes it answer as a host that is
// broken in one way or another. What the SSH server says its boot id is comes
// from a file of the test's (by ForceCommand), for all of them share one kernel.
//
// SLIPWAY_BINARY names the program to test; without it, it is built once.
// SLIPWAY_APPLY_SEED repeats a run of random kills, SLIPWAY_APPLY_RUNS says how
// many there are. Nothing leaves the loopback interface.
//
// It has tests only; they may import the standard library, testify, and
// deploy/store with its storetest for databases: what is tested is the program,
// from outside.
package apply
