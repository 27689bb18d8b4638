package wstransport

import (
	"context"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// member is an operation that is served by a group, or on its way to one.
type member struct {
	s     *socket
	op    *operation
	base  context.Context // the socket's, with its principal
	shape *shape
	group atomic.Pointer[group]

	// Guarded by the group's lock while in one; its own goroutine's otherwise.
	pos   int64 // what it was given covers the stream up to here; -1: a snapshot comes first
	index int
}

// How a member takes a message.
type reception int

const (
	accepted  reception = iota
	skipped             // it has all of it
	straddled           // it has a part of it
	full                // its queue has no room
	gone                // its operation has ended
)

// accept takes a message of the group. The group's lock is held.
func (m *member) accept(msg *stretch) reception {
	if m.pos > msg.from && (!msg.empty || msg.to < m.pos) {
		if msg.to <= m.pos {
			return skipped
		}
		return straddled
	}
	r := m.s.offer(m.op, frame{opcode: opText, head: m.op.head, body: msg.body, closing: '}'})
	if r == accepted {
		m.pos = msg.to
	}
	return r
}

// leave ends the membership of an operation that has ended.
func (m *member) leave() {
	if g := m.group.Load(); g != nil {
		g.leave(m)
	}
}

// begin starts an execution for a run.
func begin(ctx context.Context, sh *shape, run *Run) (graphql.ResponseHandler, context.Context, *failure, gqlerror.List) {
	broken := &failure{}
	ctx = context.WithValue(context.WithValue(ctx, failureKey{}, broken), runKey{}, run)
	now := graphql.Now()
	params := sh.params
	params.ReadTime = graphql.TraceTiming{Start: now, End: now}
	ctx = graphql.StartOperationTrace(ctx)
	opCtx, errs := sh.exec.CreateOperationContext(ctx, &params)
	if len(errs) > 0 {
		return nil, ctx, broken, sh.exec.DispatchError(graphql.WithOperationContext(ctx, opCtx), errs).Errors
	}
	responses, ctx := sh.exec.DispatchOperation(ctx, opCtx)
	return responses, ctx, broken, nil
}

// leg is one of a member's own executions on its way to a group.
type leg struct {
	asked  bool // as the client asked for it; otherwise from m.pos on
	untold bool // the client is to be told when it has caught up
	live   bool // it had been a member and was too slow
}

// resume goes on alone, from m.pos up to until, where the group that is pinned
// goes on; then it joins. Without a pin it looks for a group first.
func (m *member) resume(l leg, pinned *group, until int64) {
	ctx, cancel, ok := m.s.revive(m)
	if !ok {
		pinned.unpin()
		return
	}
	m.travel(ctx, cancel, l, pinned, until)
}

// travel executes and joins. The goroutine ends with it, and nothing is left
// of it once the member is in a group.
func (m *member) travel(ctx context.Context, cancel *context.CancelFunc, l leg, pinned *group, until int64) {
	defer func() {
		if r := recover(); r != nil {
			m.s.finish(m.op, presentPanic(ctx, m.shape.exec, r))
		}
		pinned.unpin()
		m.s.relax(m.op, cancel)
	}()
	ready := pinned == nil && !l.asked
	if l.asked {
		pinned, until = m.aim()
	}
	for {
		if ready {
			if !m.s.settle(m.op) {
				return
			}
			joined, next, end := m.join()
			pinned.unpin()
			pinned, until = next, end
			if joined {
				return
			}
		}
		ok, alive := m.borrow(ctx, &l, pinned, until)
		if !alive || !ok && !m.replay(ctx, l, until) {
			return
		}
		l.asked, l.untold, ready = false, false, true
	}
}

// aim says where the execution that the client asked for should end: where a
// group goes on, or at the head of the stream.
func (m *member) aim() (pinned *group, until int64) {
	if m.pos < 0 {
		return nil, 0 // a snapshot has a place of its own
	}
	if g := m.s.t.hub.find(m.shape.key); g != nil {
		defer g.mu.Unlock()
		if m.pos <= g.end {
			g.pin()
			return g, g.end
		}
		return nil, m.shape.head()
	}
	head := m.shape.head()
	if m.pos > 0 && m.pos <= head && head-m.pos <= reach {
		// Who comes next finds a group, and has the way to it in common.
		if g := m.s.t.hub.create(m.shape, head); g != nil {
			defer g.mu.Unlock()
			g.pin()
			return g, head
		}
	}
	return nil, head
}

// Who is further than this behind the head does not begin a group: its replay
// would be everybody's.
const beginWithin = 256

// join puts the member into its group if it is where the group is, or ahead of
// it; otherwise it says how far to go, and the group waits.
func (m *member) join() (joined bool, pinned *group, until int64) {
	h := m.s.t.hub
	for {
		g := h.find(m.shape.key)
		if g == nil {
			if head := m.shape.head(); m.pos < head-beginWithin {
				return false, nil, head
			}
			if g = h.create(m.shape, m.pos); g == nil {
				continue
			}
		}
		defer g.mu.Unlock()
		rest, ok := g.since(m.pos)
		if !ok {
			g.pin()
			return false, g, g.end
		}
		g.add(m)
		for i := range rest {
			if m.accept(&rest[i]) == full {
				g.remove(m)
				g.pin()
				return false, g, g.end
			}
		}
		if m.s.over(m.op) { // whoever ended it may have looked for a group before
			g.remove(m)
			g.rest()
		}
		return true, nil, 0
	}
}

// replay executes for this member only, at its pace, up to a position. It
// reports false when the operation has ended.
func (m *member) replay(ctx context.Context, l leg, until int64) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.s.t.hub.replays.Add(1)
	run := &Run{until: until, bounded: true, from: m.pos, resumed: !l.asked, untold: l.untold, live: l.live}
	var responses graphql.ResponseHandler
	var broken *failure
	var errs gqlerror.List
	if !m.slot(ctx, func() { responses, ctx, broken, errs = begin(ctx, m.shape, run) }) {
		return false
	}
	if len(errs) > 0 {
		m.s.finish(m.op, errs)
		return false
	}
	for {
		var resp *graphql.Response
		if !m.slot(ctx, func() { resp = responses(ctx) }) {
			return false
		}
		switch {
		case resp == nil && ctx.Err() != nil:
			return false
		case resp == nil && (run.completed() || len(broken.list()) > 0):
			m.s.finish(m.op, broken.list())
			return false
		case resp == nil:
			m.pos = max(m.pos, until)
			return true
		}
		if !m.s.pass(m.op, resp) {
			return false
		}
		if mark, ok := run.mark(); ok {
			m.pos = max(m.pos, mark.To)
		}
	}
}

// slot works while it holds one of the slots for executions of members' own,
// never while a peer is waited for. It reports false when ctx ended first.
func (m *member) slot(ctx context.Context, work func()) bool {
	slots := m.s.t.hub.slots
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-slots }()
	work()
	return true
}

// alone executes for this member only, to the end: the group could not begin,
// and the client hears why by itself.
func (m *member) alone() {
	ctx, cancel, ok := m.s.revive(m)
	if !ok {
		return
	}
	defer m.s.relax(m.op, cancel)
	defer func() {
		if r := recover(); r != nil {
			m.s.finish(m.op, presentPanic(ctx, m.shape.exec, r))
		}
	}()
	responses, ctx, broken, errs := begin(ctx, m.shape, &Run{from: m.pos, resumed: true})
	if len(errs) > 0 {
		m.s.finish(m.op, errs)
		return
	}
	m.s.stream(ctx, m.op, responses, broken)
}
