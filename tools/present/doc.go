// Package present tells tests whether what they need is on this machine. By
// hand a test without its tools is skipped, with the reason; where they should
// have been installed (SLIPWAY_TEST_COMPLETE=1, which scripts/test.sh sets after
// scripts/setup.sh) it fails: a test that is never run proves nothing.
//
// It may import the standard library only, and tests alone import it.
package present
