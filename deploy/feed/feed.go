package feed

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipwayhq/slipway/deploy/store"
)

// Options tune a Feed; zero values are the defaults.
type Options struct {
	// Ring is how many events, and how many node changes, stay in memory:
	// the bound of how far behind a live stream may be. Default 8192.
	Ring int
	// Poll repairs a lost wake-up. Default 1 s.
	Poll time.Duration
	// Page is the most rows of one read and of one batch. Default 256.
	Page   int
	Logger *slog.Logger
}

// Feed reads what is committed and hands it to every stream.
type Feed struct {
	store *store.Store
	opts  Options
	epoch string
	wake  chan struct{}
	ready chan struct{}
	asked atomic.Bool  // somebody wants to know the newest position
	told  atomic.Int64 // the newest position that somebody said is committed

	reads reads // prepared statements

	mu      sync.RWMutex
	head    int64 // every event and change up to here is in the rings or in the database
	floor   int64 // positions at or below it are no longer kept
	events  ring[*Event]
	changes ring[Change]
	moved   chan struct{} // closed when head moves
	fresh   time.Time     // everything that was committed before is known
	failing bool          // the last read failed

	streams atomic.Int64
}

// Change is a node that changed, or was removed, at a position.
type Change struct {
	NodeID   int64
	Position int64
	Removed  bool
}

// New makes a Feed; Run must be called for it to work.
func New(st *store.Store, opts Options) *Feed {
	if opts.Ring == 0 {
		opts.Ring = 8192
	}
	if opts.Poll == 0 {
		opts.Poll = time.Second
	}
	if opts.Page == 0 {
		opts.Page = 256
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	return &Feed{store: st, opts: opts, wake: make(chan struct{}, 1), ready: make(chan struct{}), moved: make(chan struct{}),
		events: ring[*Event]{max: opts.Ring}, changes: ring[Change]{max: opts.Ring}}
}

// Wake tells the feed that everything up to a position is committed; 0 = that
// something may be, the database will say what.
func (f *Feed) Wake(position int64) {
	if position == 0 {
		f.asked.Store(true)
	}
	for {
		told := f.told.Load()
		if position <= told || f.told.CompareAndSwap(told, position) {
			break
		}
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run reads until ctx ends. It returns an error only if the first read fails.
func (f *Feed) Run(ctx context.Context) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	f.reads.open(ctx, f.store.Read, f.opts.Page)
	close(f.ready)
	if url := f.store.PostgresURL(); url != "" {
		f.listen(ctx, url)
	}
	poll := time.NewTicker(f.opts.Poll)
	defer poll.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
			if f.asked.Swap(false) {
				err = f.read(ctx)
			} else {
				err = f.readTo(ctx, f.told.Load())
			}
		case <-poll.C:
			err = errors.Join(f.follow(ctx), f.read(ctx))
		}
		if err != nil && ctx.Err() == nil {
			f.opts.Logger.Warn("the feed could not read", "error", err)
			f.mu.Lock()
			f.failing = true
			f.mu.Unlock()
		}
	}
}

// Ready is closed once the feed knows its place.
func (f *Feed) Ready() <-chan struct{} { return f.ready }

// silentPolls is how many polls without an answer are too many: a database
// that hangs gives no error.
const silentPolls = 5

// StaleSince tells up to when everything is known, while the database does not
// answer; ok is false while it does.
func (f *Feed) StaleSince() (since time.Time, ok bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if !f.fresh.IsZero() && (f.failing || time.Since(f.fresh) > silentPolls*f.opts.Poll) {
		return f.fresh, true
	}
	return time.Time{}, false
}

// silence is StaleSince's time, zero while the database answers.
func (f *Feed) silence() time.Time {
	since, _ := f.StaleSince()
	return since
}

// Head is the cursor of the newest committed change.
func (f *Feed) Head() Cursor {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return Cursor{f.epoch, f.head}
}

// Cursor is the cursor of a position in this database's stream.
func (f *Feed) Cursor(position int64) Cursor { return Cursor{f.epoch, position} }

// Streams is how many streams are open.
func (f *Feed) Streams() int64 { return f.streams.Load() }

func (f *Feed) begin(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	begun := time.Now()
	if err := f.store.Read.QueryRowContext(ctx, `SELECT epoch, position FROM stream_counter WHERE id = 1`).Scan(&f.epoch, &f.head); err != nil {
		return fmt.Errorf("feed: reading the stream counter: %w", err)
	}
	f.events.base, f.changes.base = f.head, f.head
	var err error
	if f.floor, err = f.readFloor(ctx); err != nil {
		return err
	}
	f.fresh = begun
	return nil
}

// readFloor reads up to which position retention has removed events.
func (f *Feed) readFloor(ctx context.Context) (floor int64, err error) {
	var text string
	err = f.store.Read.QueryRowContext(ctx, `SELECT value FROM settings WHERE id = 'stream_floor'`).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err == nil {
		floor, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil {
		return 0, fmt.Errorf("feed: reading the stream's floor: %w", err)
	}
	return floor, nil
}

// follow learns what retention, in whatever process, has removed since.
func (f *Feed) follow(ctx context.Context) error {
	floor, err := f.readFloor(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.floor = max(f.floor, floor)
	return nil
}

// expired reports whether what was just read after a position may lack events
// that retention has removed meanwhile. Asked after the read, it is certain:
// what retention removes lies at or below the floor that moves with it.
func (f *Feed) expired(ctx context.Context, position int64) (bool, error) {
	if err := f.follow(ctx); err != nil {
		return false, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return position < f.floor, nil
}

// counter reads the newest committed position. All that is at or below it is
// visible to the reads that follow.
func (f *Feed) counter(ctx context.Context) (position int64, err error) {
	if err := f.reads.row(ctx, f.store.Read, counterQuery).Scan(&position); err != nil {
		return 0, fmt.Errorf("feed: reading the stream counter: %w", err)
	}
	return position, nil
}

// known reports whether a position beyond this process's head was given out
// by another, or by a commit that this one has not read yet.
func (f *Feed) known(ctx context.Context, position int64) (bool, error) {
	newest, err := f.counter(ctx)
	if err != nil {
		return false, err
	}
	f.Wake(0)
	return position <= newest, nil
}

// read takes in what was committed since the last read.
func (f *Feed) read(ctx context.Context) error {
	begun := time.Now()
	head, err := f.counter(ctx)
	if err != nil {
		return err
	}
	if err := f.readTo(ctx, head); err != nil {
		return err
	}
	f.mu.Lock()
	f.fresh, f.failing = begun, false
	f.mu.Unlock()
	return nil
}

// readTo takes in what was committed since the last read up to head, which is
// known to be committed: it is visible, and so is everything before it.
func (f *Feed) readTo(ctx context.Context, head int64) error {
	f.mu.RLock()
	last := f.head
	f.mu.RUnlock()
	for last < head {
		events, err := f.readEvents(ctx, last, head, Filter{}, f.opts.Page)
		if err != nil {
			return err
		}
		upTo := head
		if len(events) == f.opts.Page {
			upTo = events[len(events)-1].Position
		}
		changes, err := f.readChanges(ctx, last, upTo, 0)
		if err != nil {
			return err
		}
		f.publish(upTo, events, changes)
		last = upTo
	}
	return nil
}

func (f *Feed) publish(head int64, events []*Event, changes []Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		f.events.add(e.Position, e)
	}
	for _, c := range changes {
		f.changes.add(c.Position, c)
	}
	f.head = head
	close(f.moved)
	f.moved = make(chan struct{})
}

// readChanges reads node changes in (after, upTo], oldest first; limit 0 =
// all. A node that changed again since is found at its newer position.
func (f *Feed) readChanges(ctx context.Context, after, upTo int64, limit int) ([]Change, error) {
	query := changesQuery
	if limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", limit)
	}
	rows, err := f.reads.query(ctx, f.store.Read, query, after, upTo)
	if err != nil {
		return nil, fmt.Errorf("feed: reading node changes: %w", err)
	}
	defer rows.Close()
	var out []Change
	for rows.Next() {
		var c Change
		var removed int
		if err := rows.Scan(&c.NodeID, &c.Position, &removed); err != nil {
			return nil, fmt.Errorf("feed: reading node changes: %w", err)
		}
		c.Removed = removed == 1
		out = append(out, c)
	}
	return out, rows.Err()
}
