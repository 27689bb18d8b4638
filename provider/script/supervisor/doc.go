// Package supervisor runs the deployment script of one run and outlives
// whoever started it: it is the body of "slipway run-script".
//
// The supervisor is a process of its own session. It holds a lock for the run
// and one for the work directory (so that two scripts never run at once), starts
// the script in yet another session, keeps its output, waits for it, writes how
// it ended, takes the marker away, and ends. The process that becomes the script
// records its own PID and start time before it does, while it still holds the
// locks: there is no instant at which a script runs that cannot be found.
//
// Records in <work dir>/.slipway/run-<id>, beside those of package workdir:
//
//	lock             held by the supervisor (open file description lock)
//	cancel.json      the run is to be ended, or not to be started at all
//	supervisor.json  the supervisor's process
//	started.json     the script's process
//	ended.json       how it ended; its space is taken before the start
//	log/<offset>     output, by the offset of its first byte
//	supervisor.log   what the supervisor has to say
//
// A supervisor that is killed is replaced by the next one that is started for
// the run (Look asks for it): the script's output pipe is open for reading in
// the script itself, so that it waits rather than breaks, and is opened again
// from there.
//
// It may import deploy, provider/script/workdir, the standard library and
// golang.org/x/sys/unix.
package supervisor
