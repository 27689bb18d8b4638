// Package cvmsim stands for Nutanix controller VMs: SSH servers on loopback
// addresses that answer `cluster status`, `cluster create`, `cluster stop`, `cluster
// destroy`, `ncli cluster discover-nodes` and `ncli cluster add-node` as these are
// documented, and Prism's port with a TLS listener. The controller VMs of a Site
// share its clusters.
//
// It may import the standard library and golang.org/x/crypto/ssh only: it knows
// nothing of Slipway, so that a mistake is not made on both sides. It executes
// nothing. Of the shell it understands words, quotes, one pipe, and the two scripts
// in which Slipway runs its jobs, which it compares letter by letter; that a real
// bash does with them what is done here is proven by a test of package cvm.
//
// Nothing waits for time unless Options.Pace says so: Step is one beat, in which
// each running command goes one stage further and services come up. Faults are
// rules (Fault); State and Ran tell what happened.
//
// What it prints has the form of published output of Community Edition 2.0
// (AOS 6). Where nothing was published it is our assumption: how a controller VM
// that is down is printed ("CVM: <address> Down"), what `cluster stop` and `cluster
// destroy` print, the lines of `ncli cluster discover-nodes`, and every half-formed
// state.
package cvmsim
