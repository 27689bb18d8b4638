package feed

import (
	"context"
	"errors"
)

// Page is one read of the events after a cursor, for those who poll.
type Page struct {
	Events  []*Event
	HasMore bool
	Reset   ResetReason
	Cursor  Cursor
}

// Read gives the events after a cursor, at most first of them. after nil =
// from the beginning.
func (f *Feed) Read(ctx context.Context, filter Filter, after *Cursor, first int) (Page, error) {
	if first < 1 {
		return Page{}, errors.New("feed: a page has at least one event")
	}
	start := f.Cursor(0)
	if after != nil {
		start = *after
	}
	position, reset := f.place(&start)
	if after == nil && reset == ResetCursorExpired {
		f.mu.RLock()
		position, reset = f.floor, ResetNone
		f.mu.RUnlock()
	}
	page := Page{Reset: reset, Cursor: f.Cursor(position)}
	if reset != ResetNone {
		return page, nil
	}
	head := f.Head().Position
	if position > head {
		var err error
		if head, err = f.counter(ctx); err != nil {
			return page, err
		}
		if position > head {
			return Page{Reset: ResetCursorUnknown, Cursor: f.Head()}, nil
		}
	}
	for {
		events, err := f.readEvents(ctx, position, head, filter, f.opts.Page)
		if err != nil {
			return page, err
		}
		gone, err := f.expired(ctx, position)
		switch {
		case err != nil:
			return page, err
		case gone && after == nil && len(page.Events) == 0:
			f.mu.RLock()
			position = f.floor // the beginning has moved
			f.mu.RUnlock()
			continue
		case gone:
			return Page{Reset: ResetCursorExpired, Cursor: f.Head()}, nil
		}
		for _, e := range events {
			if !filter.Match(e) {
				continue
			}
			if len(page.Events) == first {
				page.HasMore = true
				page.Cursor = f.Cursor(page.Events[first-1].Position)
				return page, nil
			}
			page.Events = append(page.Events, e)
		}
		if len(events) < f.opts.Page {
			page.Cursor = f.Cursor(head)
			return page, nil
		}
		position = events[len(events)-1].Position
	}
}
