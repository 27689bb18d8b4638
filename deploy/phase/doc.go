// Package phase is the transition table of a deployment and the decisions
// over it: may this report be accepted, what does it close and enter, what
// must a machine boot now, how far is a deployment. It is pure: functions of
// facts, no clock, no input or output.
//
// It may import deploy and the standard library.
package phase
