package wstransport

import (
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"
)

// ShareFunc says how an operation can be shared with others, nil if it must
// run alone. It is called for every operation that may run, before it does.
// Its streams must heed their Run.
type ShareFunc func(ctx context.Context, oc *graphql.OperationContext) *Plan

// Begin is how a client's stream begins.
type Begin string

// The beginnings.
const (
	// BeginNow: with what comes after Head.
	BeginNow Begin = "now"
	// BeginReplay: with what came after a position of the client's own.
	BeginReplay Begin = "replay"
	// BeginSnapshot: with the present state.
	BeginSnapshot Begin = "snapshot"
)

// Plan describes an operation whose messages are a function of its key and of
// positions in one ordered stream.
//
// The operation is executed once for all clients with the same key. Each
// message covers a stretch of the stream, and a client gets each stretch once:
// what it lacks when it joins is given to it by an execution of its own, which
// ends where the shared messages go on.
type Plan struct {
	// Key must differ wherever messages do: by document, operation name,
	// variables (but not the position to begin at) and authorisation.
	Key string
	// Begin and, for BeginReplay, the position that the client has; 0 if it is
	// not known.
	Begin    Begin
	Position int64
	// Head is the newest position of the stream.
	Head func() int64
	// Piece is how many positions a part of a replay has that many clients can
	// use; 0 = a replay is best made in one. Clients that come back with
	// cursors of their own then have their replays in common, all but the
	// first part.
	Piece int64
	// Context is what the shared execution runs under. It carries the
	// authorisation that Key names, and nothing of one client.
	Context func() context.Context
}

// Mark tells which stretch of the stream a message covers: what is after From,
// up to and with To. From 0 means where the last message ended.
type Mark struct {
	From, To int64
	// Empty: it says nothing but that the stream got to To.
	Empty bool
	// Reset: the stream could not go on and begins anew at To.
	Reset bool
}

// Run is a transport's word to the stream of an operation, and the stream's
// word about its messages. Without sharing there is none: all methods work on
// nil.
type Run struct {
	from, until      int64
	resumed, bounded bool
	live             bool
	untold, partial  bool
	gate             chan struct{} // a shared execution's: a value for every message it may make

	mu       sync.Mutex
	marks    []Mark
	complete bool
}

type runKey struct{}

// RunFrom gives the run that a resolver belongs to, nil if there is none.
func RunFrom(ctx context.Context) *Run {
	r, _ := ctx.Value(runKey{}).(*Run)
	return r
}

// Resume gives the position to begin after, in place of what the operation's
// arguments say.
func (r *Run) Resume() (from int64, ok bool) {
	if r == nil {
		return 0, false
	}
	return r.from, r.resumed
}

// Told reports whether the client has been told that it has caught up. With
// live it was too slow for the shared messages since; it may be told so.
func (r *Run) Told() (told, live bool) {
	if r == nil {
		return false, false
	}
	return r.resumed && !r.untold, r.live
}

// Partial reports whether more of the replay follows after the bound.
func (r *Run) Partial() bool { return r != nil && r.partial }

// Until gives the position to end at.
func (r *Run) Until() (until int64, ok bool) {
	if r == nil {
		return 0, false
	}
	return r.until, r.bounded
}

// Tell describes the next message. It must be called before the message is
// sent, once for each.
func (r *Run) Tell(m Mark) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks = append(r.marks, m)
}

// Complete tells that the stream ends by itself, not at the bound.
func (r *Run) Complete() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complete = true
}

// Ready waits until the next message is wanted. What happens until then can
// become one message.
func (r *Run) Ready(ctx context.Context) error {
	if r == nil || r.gate == nil {
		return nil
	}
	select {
	case <-r.gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// want lets the stream make another message.
func (r *Run) want() {
	select {
	case r.gate <- struct{}{}:
	default:
	}
}

// mark takes the mark of the oldest message.
func (r *Run) mark() (Mark, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.marks) == 0 {
		return Mark{}, false
	}
	m := r.marks[0]
	r.marks = r.marks[1:]
	return m, true
}

func (r *Run) completed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.complete
}

// Sharing are figures of shared execution.
type Sharing struct {
	Groups    int   // shared executions that run
	Members   int   // operations that are served by them
	Messages  int64 // messages made by shared executions, since the start
	Delivered int64 // messages handed to members' sockets, since the start
	Detached  int64 // how often a member did not keep up, since the start
	Replays   int64 // executions of a member's own, since the start
}

// Sharing tells how much is shared.
func (t *Transport) Sharing() Sharing {
	h := t.hub
	s := Sharing{Messages: h.messages.Load(), Delivered: h.delivered.Load(), Detached: h.detached.Load(), Replays: h.replays.Load()}
	for _, g := range h.all() {
		g.mu.Lock()
		s.Groups++
		s.Members += len(g.members)
		g.mu.Unlock()
	}
	return s
}
