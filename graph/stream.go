package graph

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
	"github.com/slipwayhq/slipway/graph/wstransport"
)

// heartbeat reads heartbeatSeconds.
func heartbeat(seconds *int) (time.Duration, error) {
	if seconds == nil {
		return 15 * time.Second, nil
	}
	if *seconds < 1 || *seconds > 60 {
		return 0, badArgument(deploy.CodeOutOfRange, "heartbeatSeconds", "must be 1 to 60")
	}
	return time.Duration(*seconds) * time.Second, nil
}

var resetReasons = map[feed.ResetReason]model.StreamResetReason{
	feed.ResetCursorExpired: model.StreamResetReasonCursorExpired,
	feed.ResetCursorUnknown: model.StreamResetReasonCursorUnknown,
	feed.ResetSlowConsumer:  model.StreamResetReasonSlowConsumer,
}

// Between attempts to go on after the database has failed a stream.
const (
	retryFirst = 250 * time.Millisecond
	retryMost  = 5 * time.Second
)

// errGone means that the reader is gone.
var errGone = errors.New("graph: the reader is gone")

// stream sends messages from a goroutine of its own. It ends when produce
// does, or when the reader is gone.
type stream[M any] struct {
	ctx context.Context
	log *slog.Logger
	run *wstransport.Run // nil: it runs for one client, without end
	out chan M
}

// open runs produce, which sends with send and gives io.EOF at a stream's
// proper end, feed.ErrReached at its run's bound. A panic ends the stream with
// an error, never the process.
func open[M any](ctx context.Context, log *slog.Logger, produce func(s *stream[M]) error) <-chan M {
	s := &stream[M]{ctx: ctx, log: log, run: wstransport.RunFrom(ctx), out: make(chan M)}
	go func() {
		defer close(s.out)
		defer func() {
			if p := recover(); p != nil {
				log.ErrorContext(ctx, "a stream panicked", "request_id", requestID(ctx), "panic", p, "stack", string(debug.Stack()))
				s.fail()
			}
		}()
		err := produce(s)
		if errors.Is(err, io.EOF) {
			s.run.Complete()
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, feed.ErrReached) && ctx.Err() == nil {
			log.ErrorContext(ctx, "a stream broke", "request_id", requestID(ctx), "error", err)
			s.fail()
		}
	}()
	return s.out
}

func (s *stream[M]) fail() {
	wstransport.Fail(s.ctx, &gqlerror.Error{Message: "the stream broke; resume it with its last cursor",
		Extensions: map[string]any{"code": codeInternal, "requestId": requestID(s.ctx)}})
}

// send sends a message that covers what mark says.
func (s *stream[M]) send(m M, mark wstransport.Mark) error {
	s.run.Tell(mark)
	select {
	case s.out <- m:
		return nil
	case <-s.ctx.Done():
		return errGone
	}
}

// until repeats what the database refused, for as long as the reader is there:
// a stream outlives an outage of the database without losing its place.
func (s *stream[M]) until(do func() error) error {
	pause := retryFirst
	for {
		err := do()
		if err == nil || s.ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, errGone) || errors.Is(err, feed.ErrReached) {
			return err
		}
		s.log.WarnContext(s.ctx, "a stream waits for the database", "request_id", requestID(s.ctx), "error", err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-s.ctx.Done():
			t.Stop()
			return errGone
		}
		pause = min(2*pause, retryMost)
	}
}

// source is a stream of the feed.
type source interface {
	Continue(live bool)
	Until(position int64)
}

// place gives where a run begins: in place of after, if it says so.
func (r *Resolver) place(run *wstransport.Run, after *feed.Cursor) *feed.Cursor {
	if from, ok := run.Resume(); ok {
		c := r.Feed.Cursor(from)
		return &c
	}
	return after
}

// bind makes a source heed its run.
func bind(run *wstransport.Run, src source) {
	if told, live := run.Told(); told || run.Partial() {
		src.Continue(live)
	}
	if until, ok := run.Until(); ok {
		src.Until(until)
	}
}

// streamEvents is the subscription deploymentEvents.
func (r *Resolver) streamEvents(ctx context.Context, filter feed.Filter, after *feed.Cursor, beat time.Duration) <-chan model.DeploymentEventMessage {
	sel := graphql.GetFieldContext(ctx).Field.Selections
	events := selection{sel}.child("events")
	run := wstransport.RunFrom(ctx)
	src := r.Feed.Events(filter, r.place(run, after), beat)
	bind(run, src)
	return open(ctx, r.Logger, func(s *stream[model.DeploymentEventMessage]) error {
		defer src.Close()
		for {
			if err := run.Ready(ctx); err != nil {
				return errGone
			}
			var b feed.Batch
			err := s.until(func() (err error) {
				b, err = src.Next(ctx)
				return err
			})
			if err != nil {
				return err
			}
			b.CaughtUp = b.CaughtUp && !run.Partial()
			var m model.DeploymentEventMessage
			err = s.until(func() (err error) {
				m, err = r.eventMessage(ctx, b, events)
				return err
			})
			if err != nil {
				return err
			}
			if err := s.send(m, eventMark(b)); err != nil {
				return err
			}
		}
	})
}

func eventMark(b feed.Batch) wstransport.Mark {
	mark := wstransport.Mark{To: b.Cursor.Position, Reset: b.Reset != feed.ResetNone, Empty: len(b.Events) == 0}
	if len(b.Events) > 0 {
		mark.From = b.Events[0].Position - 1
	}
	return mark
}

func (r *Resolver) eventMessage(ctx context.Context, b feed.Batch, sel selection) (model.DeploymentEventMessage, error) {
	l := r.load()
	switch {
	case b.Reset != feed.ResetNone:
		return &model.StreamReset{Reason: resetReasons[b.Reset], Cursor: b.Cursor.String(), At: l.now}, nil
	case b.Heartbeat:
		return &model.StreamHeartbeat{Cursor: b.Cursor.String(), At: l.now, StaleSince: optionalTime(b.StaleSince)}, nil
	}
	events, err := l.events(ctx, b.Events, sel)
	if err != nil {
		return nil, err
	}
	return &model.DeploymentEventBatch{Events: events, CaughtUp: b.CaughtUp, Cursor: b.Cursor.String(), At: l.now}, nil
}

// optionalTime is nil for the zero time.
func optionalTime(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC().Truncate(time.Microsecond)
	return &at
}

// summaryEvery is how often a stream of the fleet tells its numbers at most.
const summaryEvery = time.Second

// fleetStream is one reader of the subscription fleetChanges.
type fleetStream struct {
	*stream[model.FleetMessage]
	r       *Resolver
	filter  query.NodeFilter
	nodes   selection // of a snapshot
	changed selection // of a delta
	wants   bool      // the reader selects the summary
	owed    bool      // a change was told whose numbers were not
	told    time.Time // when the numbers were told last
	cursor  feed.Cursor
	current bool // the reader has all that there was at the cursor
}

// streamFleet is the subscription fleetChanges.
func (r *Resolver) streamFleet(ctx context.Context, filter query.NodeFilter, after *feed.Cursor, beat time.Duration) <-chan model.FleetMessage {
	sel := selected(ctx)
	fs := &fleetStream{r: r, filter: filter, nodes: sel.child("nodes"), changed: sel.child("changed"), wants: sel.has("summary")}
	run := wstransport.RunFrom(ctx)
	after = r.place(run, after)
	// The place comes first: what changes while the snapshot is read is told after it.
	snapshot := after == nil
	if snapshot {
		head := r.Feed.Head()
		after = &head
	}
	fs.cursor = *after
	fs.current, _ = run.Told()
	src := r.Feed.Nodes(after, beat)
	bind(run, src)
	if snapshot {
		src.Continue(false) // its last page says that it has caught up
	}
	if _, bounded := run.Until(); !snapshot && !bounded {
		// Whoever goes on from here may have older numbers.
		_, resumed := run.Resume()
		fs.owed = resumed && fs.wants
	}
	return open(ctx, r.Logger, func(s *stream[model.FleetMessage]) error {
		defer src.Close()
		fs.stream = s
		if snapshot {
			if err := fs.snapshot(*after); err != nil {
				return err
			}
		}
		for {
			if err := run.Ready(ctx); err != nil {
				return errGone
			}
			b, err := fs.next(src)
			if errors.Is(err, feed.ErrReached) && fs.owed {
				// Who goes on from here does not owe them.
				b, fs.told = feed.NodeBatch{Cursor: fs.cursor, CaughtUp: fs.current}, time.Time{}
				if err := fs.tell(b); err != nil {
					return err
				}
			}
			if err != nil {
				return err
			}
			if err := fs.tell(b); err != nil {
				return err
			}
		}
	})
}

// next waits for the next changes, or until numbers that are owed may be told:
// then the batch is empty.
func (fs *fleetStream) next(src *feed.NodeStream) (b feed.NodeBatch, err error) {
	err = fs.until(func() error {
		wait := fs.ctx
		if fs.owed {
			var cancel context.CancelFunc
			wait, cancel = context.WithDeadline(fs.ctx, fs.told.Add(summaryEvery))
			defer cancel()
		}
		b, err = src.Next(wait)
		if err != nil && errors.Is(err, wait.Err()) && fs.ctx.Err() == nil {
			b, err = feed.NodeBatch{Cursor: fs.cursor, CaughtUp: fs.current}, nil
		}
		return err
	})
	if err == nil {
		fs.cursor, fs.current = b.Cursor, b.CaughtUp || b.Heartbeat
	}
	return b, err
}

func (fs *fleetStream) tell(b feed.NodeBatch) error {
	cursor, now := b.Cursor.String(), fs.r.Fleet.Now()
	switch {
	case b.Reset != feed.ResetNone:
		mark := wstransport.Mark{To: b.Cursor.Position, Reset: true}
		if err := fs.send(&model.StreamReset{Reason: resetReasons[b.Reset], Cursor: cursor, At: now}, mark); err != nil {
			return err
		}
		return fs.snapshot(b.Cursor)
	case b.Heartbeat:
		return fs.send(&model.StreamHeartbeat{Cursor: cursor, At: now, StaleSince: optionalTime(b.StaleSince)}, wstransport.Mark{To: b.Cursor.Position, Empty: true})
	}
	m := &model.FleetDelta{Changed: []*model.BareMetalNode{}, RemovedIds: []string{}, CaughtUp: b.CaughtUp && !fs.run.Partial(), Cursor: cursor, At: now}
	if err := fs.until(func() error { return fs.fill(m, b) }); err != nil {
		return err
	}
	return fs.send(m, wstransport.Mark{To: b.Cursor.Position})
}

// fill loads the machines that a delta names, and the numbers if it is time.
func (fs *fleetStream) fill(m *model.FleetDelta, b feed.NodeBatch) error {
	l := fs.r.load()
	rows, err := fs.r.Fleet.NodesMatching(fs.ctx, b.Changed, fs.filter)
	if err != nil {
		return err
	}
	var list []*ent.Node
	m.RemovedIds = m.RemovedIds[:0]
	for _, id := range b.Changed {
		if n := rows[id]; n != nil {
			list = append(list, n)
		} else {
			m.RemovedIds = append(m.RemovedIds, ident.Format(ident.Node, id))
		}
	}
	for _, id := range b.Removed {
		m.RemovedIds = append(m.RemovedIds, ident.Format(ident.Node, id))
	}
	if m.Changed, err = l.nodes(fs.ctx, list, fs.changed); err != nil {
		return err
	}
	if !fs.wants {
		return nil
	}
	fs.owed = true
	if time.Since(fs.told) < summaryEvery {
		return nil
	}
	s, err := fs.r.summaries.get(fs.ctx, fs.r, fs.filter)
	if err != nil {
		return err
	}
	// Numbers that were made before this change are told, and stay owed.
	m.Summary, fs.told, fs.owed = s.model(), time.Now(), s.cursor.Position < b.Cursor.Position
	return nil
}

// snapshot sends the fleet as it is. Paging by age is stable: what is added
// meanwhile comes last, and all that changes comes after it as a delta.
func (fs *fleetStream) snapshot(cursor feed.Cursor) error {
	p := query.Page{Limit: query.MaxPage}
	fs.cursor = cursor
	for {
		var m *model.FleetSnapshotPage
		var last string
		err := fs.until(func() error {
			l := fs.r.load()
			s, err := fs.r.Fleet.Nodes(fs.ctx, fs.filter, query.NodesByCreated, false, p)
			if err != nil {
				return err
			}
			nodes, err := l.nodes(fs.ctx, s.Items, fs.nodes)
			if err != nil {
				return err
			}
			m = &model.FleetSnapshotPage{Nodes: nodes, Last: !s.HasNext, Cursor: cursor.String(), At: l.now}
			if n := len(s.Cursors); n > 0 {
				last = s.Cursors[n-1]
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := fs.send(m, wstransport.Mark{To: cursor.Position}); err != nil {
			return err
		}
		if m.Last {
			break
		}
		p.After = last
	}
	fs.current = true
	// The numbers follow as soon as the snapshot is told.
	fs.owed, fs.told = fs.wants, time.Time{}
	return nil
}

// summaries keeps the numbers of the whole fleet for a moment, so that many
// readers cost one count.
type summaries struct {
	mu   sync.Mutex
	last summary
}

type summary struct {
	numbers query.FleetSummary
	cursor  feed.Cursor // from before they were counted
	at      time.Time
}

func (s summary) model() *model.FleetSummary { return summaryModel(s.numbers, s.cursor.String()) }

// summaryFor is how long numbers are given again.
const summaryFor = summaryEvery / 2

func (c *summaries) get(ctx context.Context, r *Resolver, filter query.NodeFilter) (summary, error) {
	if !filter.Empty() {
		return countFleet(ctx, r, filter)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.last.at) < summaryFor {
		return c.last, nil
	}
	s, err := countFleet(ctx, r, filter)
	if err == nil {
		c.last = s
	}
	return s, err
}

func countFleet(ctx context.Context, r *Resolver, filter query.NodeFilter) (summary, error) {
	s := summary{cursor: r.Feed.Head(), at: time.Now()}
	var err error
	s.numbers, err = r.Fleet.Summary(ctx, filter)
	return s, err
}
