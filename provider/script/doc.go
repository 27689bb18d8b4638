// Package script is the provider script: a person's documents for nodes become
// files in a work directory, and a deployment script that is installed there
// configures the nodes.
//
// Host is the host of that script: it writes and takes back the files of a run
// (package workdir), starts the script under a supervisor that outlives Slipway
// (package supervisor), finds it again, reads its output and ends it. It keeps
// nothing in memory that matters: every process, at any time, sees the same.
//
// Provider keeps the journal: which node has which node file. A release removes
// a node's file as long as it is what Slipway wrote.
//
// It may import deploy, the packages below it, and the standard library.
package script
