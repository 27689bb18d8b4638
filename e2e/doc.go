// Package e2e tests whole systems: the real program in processes of its own,
// with a simulated cloud, real curl, real sockets and real kills.
//
// The tests build the program once, or use the one that SLIPWAY_BINARY names.
// SLIPWAY_E2E_SEED repeats the random choices of a run; every test prints its
// seed. Nothing leaves the loopback interface.
//
// It has tests only; they may import the client, the simulators, deploy/feed (for
// what a cursor is) and deploy/store/storetest: the rest is done from outside.
package e2e
