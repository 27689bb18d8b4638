package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
)

// EventPage is one page of events, for those who poll.
type EventPage struct {
	Events  []query.HistoryRow `json:"events" doc:"In commit order."`
	Cursor  string             `json:"cursor" doc:"Ask for what comes after this."`
	HasMore bool               `json:"has_more"`
	Reset   string             `json:"reset,omitempty" enum:"cursor_expired,cursor_unknown" doc:"The cursor could not be continued from: read the state anew, then go on from the new cursor."`
}

// events answers GET /api/status/events: a stream of Server-Sent Events (HTML
// Living Standard, section 9.2), or a page as JSON.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if s.Feed == nil {
		s.refuse(w, r, deploy.Errorf(deploy.CodeUpstreamUnavailable, "there is no event stream"))
		return
	}
	filter, after, limit, err := s.eventQuery(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Add("Vary", "Accept")
	if !wantsStream(r.Header.Get("Accept")) {
		s.eventPage(w, r, filter, after, limit)
		return
	}
	s.eventStream(w, r, filter, after)
}

// wantsStream reports whether the caller wants events and not JSON. curl's
// */* gets the stream.
func wantsStream(accept string) bool {
	accept = strings.ToLower(accept)
	return strings.Contains(accept, "text/event-stream") || !strings.Contains(accept, "application/json")
}

// eventQuery reads filter and cursor. Last-Event-ID, which a browser sends when
// it comes back, wins over the parameter that it began with.
func (s *Server) eventQuery(r *http.Request) (filter feed.Filter, after *feed.Cursor, limit int, err error) {
	q := r.URL.Query()
	var bad fieldErrors
	filter = feed.Filter{
		DeploymentIDs: bad.ids("deployment", "dep", q), NodeIDs: bad.ids("node", "node", q),
		BatchID: bad.optionalID("batch", "bat", q.Get("batch")),
		Phases:  words(q["phase"]), Statuses: words(q["status"]), Sources: words(q["source"]),
		IncludeRefused: bad.include(q.Get("include")),
	}
	oneOf := func(field string, given, known []string) {
		for _, g := range given {
			if !slices.Contains(known, g) {
				bad.add(field, deploy.CodeInvalid, "must be of "+strings.Join(known, ", "))
				return
			}
		}
	}
	oneOf("status", filter.Statuses, eventStatuses)
	oneOf("source", filter.Sources, eventSources)
	if len(filter.Phases) > 50 {
		bad.add("phase", deploy.CodeOutOfRange, "at most 50")
	}
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id = q.Get("after")
	}
	after = bad.cursor(id)
	limit = bad.limit(q.Get("limit"), 100)
	return filter, after, limit, bad.err()
}

var (
	eventStatuses = []string{string(phase.Waiting), string(phase.InProgress), string(phase.Success), string(phase.FailedRun),
		string(phase.TimedOut), string(phase.Skipped), string(phase.CanceledBy)}
	eventSources = []string{string(deploy.SourceOrchestrator), string(deploy.SourceCloudAPI), string(deploy.SourceBootService),
		string(deploy.SourceInstallerScript), string(deploy.SourceUser)}
)

// eventPage answers with one page. Without a cursor it begins with the oldest.
func (s *Server) eventPage(w http.ResponseWriter, r *http.Request, filter feed.Filter, after *feed.Cursor, limit int) {
	page, err := s.Feed.Read(r.Context(), filter, after, limit)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	out := EventPage{Events: []query.HistoryRow{}, Cursor: page.Cursor.String(), HasMore: page.HasMore, Reset: string(page.Reset)}
	for _, e := range page.Events {
		out.Events = append(out.Events, s.eventRow(e))
	}
	answer(w, r, http.StatusOK, out)
}

// eventStream sends events until the reader leaves, the server drains, or all
// deployments that the filter names have ended.
func (s *Server) eventStream(w http.ResponseWriter, r *http.Request, filter feed.Filter, after *feed.Cursor) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	ctx = s.Access.Watch(ctx, access.FromContext(ctx)) // who comes back with what was revoked gets 401
	defer context.AfterFunc(s.draining, cancel)()
	begin := s.Feed.Head().String() // taken first: to resume from it misses nothing
	stream := s.Feed.Events(filter, after, s.Settings.Heartbeat)
	defer stream.Close()

	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	out := &eventWriter{s: s, w: w, rc: http.NewResponseController(w)}
	// A comment opens the stream, so that the reader sees it stand, and says
	// how soon to come back.
	if err := out.send("retry: 2000\n: slipway\n\n"); err != nil {
		return
	}
	if after == nil { // a place to resume from before anything has happened
		if err := out.event("heartbeat", begin, out.heartbeat(true, time.Time{})); err != nil {
			return
		}
	}
	for {
		batch, err := stream.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			_ = out.event("end", out.last, `{"reason":"deployments_ended"}`) // the stream ends either way
			return
		case err != nil:
			if ctx.Err() == nil {
				s.Log.ErrorContext(ctx, "an event stream broke", "request_id", requestID(ctx), "error", err)
			}
			return // the reader comes back with its cursor
		}
		if err := out.batch(batch); err != nil {
			return
		}
	}
}

// eventWriter writes the wire format. Every write has a deadline, so that a
// reader that stopped reading is let go.
type eventWriter struct {
	s    *Server
	w    http.ResponseWriter
	rc   *http.ResponseController
	last string // cursor of what was sent last
	buf  bytes.Buffer
}

func (o *eventWriter) batch(b feed.Batch) error {
	o.buf.Reset()
	cursor := b.Cursor.String()
	switch {
	case b.Reset != feed.ResetNone:
		o.add("reset", cursor, fmt.Sprintf(`{"reason":%s}`, strconv.Quote(string(b.Reset))))
	case b.Heartbeat:
		o.add("heartbeat", cursor, o.heartbeat(false, b.StaleSince))
	default:
		for _, e := range b.Events {
			data, err := json.Marshal(o.s.eventRow(e))
			if err != nil {
				return fmt.Errorf("encode event %d: %w", e.ID, err)
			}
			o.add("phase", o.s.cursor(e.Position), string(data))
		}
		if b.CaughtUp && len(b.Events) == 0 {
			o.add("heartbeat", cursor, o.heartbeat(true, time.Time{}))
		}
	}
	o.last = cursor
	return o.send(o.buf.String())
}

// heartbeat says that the stream lives and up to when it is complete. stale is
// zero while the database answers.
func (o *eventWriter) heartbeat(caughtUp bool, stale time.Time) string {
	at := o.s.Now().UTC().Format(time.RFC3339Nano)
	switch {
	case caughtUp:
		return fmt.Sprintf(`{"at":%q,"caught_up":true}`, at)
	case !stale.IsZero():
		return fmt.Sprintf(`{"at":%q,"stale_since":%q}`, at, stale.UTC().Format(time.RFC3339Nano))
	}
	return fmt.Sprintf(`{"at":%q}`, at)
}

func (o *eventWriter) event(kind, id, data string) error {
	o.buf.Reset()
	o.add(kind, id, data)
	return o.send(o.buf.String())
}

// add appends one event. data is JSON, which has no line break.
func (o *eventWriter) add(kind, id, data string) {
	o.buf.WriteString("event: " + kind + "\n")
	if id != "" {
		o.buf.WriteString("id: " + id + "\n")
	}
	o.buf.WriteString("data: " + data + "\n\n")
}

func (o *eventWriter) send(text string) error {
	if text == "" {
		return nil
	}
	_ = o.rc.SetWriteDeadline(time.Now().Add(o.s.Settings.WriteTimeout)) // where it can be set
	if _, err := io.WriteString(o.w, text); err != nil {
		return err
	}
	return o.rc.Flush()
}
