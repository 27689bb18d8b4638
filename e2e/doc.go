// Package e2e tests whole systems: the real program in processes of its own,
// with a simulated cloud, real curl, real sockets and real kills.
//
// The tests build the program once, or use the one that SLIPWAY_BINARY names.
// SLIPWAY_E2E_SEED repeats the random choices of a run; every test prints its
// seed. Nothing leaves the loopback interface.
package e2e
