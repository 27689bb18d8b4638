// Package health proves that a deployed node really answers: it logs in over
// SSH with Slipway's own key, compares the host key with the one that the
// machine reported while it was installed, and runs one command that also
// tells whether the machine has restarted since.
//
// "Installed" is a claim of the installer; "answers as itself, after a
// restart" is what this package establishes.
//
// It also owns Slipway's key pair for that login (LoadOrCreateKey).
//
// It may import the standard library and golang.org/x/crypto/ssh only.
package health
