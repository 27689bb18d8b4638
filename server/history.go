package server

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/query"
)

const (
	historyPage = 500  // rows of one read while streaming
	pageMax     = 1000 // of a page that is asked for
)

// HistoryAnswer documents the answer of the history: complete when no limit is
// given, else one page.
type HistoryAnswer struct {
	ServerIP   *string            `json:"server_ip"`
	NodeName   string             `json:"node_name"`
	NodeID     int64              `json:"node_id"`
	Expired    int                `json:"expired_rows,omitempty" doc:"Older rows that are no longer here: retention has moved them to the archive, or dropped them. Missing when there are none."`
	History    []query.HistoryRow `json:"deployment_history" doc:"Oldest first."`
	NextCursor *string            `json:"next_cursor,omitempty" doc:"Of a page: ask for what comes after this. Missing on the last page."`
}

// history answers GET /api/status/history/{node_id} and ?server_ip=.
func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var bad fieldErrors
	var hint query.MachineHint
	if r.PathValue("node_id") != "" {
		hint.NodeID = bad.id("node_id", "node", r.PathValue("node_id"))
	} else {
		hint.IP = bad.ip("server_ip", q.Get("server_ip"))
	}
	f := query.HistoryFilter{
		DeploymentID: bad.optionalID("deployment", "dep", q.Get("deployment")), IncludeRefused: bad.include(q.Get("include")),
	}
	limit := bad.limit(q.Get("limit"), 0)
	if after := bad.cursor(q.Get("after")); after != nil {
		if s.Feed != nil && after.Epoch != s.Feed.Head().Epoch {
			bad.add("after", deploy.CodeInvalid, "is a cursor of another database")
		}
		f.After = after.Position
	}
	if err := bad.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	of, err := s.Statuses.FindNode(r.Context(), hint)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	expired, err := s.Statuses.ExpiredEvents(r.Context(), of.NodeID, f.DeploymentID)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	out := HistoryAnswer{ServerIP: of.ServerIP, NodeName: of.NodeName, NodeID: of.NodeID, Expired: expired, History: []query.HistoryRow{}}
	if limit > 0 {
		s.historyPage(w, r, out, f, limit)
		return
	}
	s.historyWhole(w, r, out, f)
}

func (s *Server) historyPage(w http.ResponseWriter, r *http.Request, out HistoryAnswer, f query.HistoryFilter, limit int) {
	rows, err := s.Statuses.History(r.Context(), out.NodeID, f, limit+1)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	out.History = rows
	if len(rows) > limit {
		out.History = rows[:limit]
		next := s.cursor(rows[limit-1].Position)
		out.NextCursor = &next
	}
	for i := range out.History {
		out.History[i].Cursor = s.cursor(out.History[i].Position)
	}
	answer(w, r, http.StatusOK, out)
}

// historyWhole streams every row; memory holds one read of them. An error in
// the middle cuts the connection, so that nobody takes the part for the whole.
func (s *Server) historyWhole(w http.ResponseWriter, r *http.Request, out HistoryAnswer, f query.HistoryFilter) {
	rows, err := s.Statuses.History(r.Context(), out.NodeID, f, historyPage)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	head, err := json.Marshal(out)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	rc := http.NewResponseController(w)
	body := &failing{w: w}
	body.write(strings.TrimSuffix(string(head), "]}"))
	first := true
	for len(rows) > 0 {
		_ = rc.SetWriteDeadline(time.Now().Add(s.Settings.WriteTimeout)) // where it can be set
		for _, row := range rows {
			row.Cursor = s.cursor(row.Position)
			line, err := json.Marshal(row)
			if err != nil {
				s.cut(r, err)
			}
			if !first {
				body.write(",\n")
			}
			first = false
			body.write(string(line))
		}
		if body.err != nil {
			return
		}
		if len(rows) < historyPage {
			break
		}
		f.After = rows[len(rows)-1].Position
		if rows, err = s.Statuses.History(r.Context(), out.NodeID, f, historyPage); err != nil {
			s.cut(r, err)
		}
	}
	_ = rc.SetWriteDeadline(time.Now().Add(s.Settings.WriteTimeout))
	body.write("]}\n")
}

// cut ends an answer that has begun and cannot be finished.
func (s *Server) cut(r *http.Request, err error) {
	s.Log.ErrorContext(r.Context(), "a streamed answer was cut", "request_id", requestID(r.Context()), "route", r.Pattern, "error", err)
	panic(http.ErrAbortHandler)
}

// failing writes until the reader has gone away.
type failing struct {
	w   http.ResponseWriter
	err error
}

func (f *failing) write(text string) {
	if f.err == nil {
		_, f.err = f.w.Write([]byte(text))
	}
}

// cursor is the opaque form of a position.
func (s *Server) cursor(position int64) string {
	if s.Feed == nil {
		return ""
	}
	return s.Feed.Cursor(position).String()
}

// eventRow puts an event of the stream into the words of the history.
func (s *Server) eventRow(e *feed.Event) query.HistoryRow {
	optional := func(v string) *string {
		if v == "" {
			return nil
		}
		return &v
	}
	return query.HistoryRow{
		Phase: e.Phase, Status: e.Status, Message: e.Message, Timestamp: e.RecordedAt, OccurredAt: e.OccurredAt, NodeID: e.NodeID,
		DeploymentID: e.DeploymentID, Attempt: e.Attempt, Sequence: e.Sequence, EventID: e.ID, Cursor: s.cursor(e.Position), State: e.State,
		Outcome: e.Outcome, RefusedCode: optional(e.RefusedCode), Source: e.Source, Actor: e.Actor, Progress: e.Progress,
		ServerStatus: optional(e.ServerStatus), Details: e.Details, LogTail: optional(e.LogTail), Position: e.Position,
	}
}

// fieldErrors reads parameters and gathers what is wrong with them.
type fieldErrors []deploy.FieldError

func (f *fieldErrors) add(field string, code deploy.Code, message string) {
	*f = append(*f, deploy.FieldError{Field: field, Code: code, Message: message})
}

func (f *fieldErrors) err() error { return deploy.Invalid(*f) }

// id reads a database id, or a global id with its prefix.
func (f *fieldErrors) id(field, prefix, s string) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(s, prefix+"_"), 10, 64)
	if err != nil || n < 1 {
		f.add(field, deploy.CodeInvalid, fmt.Sprintf("must be an id like 7 or %s_7", prefix))
		return 0
	}
	return n
}

func (f *fieldErrors) optionalID(field, prefix, s string) int64 {
	if s == "" {
		return 0
	}
	return f.id(field, prefix, s)
}

// ids reads a list of ids, separated by commas or given repeatedly.
func (f *fieldErrors) ids(field, prefix string, q url.Values) []int64 {
	var out []int64
	for _, s := range words(q[field]) {
		if len(out) == idsMax {
			f.add(field, deploy.CodeOutOfRange, fmt.Sprintf("at most %d", idsMax))
			break
		}
		before := len(*f)
		if n := f.id(field, prefix, s); len(*f) == before {
			out = append(out, n)
		}
	}
	return out
}

// idsMax bounds the lists of a filter.
const idsMax = 500

// words splits parameters at commas.
func words(values []string) []string {
	var out []string
	for _, v := range values {
		for w := range strings.SplitSeq(v, ",") {
			if w = strings.TrimSpace(w); w != "" {
				out = append(out, w)
			}
		}
	}
	return out
}

func (f *fieldErrors) ip(field, s string) string {
	if s == "" {
		f.add(field, deploy.CodeRequired, "is required")
		return ""
	}
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		f.add(field, deploy.CodeInvalid, "is not an IP address")
		return ""
	}
	return addr.Unmap().String()
}

func (f *fieldErrors) limit(s string, def int) int {
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		f.add("limit", deploy.CodeInvalid, "must be a whole number")
	case n < 1 || n > pageMax || n > math.MaxInt32:
		f.add("limit", deploy.CodeOutOfRange, fmt.Sprintf("must be 1 to %d", pageMax))
	default:
		return n
	}
	return def
}

func (f *fieldErrors) cursor(s string) *feed.Cursor {
	if s == "" {
		return nil
	}
	c, err := feed.ParseCursor(s)
	if err != nil {
		f.add("after", deploy.CodeInvalid, "is not a cursor; use one exactly as it was given")
		return nil
	}
	return &c
}

func (f *fieldErrors) include(s string) (refused bool) {
	for _, w := range words([]string{s}) {
		if w != "refused" {
			f.add("include", deploy.CodeInvalid, "can only be refused")
			return false
		}
		refused = true
	}
	return refused
}
