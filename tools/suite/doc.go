// Command suite runs one step of `make test` after the other and adds them up.
//
//	suite check NAME COMMAND [ARG...]   a command: one test, passed if it ends with 0
//	suite go NAME [ARG...]              go test -json ARG...: its tests
//	suite vitest NAME DIR               vitest run in DIR: its tests
//	suite node NAME FILE...             node --test FILE...: its tests
//	suite again                         what failed in go and node steps, once more
//	suite total                         the sum of all steps
//
// A step shows what failed in full, what was skipped with the reason, and a
// line for each Go package; of what passed it shows nothing more. It ends with
// 0 even if something failed, so that the next step runs: total ends with 1
// then. The last line of total is "N passed, N failed, N skipped".
//
// Steps run beside each other, on machines of which nobody knows what else they
// do. So again runs a few failed tests once more, alone. One that passes then is
// UNSTEADY: total counts it as passed and tells of it with what it had said, for
// somebody to cure it. A data race, what did not build, and more failures than
// an accident has stay failures.
//
// Results are kept in the folder that SUITE_RESULTS names. SUITE_LAUNCHER is the
// command that has started the step, with which it is started again.
//
// It may import the standard library only.
package main
