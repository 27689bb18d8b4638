package wstransport

import "context"

// kind is what a piece says of its end.
type kind int

const (
	partial kind = iota // more of the replay follows
	greets              // the client is told that it has caught up
	told                // the client was told before
)

// piece is a stretch of the stream that members on their way can have in
// common.
type piece struct {
	from, until int64
	kind        kind
}

// part is a piece's messages. What they are is settled once done is closed.
type part struct {
	done   chan struct{}
	bodies [][]byte
	ok     bool // false: each must execute it for itself
}

const (
	// reach is how far behind a group a member's way is made of pieces.
	reach = 4096
	// pieceBytes bounds what a group keeps of them.
	pieceBytes = 4 << 20
)

// next is the first piece of the way from a position to until. All who come
// this way meet at the same bounds.
func (sh *shape) next(from, until int64, untold bool) piece {
	if sh.piece > 0 {
		if bound := (from/sh.piece + 1) * sh.piece; bound < until {
			return piece{from, bound, partial}
		}
	}
	if untold {
		return piece{from, until, greets}
	}
	return piece{from, until, told}
}

// borrow takes the member to until by pieces. It reports false for ok where it
// must go on by an execution of its own, and for alive when the operation has
// ended.
func (m *member) borrow(ctx context.Context, l *leg, g *group, until int64) (ok, alive bool) {
	if g == nil || l.live || m.pos <= 0 || until-m.pos > reach {
		return false, true
	}
	for m.pos < until || l.untold {
		p := g.shape.next(m.pos, until, l.untold)
		c := m.part(ctx, g, p)
		select {
		case <-c.done:
		case <-ctx.Done():
			return false, false
		}
		if !c.ok {
			return false, true
		}
		for _, body := range c.bodies {
			if !m.s.enqueue(m.op, frame{opcode: opText, head: m.op.head, body: body, closing: '}'}, false) {
				return false, false
			}
		}
		m.pos, l.asked = p.until, false
		if p.kind == greets {
			l.untold = false
		}
	}
	return true, true
}

// part gives the messages of a piece; the first who asks for them makes them.
func (m *member) part(ctx context.Context, g *group, p piece) (c *part) {
	g.mu.Lock()
	c = g.pieces[p]
	if c != nil || g.ended {
		g.mu.Unlock()
		if c == nil {
			c = &part{done: make(chan struct{})}
			close(c.done)
		}
		return c
	}
	if g.pieces == nil || g.weight > pieceBytes {
		g.pieces, g.weight = map[piece]*part{}, 0
	}
	c = &part{done: make(chan struct{})}
	g.pieces[p] = c
	g.mu.Unlock()
	defer close(c.done)
	// Whatever happens to this member, the others wait for it: it is made under
	// the group's context. If it panics, each meets the panic for itself.
	defer func() { _ = recover() }()
	m.slot(ctx, func() { c.ok = g.make(c, p) })
	weight := 0
	for _, b := range c.bodies {
		weight += len(b)
	}
	g.mu.Lock()
	g.weight += weight
	if !c.ok && g.pieces[p] == c {
		delete(g.pieces, p)
	}
	g.mu.Unlock()
	return c
}

// make executes a piece. It reports false for all that is not plain messages.
func (g *group) make(c *part, p piece) bool {
	ctx, cancel := context.WithCancel(g.ctx)
	defer cancel()
	g.hub.replays.Add(1)
	run := &Run{from: p.from, until: p.until, bounded: true, resumed: true, untold: p.kind == greets, partial: p.kind == partial}
	responses, ctx, broken, errs := begin(ctx, g.shape, run)
	if len(errs) > 0 {
		return false
	}
	for {
		resp := responses(ctx)
		if resp == nil {
			return ctx.Err() == nil && !run.completed() && len(broken.list()) == 0
		}
		mark, ok := run.mark()
		if !ok || mark.Reset || len(resp.Data) == 0 && len(resp.Errors) > 0 {
			return false
		}
		body, err := EncodeResponse(resp)
		if err != nil {
			return false
		}
		c.bodies = append(c.bodies, body)
	}
}
