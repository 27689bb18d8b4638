package server

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
)

// exportPart is how many rows of an export are in memory.
const exportPart = 500

// part gives the next rows of an export; none = it is complete.
type part func(ctx context.Context) ([]exportRow, error)

// exportRow is one row in both forms.
type exportRow struct {
	cells func() []string // for CSV, as many as there are columns
	value any             // for NDJSON
}

// exportNodes answers GET /api/export/nodes.csv and .ndjson: the nodes that
// match, by name.
func (s *Server) exportNodes(w http.ResponseWriter, r *http.Request) {
	filter, err := nodeQuery(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	after, done := "", false
	s.export(w, r, "nodes", nodeColumns, func(ctx context.Context) ([]exportRow, error) {
		if done {
			return nil, nil
		}
		rows, last, err := s.Fleet.NodeRows(ctx, filter, after, exportPart)
		if err != nil {
			return nil, err
		}
		after, done = last, last == ""
		out := make([]exportRow, len(rows))
		for i := range rows {
			out[i] = exportRow{cells: func() []string { return nodeCells(rows[i]) }, value: rows[i]}
		}
		return out, nil
	})
}

// nodeQuery reads the filter of a list of nodes; the fields are those of
// GraphQL's BareMetalNodeFilter.
func nodeQuery(r *http.Request) (query.NodeFilter, error) {
	q := r.URL.Query()
	var bad fieldErrors
	f := query.NodeFilter{
		Text: q.Get("text"), States: words(q["state"]), Phases: words(q["phase"]), ClusterNames: q["cluster_name"], ServerProfiles: q["server_profile"],
		FailurePhases: words(q["failure_phase"]), FailureCodes: words(q["failure_code"]),
		Groups: words(q["group"]),
	}
	if len(f.Text) > 200 {
		bad.add("text", deploy.CodeOutOfRange, "is longer than 200 bytes")
	}
	for _, state := range f.States {
		if !slices.Contains(phase.States(), state) {
			bad.add("state", deploy.CodeInvalid, "must be of "+strings.Join(phase.States(), ", "))
			break
		}
	}
	for _, group := range f.Groups {
		if !slices.Contains(query.GroupNames(), group) {
			bad.add("group", deploy.CodeInvalid, "must be of "+strings.Join(query.GroupNames(), ", "))
			break
		}
	}
	for field, list := range map[string][]string{"group": f.Groups, "state": f.States, "phase": f.Phases, "cluster_name": f.ClusterNames, "server_profile": f.ServerProfiles, "label": q["label"], "failure_phase": f.FailurePhases, "failure_code": f.FailureCodes} {
		if len(list) > query.MaxPage {
			bad.add(field, deploy.CodeOutOfRange, "at most "+strconv.Itoa(query.MaxPage))
		}
	}
	for _, l := range q["label"] {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			bad.add("label", deploy.CodeInvalid, "must be key=value")
			break
		}
		if f.Labels == nil {
			f.Labels = map[string]string{}
		}
		f.Labels[key] = value
	}
	for field, to := range map[string]**bool{"stale": &f.Stale, "stalled": &f.Stalled, "late": &f.Late} {
		if v := q.Get(field); v != "" {
			is, err := strconv.ParseBool(v)
			if err != nil {
				bad.add(field, deploy.CodeInvalid, "must be true or false")
			}
			*to = &is
		}
	}
	slices.SortFunc(bad, func(a, b deploy.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return f, bad.err()
}

// exportEvents answers GET /api/export/events.csv and .ndjson: the events that
// match and were there when it was asked for, the oldest first.
func (s *Server) exportEvents(w http.ResponseWriter, r *http.Request) {
	filter, after, _, err := s.eventQuery(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	end, done := s.Feed.Head().Position, false
	s.export(w, r, "events", eventColumns, func(ctx context.Context) ([]exportRow, error) {
		if done {
			return nil, nil
		}
		page, err := s.Feed.Read(ctx, filter, after, exportPart)
		switch {
		case err != nil:
			return nil, err
		case page.Reset != feed.ResetNone:
			return nil, &deploy.Error{Code: deploy.CodeOutOfRange, Message: "events after this cursor are not kept any more, or it is not a cursor of this database", Hint: "export without a cursor"}
		}
		after, done = &page.Cursor, !page.HasMore
		names, err := s.namesOf(ctx, page.Events)
		if err != nil {
			return nil, err
		}
		out := make([]exportRow, 0, len(page.Events))
		for _, e := range page.Events {
			if e.Position > end {
				done = true
				break
			}
			row := EventRow{HistoryRow: s.eventRow(e), NodeName: names[e.NodeID]}
			out = append(out, exportRow{cells: func() []string { return eventCells(row) }, value: row})
		}
		return out, nil
	})
}

// EventRow is an event as it is exported: a row of the history with the name of
// its node.
type EventRow struct {
	query.HistoryRow
	NodeName string `json:"node_name" doc:"Empty when the node was removed."`
}

func (s *Server) namesOf(ctx context.Context, events []*feed.Event) (map[int64]string, error) {
	ids := make([]int64, len(events))
	for i, e := range events {
		ids[i] = e.NodeID
	}
	return s.Fleet.NodeNames(ctx, ids)
}

// export streams rows. Memory holds one part of them, however many there are and
// however slowly they are read. What fails before the first row is an error; what
// fails later cuts the connection, so that nobody takes the part for the whole.
func (s *Server) export(w http.ResponseWriter, r *http.Request, what string, columns []string, next part) {
	form := r.URL.Path[strings.LastIndexByte(r.URL.Path, '.')+1:]
	rows, err := next(r.Context())
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	kind := "application/x-ndjson"
	if form == "csv" {
		kind = "text/csv; charset=utf-8; header=present" // RFC 4180, section 3
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Disposition", `attachment; filename="slipway-`+what+"-"+s.Now().UTC().Format("20060102T150405Z")+"."+form+`"`)
	if r.Method == http.MethodHead {
		return
	}
	write := ndjson(w)
	if form == "csv" {
		if write, err = csvRows(w, columns); err != nil {
			return // the reader has gone away
		}
	}
	rc := http.NewResponseController(w)
	for len(rows) > 0 {
		_ = rc.SetWriteDeadline(time.Now().Add(s.Settings.WriteTimeout)) // where it can be set
		if err := write(rows); err != nil {
			s.Log.DebugContext(r.Context(), "an export was not read to its end", "request_id", requestID(r.Context()), "error", err)
			return
		}
		if rows, err = next(r.Context()); err != nil {
			s.cut(r, err)
		}
	}
	_ = rc.SetWriteDeadline(time.Now().Add(s.Settings.WriteTimeout))
}

func ndjson(w io.Writer) func([]exportRow) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return func(rows []exportRow) error {
		for _, row := range rows {
			if err := enc.Encode(row.value); err != nil {
				return err
			}
		}
		return nil
	}
}

// csvRows writes RFC 4180: lines end in CR LF, the first one names the columns.
func csvRows(w io.Writer, columns []string) (func([]exportRow) error, error) {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if err := out.Write(columns); err != nil {
		return nil, err
	}
	out.Flush()
	return func(rows []exportRow) error {
		for _, row := range rows {
			cells := row.cells()
			for i, c := range cells {
				cells[i] = harmless(c)
			}
			if err := out.Write(cells); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	}, out.Error()
}

// harmless keeps a spreadsheet from taking a text for a formula (OWASP, CSV
// injection): one that begins as a formula may gets an apostrophe before it.
func harmless(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(s)[0]) {
		return "'" + s
	}
	return s
}
