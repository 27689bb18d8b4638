package tftp

import "sync/atomic"

// Stats is what a server has done since it was made.
type Stats struct {
	Requests  int64 // read requests that were well formed
	Served    int64 // transfers that the client has acknowledged to the end
	Bytes     int64 // handed to transfers, repetitions not counted
	Probes    int64 // requests that the client ended after the options, as EDK2 does to learn a size
	Aborted   int64 // transfers that the client ended in the middle
	TimedOut  int64 // transfers that the client no longer acknowledged, or that took too long
	Failed    int64 // transfers that failed here, or were cut when the server stopped
	Unknown   int64 // requests for names that are not served
	Limited   int64 // requests refused by a limit
	Refused   int64 // write requests
	Malformed int64 // packets that are no request
	Active    int64 // transfers under way
}

type counters struct {
	requests, served, bytes, probes, aborted, timedOut, failed, unknown, limited, refused, malformed, active atomic.Int64
}

// Stats reads the counters.
func (s *Server) Stats() Stats {
	c := &s.count
	return Stats{
		Requests: c.requests.Load(), Served: c.served.Load(), Bytes: c.bytes.Load(), Probes: c.probes.Load(), Aborted: c.aborted.Load(),
		TimedOut: c.timedOut.Load(), Failed: c.failed.Load(), Unknown: c.unknown.Load(), Limited: c.limited.Load(),
		Refused: c.refused.Load(), Malformed: c.malformed.Load(), Active: c.active.Load(),
	}
}
