package main

import (
	"os"
	"testing"
)

// asSlipway makes this test binary be the program, so that tests can run it as
// a process of its own without building it again.
const asSlipway = "SLIPWAY_TEST_AS_SLIPWAY"

func TestMain(m *testing.M) {
	if os.Getenv(asSlipway) == "1" {
		main()
	}
	os.Exit(m.Run())
}
