// Package crash kills Slipway's core wherever something becomes final, while
// the cloud misbehaves, and looks at what is left: every deployment must end in
// a state that is true, every server must have been made once, and after the
// cleanup the account must be empty.
//
// The test's own process is the world: the simulated cloud, behind a door that
// counts what it makes, and the machines in it. The core (store, lifecycle,
// workflow, journal and the ibm_vpc provider with IBM's SDK) runs in a child,
// the test binary started again. The child tells each boundary that it passes;
// at the one it was given it stands still, and is killed with SIGKILL. Then
// another child goes on with what is in the database.
//
// Clocks of cloud and core run faster than the machine's, and alike, so that
// waits of minutes are real and yet pass.
//
// testdata/points.txt lists the boundaries of a run without faults, so that a
// new step cannot be forgotten: see TestPoints, and -update. SLIPWAY_CRASH_SEED
// repeats one run, SLIPWAY_CRASH_RUNS says how many there are.
//
// A cluster is killed at each boundary of package cluster while three nodes form
// it and a fourth joins; which these are is said in the test, and a new one fails
// it.
//
// It has tests only; they may import the core, provider/ibmvpc and its simulator,
// but no face: nothing here is asked over HTTP by people.
package crash
