package wstransport

import (
	"context"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// shape is what the members of a group have in common.
type shape struct {
	key     string
	params  graphql.RawParams
	head    func() int64
	piece   int64
	context func() context.Context
	exec    graphql.GraphExecutor
}

// hub is the register of groups.
type hub struct {
	cfg   *Config
	slots chan struct{} // bounds the executions of members' own that work at the same time

	mu     sync.Mutex
	groups map[string]*group

	messages, delivered, detached, replays atomic.Int64
}

func newHub(cfg *Config) *hub {
	return &hub{cfg: cfg, slots: make(chan struct{}, cfg.MaxReplays), groups: map[string]*group{}}
}

func (h *hub) all() []*group {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*group, 0, len(h.groups))
	for _, g := range h.groups {
		out = append(out, g)
	}
	return out
}

// find gives the group of a key, locked, nil if there is none.
func (h *hub) find(key string) *group {
	for {
		h.mu.Lock()
		g := h.groups[key]
		h.mu.Unlock()
		if g == nil {
			return nil
		}
		g.mu.Lock()
		if !g.ended {
			return g
		}
		g.mu.Unlock()
		h.drop(g)
	}
}

func (h *hub) drop(g *group) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.groups[g.shape.key] == g {
		delete(h.groups, g.shape.key)
	}
}

// create gives a new group that begins at a position, locked; nil if another
// was quicker.
func (h *hub) create(sh *shape, position int64) *group {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.groups[sh.key] != nil {
		return nil
	}
	g := &group{hub: h, shape: sh, end: position}
	g.ctx, g.cancel = context.WithCancel(sh.context())
	g.mu.Lock()
	h.groups[sh.key] = g
	go g.run()
	return g
}

// stretch is a message that a shared execution made, ready to be sent to
// anybody, with the stretch of the stream that it covers.
type stretch struct {
	prev     int64 // where the one before ended
	from, to int64
	empty    bool
	body     []byte
}

// The backlog of a group that somebody is on the way to is bounded by both.
const (
	backlogMessages = 256
	backlogBytes    = 1 << 20
)

// group is one execution and those whom it serves. It lives for as long as it
// has a member, or somebody who is about to be one.
type group struct {
	hub    *hub
	shape  *shape
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	members []*member
	end     int64 // what was published covers the stream up to here
	ended   bool
	pins    int       // members to be that are on the way to a message's end
	backlog []stretch // the newest messages, kept while there are pins
	bytes   int       // in the backlog
	pieces  map[piece]*part
	weight  int // bytes in pieces
}

// add makes m a member. g.mu is held.
func (g *group) add(m *member) {
	m.group.Store(g)
	m.shape = g.shape
	m.index = len(g.members)
	g.members = append(g.members, m)
}

// remove ends a membership. g.mu is held.
func (g *group) remove(m *member) {
	last := len(g.members) - 1
	g.members[m.index] = g.members[last]
	g.members[m.index].index = m.index
	g.members[last] = nil
	g.members = g.members[:last]
	m.group.Store(nil)
}

// leave ends the membership of somebody who is gone.
func (g *group) leave(m *member) {
	g.mu.Lock()
	if m.group.Load() == g {
		g.remove(m)
	}
	g.rest()
	g.mu.Unlock()
}

// pin keeps the group, and what it publishes from now on, for somebody who
// will be at g.end soon. g.mu is held.
func (g *group) pin() { g.pins++ }

func (g *group) unpin() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pins--
	if g.pins == 0 {
		g.backlog, g.bytes = nil, 0
		g.pieces, g.weight = nil, 0
	}
	g.rest()
}

// rest ends a group that nobody needs. g.mu is held.
func (g *group) rest() {
	if len(g.members) == 0 && g.pins == 0 && !g.ended {
		g.ended = true
		g.cancel()
		go g.hub.drop(g)
	}
}

// publish hands a message to all members. It never waits for any of them.
func (g *group) publish(mark Mark, body []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	msg := stretch{prev: g.end, from: max(mark.From, g.end), to: max(mark.To, g.end), empty: mark.Empty, body: body}
	g.end = msg.to
	g.hub.messages.Add(1)
	delivered := int64(0)
	for i := len(g.members) - 1; i >= 0; i-- { // backwards: remove moves the last one
		m := g.members[i]
		switch m.accept(&msg) {
		case accepted:
			delivered++
		case skipped:
		case gone:
			g.remove(m)
		case straddled:
			// It came from further ahead: it lacks a part of the message only.
			g.remove(m)
			g.pin()
			go m.resume(leg{}, g, msg.to)
		case full:
			g.hub.detached.Add(1)
			g.remove(m)
			g.pin()
			go m.resume(leg{live: true}, g, msg.to)
		}
	}
	g.hub.delivered.Add(delivered)
	if g.pins > 0 {
		g.keep(msg)
	}
	g.rest()
}

// keep adds to the backlog. g.mu is held.
func (g *group) keep(msg stretch) {
	g.backlog = append(g.backlog, msg)
	g.bytes += len(msg.body)
	for len(g.backlog) > backlogMessages || g.bytes > backlogBytes && len(g.backlog) > 1 {
		g.bytes -= len(g.backlog[0].body)
		g.backlog[0].body = nil
		g.backlog = g.backlog[1:]
	}
}

// since gives the messages that continue a position exactly; ok is false if
// some of them are no longer there. g.mu is held.
func (g *group) since(position int64) (rest []stretch, ok bool) {
	i := sort.Search(len(g.backlog), func(i int) bool { return g.backlog[i].prev >= position })
	if i < len(g.backlog) && g.backlog[i].prev == position {
		return g.backlog[i:], true
	}
	return nil, position >= g.end
}

// run executes the operation for all members, and once more from where it was
// when its stream could not go on: as a replay it can.
func (g *group) run() {
	defer func() {
		if r := recover(); r != nil {
			g.finish(presentPanic(g.ctx, g.shape.exec, r))
		}
	}()
	for g.execute() {
	}
}

// execute runs until the group ends, or must begin anew at its place.
func (g *group) execute() (again bool) {
	ctx, cancel := context.WithCancel(g.ctx)
	defer cancel()
	run := &Run{from: g.place(), resumed: true, gate: make(chan struct{}, 1)}
	run.want()
	responses, ctx, broken, errs := begin(ctx, g.shape, run)
	if len(errs) > 0 {
		g.dissolve(true)
		return false
	}
	for first := true; ; first = false {
		resp := responses(ctx)
		if resp == nil {
			if g.ctx.Err() == nil {
				g.finish(broken.list())
			}
			return false
		}
		if len(resp.Data) == 0 && len(resp.Errors) > 0 {
			g.dissolve(true)
			return false
		}
		mark, ok := run.mark()
		if !ok || mark.Reset && first {
			g.dissolve(!ok) // each must hear of its own reset
			return false
		}
		if mark.Reset {
			return true
		}
		body, err := EncodeResponse(resp)
		if err != nil {
			g.finish(gqlerror.List{{Message: "internal error"}})
			return false
		}
		g.publish(mark, body)
		g.pace(run)
	}
}

func (g *group) place() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.end
}

// maxPace bounds what pacing adds to a message's latency.
const maxPace = 50 * time.Millisecond

// pace lets the stream make the next message once the sockets may have been
// served: what happens meanwhile costs one message, not many. Where messages
// are few it delays none.
func (g *group) pace(run *Run) {
	g.mu.Lock()
	n := len(g.members)
	g.mu.Unlock()
	if wait := min(time.Duration(n)*g.hub.cfg.Pace, maxPace); wait >= time.Millisecond {
		time.AfterFunc(wait, run.want)
		return
	}
	run.want()
}

// close ends the group and gives who was in it.
func (g *group) close() []*member {
	g.mu.Lock()
	members := g.members
	g.members, g.ended, g.backlog, g.pieces = nil, true, nil, nil
	for _, m := range members {
		m.group.Store(nil)
	}
	g.mu.Unlock()
	g.cancel()
	g.hub.drop(g)
	return members
}

// finish ends the operations of all members.
func (g *group) finish(errs gqlerror.List) {
	for _, m := range g.close() {
		f := endFrame(m.op, errs)
		if !m.s.offerLast(m.op, f) {
			go m.s.enqueue(m.op, f, true)
		}
	}
}

// dissolve lets every member go on alone: to the group that comes next, or
// for good.
func (g *group) dissolve(alone bool) {
	for _, m := range g.close() {
		if alone {
			go m.alone()
		} else {
			go m.resume(leg{}, nil, 0)
		}
	}
}
