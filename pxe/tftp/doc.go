// Package tftp serves boot programs over TFTP (RFC 1350, with the options of
// RFC 2347 to 2349) to firmware that speaks nothing better. It serves the names
// of a program.Set and nothing else: no file is opened on behalf of a request,
// nothing can be written.
//
// The transfers are github.com/pin/tftp's, in its default mode with a port for
// each transfer. Around them this package keeps names, limits, counters and the
// log, and refuses what is not a read request.
//
// It may import pxe/program, pxe/privilege, pxe/quiet, the tftp library,
// golang.org/x/sys/unix and golang.org/x/time/rate.
package tftp
