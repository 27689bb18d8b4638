// Package applytest is a host of the deployment script that is all in memory,
// for tests of what is above it: its script runs until the test ends it. The
// real one is provider/script's.
//
// It may import deploy and the standard library.
package applytest
