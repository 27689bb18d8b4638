// Package herd simulates many machines cheaply: each is a goroutine that says
// over real HTTP, from its own loopback address, what the served scripts would
// say, and answers real SSH when it is installed. It runs no shell and has no
// disks, only the knowledge of what is on its boot disk.
//
// It is for measuring and for breaking Slipway with a thousand machines at once.
// What the scripts really do is the business of package machine beside it.
//
// The package imports the standard library, golang.org/x/crypto/ssh,
// github.com/google/uuid and the packages vpcsim and cvmsim.
package herd
