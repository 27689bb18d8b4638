package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"
)

// ResetReason says why a stream starts anew.
type ResetReason string

// The reasons.
const (
	ResetNone          ResetReason = ""
	ResetCursorExpired ResetReason = "cursor_expired"
	ResetCursorUnknown ResetReason = "cursor_unknown"
	ResetSlowConsumer  ResetReason = "slow_consumer"
)

// Batch is the next piece of a stream of events. Exactly one of these holds:
// Reset is set; Heartbeat is set; or Events (which may be empty when CaughtUp
// is told for the first time).
type Batch struct {
	Events    []*Event
	CaughtUp  bool
	Heartbeat bool
	Reset     ResetReason
	Cursor    Cursor // resume after this
	// StaleSince, of a heartbeat, is up to when everything is known: the
	// database does not answer. Zero = it does.
	StaleSince time.Time
}

// EventStream is one reader's place in the events. It is not safe for
// concurrent use.
type EventStream struct {
	feed      *Feed
	filter    Filter
	heartbeat time.Duration
	position  int64
	live      bool // it has caught up once: from now on it must keep up
	told      bool // the reader knows that it has caught up
	doubt     bool // it was just told so: should the database be silent, it must hear that at once
	reset     ResetReason
	active    map[int64]bool // deployments that the filter names and that have not ended; nil = not watched
	checked   bool
	finished  bool
	closed    bool
	bounded   bool
	until     int64
}

// ErrReached is how a stream that was bounded with Until ends.
var ErrReached = errors.New("feed: the stream has reached its bound")

// Until bounds the stream: once everything up to a position was given, Next
// gives ErrReached. Until then the bound is the stream's head: the last batch
// says that the reader has caught up.
func (s *EventStream) Until(position int64) { s.bounded, s.until = true, position }

// Continue says that the reader had caught up before it came to where the
// stream begins: it is not told so once more. With live it must have kept up
// as well, and gets a reset if it did not.
func (s *EventStream) Continue(live bool) {
	s.told = true
	s.live = s.live || live
}

// Events opens a stream of events. after nil = only what comes from now on.
// With after, what came since is replayed first. heartbeat is the longest
// silence; 0 = none is sent. Close must be called.
func (f *Feed) Events(filter Filter, after *Cursor, heartbeat time.Duration) *EventStream {
	s := &EventStream{feed: f, filter: filter, heartbeat: heartbeat}
	s.position, s.reset = f.place(after)
	s.told = after == nil
	s.live = after == nil
	if len(filter.DeploymentIDs) > 0 {
		s.active = map[int64]bool{}
	}
	f.streams.Add(1)
	return s
}

// place checks a cursor against this stream and gives where to start. A
// position beyond the head is checked later, where the database can be asked.
func (f *Feed) place(after *Cursor) (int64, ResetReason) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	switch {
	case after == nil:
		return f.head, ResetNone
	case after.Epoch != f.epoch:
		return f.head, ResetCursorUnknown
	case after.Position < f.floor:
		return f.head, ResetCursorExpired
	}
	return after.Position, ResetNone
}

// Close ends the stream.
func (s *EventStream) Close() {
	if !s.closed {
		s.closed = true
		s.feed.streams.Add(-1)
	}
}

// Next waits for the next batch. It gives io.EOF when the filter names
// deployments and all of them have ended, after their last event was given.
func (s *EventStream) Next(ctx context.Context) (Batch, error) {
	if s.finished {
		return Batch{}, io.EOF
	}
	if s.reset != ResetNone {
		b := Batch{Reset: s.reset, Cursor: s.feed.Cursor(s.position)}
		s.reset, s.live, s.told = ResetNone, true, true
		return b, nil
	}
	if s.doubt && s.heartbeat > 0 {
		s.doubt = false
		if since := s.feed.silence(); !since.IsZero() {
			return Batch{Heartbeat: true, Cursor: s.feed.Cursor(s.position), StaleSince: since}, nil
		}
	}
	var beat <-chan time.Time
	if s.heartbeat > 0 {
		t := time.NewTimer(s.heartbeat)
		defer t.Stop()
		beat = t.C
	}
	for {
		if s.bounded && s.told && s.position >= s.until {
			return Batch{}, ErrReached
		}
		batch, wait, err := s.step(ctx)
		if err != nil || wait == nil {
			return batch, err
		}
		select {
		case <-wait:
		case <-beat:
			return Batch{Heartbeat: true, Cursor: s.feed.Cursor(s.position), StaleSince: s.feed.silence()}, nil
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		}
	}
}

// step gives a batch, or what to wait for.
func (s *EventStream) step(ctx context.Context) (Batch, <-chan struct{}, error) {
	f := s.feed
	for {
		f.mu.RLock()
		head, moved := f.head, f.moved
		events, inRing := f.events.after(s.position, f.opts.Page)
		f.mu.RUnlock()
		if s.position > head {
			known, err := f.known(ctx, s.position)
			if err != nil || known {
				return Batch{}, moved, err
			}
			s.position, s.live, s.told = head, true, true
			return Batch{Reset: ResetCursorUnknown, Cursor: f.Cursor(head)}, nil, nil
		}
		if !inRing && s.live {
			s.position = head
			return Batch{Reset: ResetSlowConsumer, Cursor: f.Cursor(head)}, nil, nil
		}
		page := len(events)
		if s.bounded && s.until < head {
			head = max(s.until, s.position)
			events = upTo(events, head, func(e *Event) int64 { return e.Position })
		}
		if !inRing {
			var err error
			if events, err = f.readEvents(ctx, s.position, head, s.filter, f.opts.Page); err != nil {
				return Batch{}, nil, err
			}
			gone, err := f.expired(ctx, s.position)
			if err != nil {
				return Batch{}, nil, err
			}
			if gone {
				s.position, s.live, s.told = head, true, true
				return Batch{Reset: ResetCursorExpired, Cursor: f.Cursor(head)}, nil, nil
			}
			page = len(events)
		}
		if page == f.opts.Page && len(events) == page {
			s.position = events[len(events)-1].Position
		} else {
			s.position = head
		}
		caughtUp := s.position == head
		s.live = s.live || caughtUp
		chosen := s.choose(events)
		if caughtUp {
			if err := s.watch(ctx); err != nil {
				return Batch{}, nil, err
			}
		}
		s.finished = caughtUp && s.active != nil && s.checked && len(s.active) == 0
		if len(chosen) > 0 || caughtUp && !s.told || s.finished {
			s.doubt = caughtUp && !s.told
			s.told = s.told || caughtUp
			return Batch{Events: chosen, CaughtUp: caughtUp, Cursor: f.Cursor(s.position)}, nil, nil
		}
		if caughtUp && s.bounded && s.position >= s.until {
			return Batch{}, nil, ErrReached
		}
		if caughtUp {
			return Batch{}, moved, nil
		}
		if err := ctx.Err(); err != nil {
			return Batch{}, nil, err
		}
	}
}

// upTo is the part of a page, in order, that is not behind a position.
func upTo[T any](page []T, position int64, of func(T) int64) []T {
	return page[:sort.Search(len(page), func(i int) bool { return of(page[i]) > position })]
}

func (s *EventStream) choose(events []*Event) []*Event {
	var chosen []*Event
	for _, e := range events {
		if s.checked && s.active != nil && contains(s.filter.DeploymentIDs, e.DeploymentID) {
			if Ended(e.State) {
				delete(s.active, e.DeploymentID)
			} else {
				s.active[e.DeploymentID] = true
			}
		}
		if s.filter.Match(e) {
			chosen = append(chosen, e)
		}
	}
	return chosen
}

func contains(ids []int64, id int64) bool {
	for _, have := range ids {
		if have == id {
			return true
		}
	}
	return false
}

// watch learns, once, which of the named deployments have not ended. It reads
// after the stream has caught up; what ends later is seen in the events.
func (s *EventStream) watch(ctx context.Context) error {
	if s.active == nil || s.checked {
		return nil
	}
	rows, err := s.feed.store.Read.QueryContext(ctx, `SELECT id, state FROM deployments WHERE id IN `+list(s.filter.DeploymentIDs))
	if err != nil {
		return fmt.Errorf("feed: reading the states of deployments: %w", err)
	}
	defer rows.Close()
	active := map[int64]bool{}
	for rows.Next() {
		var id int64
		var state string
		if err := rows.Scan(&id, &state); err != nil {
			return fmt.Errorf("feed: reading the states of deployments: %w", err)
		}
		if !Ended(state) {
			active[id] = true
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	// A state read here may be newer than the stream's place: its last events
	// are still to come, so go on until they were seen.
	var newest int64
	err = s.feed.store.Read.QueryRowContext(ctx, `SELECT COALESCE(MAX(position), 0) FROM deployment_history WHERE deployment_id IN `+list(s.filter.DeploymentIDs)).Scan(&newest)
	if err != nil {
		return fmt.Errorf("feed: reading the newest event: %w", err)
	}
	if newest > s.position {
		return nil
	}
	s.active, s.checked = active, true
	return nil
}

// NodeBatch is the next piece of a stream of node changes. Exactly one holds:
// Reset, Heartbeat, or nodes.
type NodeBatch struct {
	Changed   []int64 // distinct, in the order of their newest change
	Removed   []int64
	CaughtUp  bool
	Heartbeat bool
	Reset     ResetReason
	Cursor    Cursor
	// StaleSince is Batch's.
	StaleSince time.Time
}

// NodeStream is one reader's place in the node changes. It is not safe for
// concurrent use.
type NodeStream struct {
	feed      *Feed
	heartbeat time.Duration
	position  int64
	live      bool
	reset     ResetReason
	closed    bool
	bounded   bool
	until     int64
	greet     bool // the reader is to be told as soon as there is nothing more for it
}

// Until bounds the stream: once the changes up to a position were given, Next
// gives ErrReached. A node that changed once more since may be left out.
func (s *NodeStream) Until(position int64) { s.bounded, s.until = true, position }

// Continue says that the reader had caught up before: it is not told so once
// more. With live it must have kept up as well, and gets a reset if it did not.
func (s *NodeStream) Continue(live bool) { s.live, s.greet = s.live || live, false }

// Nodes opens a stream of node changes; see Events. With after and nothing to
// replay, a heartbeat says at once that the reader has caught up; so does one
// when nothing followed on changes that were told as not the last.
func (f *Feed) Nodes(after *Cursor, heartbeat time.Duration) *NodeStream {
	s := &NodeStream{feed: f, heartbeat: heartbeat, live: after == nil, greet: after != nil}
	s.position, s.reset = f.place(after)
	f.streams.Add(1)
	return s
}

// Close ends the stream.
func (s *NodeStream) Close() {
	if !s.closed {
		s.closed = true
		s.feed.streams.Add(-1)
	}
}

// Next waits for the next changes; several of one node are one.
func (s *NodeStream) Next(ctx context.Context) (NodeBatch, error) {
	f := s.feed
	if s.reset != ResetNone {
		b := NodeBatch{Reset: s.reset, Cursor: f.Cursor(s.position)}
		s.reset, s.live = ResetNone, true
		return b, nil
	}
	var beat <-chan time.Time
	if s.heartbeat > 0 {
		t := time.NewTimer(s.heartbeat)
		defer t.Stop()
		beat = t.C
	}
	for {
		f.mu.RLock()
		head, moved := f.head, f.moved
		changes, inRing := f.changes.after(s.position, f.opts.Page)
		f.mu.RUnlock()
		ahead := s.position > head
		if ahead {
			known, err := f.known(ctx, s.position)
			if err != nil {
				return NodeBatch{}, err
			}
			if !known {
				s.position, s.live = head, true
				return NodeBatch{Reset: ResetCursorUnknown, Cursor: f.Cursor(head)}, nil
			}
		} else if s.bounded && s.position >= s.until && !s.greet {
			return NodeBatch{}, ErrReached
		}
		if !inRing && s.live {
			s.position = head
			return NodeBatch{Reset: ResetSlowConsumer, Cursor: f.Cursor(head)}, nil
		}
		page := len(changes)
		if s.bounded && s.until < head {
			head = max(s.until, s.position)
			changes = upTo(changes, head, func(c Change) int64 { return c.Position })
		}
		if !inRing {
			var err error
			if changes, err = f.readChanges(ctx, s.position, head, f.opts.Page); err != nil {
				return NodeBatch{}, err
			}
			gone, err := f.expired(ctx, s.position)
			if err != nil {
				return NodeBatch{}, err
			}
			if gone {
				s.position, s.live = head, true
				return NodeBatch{Reset: ResetCursorExpired, Cursor: f.Cursor(head)}, nil
			}
			page = len(changes)
		}
		if page == f.opts.Page && len(changes) == page {
			s.position = changes[len(changes)-1].Position
		} else if !ahead {
			s.position = head
		}
		if len(changes) > 0 {
			b := coalesce(changes)
			b.CaughtUp, b.Cursor = s.position == head, f.Cursor(s.position)
			s.live = s.live || b.CaughtUp
			s.greet = !b.CaughtUp
			return b, nil
		}
		if s.bounded && !ahead && s.position >= s.until && !s.greet {
			return NodeBatch{}, ErrReached
		}
		s.live = true
		if s.greet && !ahead {
			s.greet = false
			return NodeBatch{Heartbeat: true, CaughtUp: true, Cursor: f.Cursor(s.position), StaleSince: f.silence()}, nil
		}
		select {
		case <-moved:
		case <-beat:
			return NodeBatch{Heartbeat: true, Cursor: f.Cursor(s.position), StaleSince: f.silence()}, nil
		case <-ctx.Done():
			return NodeBatch{}, ctx.Err()
		}
	}
}

func coalesce(changes []Change) NodeBatch {
	var b NodeBatch
	seen := map[int64]bool{}
	for i := len(changes) - 1; i >= 0; i-- {
		c := changes[i]
		if seen[c.NodeID] {
			continue
		}
		seen[c.NodeID] = true
		if c.Removed {
			b.Removed = append(b.Removed, c.NodeID)
		} else {
			b.Changed = append(b.Changed, c.NodeID)
		}
	}
	slices.Reverse(b.Changed)
	slices.Reverse(b.Removed)
	return b
}
