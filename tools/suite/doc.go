// Command suite runs one step of `make test` after the other and adds them up.
//
//	suite check NAME COMMAND [ARG...]   a command: one test, passed if it ends with 0
//	suite go NAME [ARG...]              go test -json ARG...: its tests
//	suite vitest NAME DIR               vitest run in DIR: its tests
//	suite node NAME FILE...             node --test FILE...: its tests
//	suite total                         the sum of all steps
//
// A step shows what failed in full, what was skipped with the reason, and a
// line for each Go package; of what passed it shows nothing more. It ends with
// 0 even if something failed, so that the next step runs: total ends with 1
// then. The last line of total is "N passed, N failed, N skipped".
//
// Results are kept in the folder that SUITE_RESULTS names.
//
// It may import the standard library only.
package main
