package query

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"

	"github.com/slipwayhq/slipway/deploy"
)

// MaxPage is the largest page, DefaultPage the one when no size is asked for.
const (
	MaxPage     = 200
	DefaultPage = 50
)

// Page asks for a part of a list: the first Limit items after After, or the
// last Limit before Before when Backward. Both cursors bound it when both are
// set.
type Page struct {
	Limit    int
	Backward bool
	After    string // cursor, "" = none
	Before   string
}

// Slice is a part of a list.
type Slice[T any] struct {
	Items   []T
	Cursors []string // one for each item
	HasNext bool
	HasPrev bool
}

// mark is a place in a list: the value of the column that it is sorted by,
// and the id that breaks ties. Keyset paging needs no more, and a row that
// comes or goes elsewhere moves nothing.
type mark struct {
	value string
	id    int64
}

// cursor encodes a mark of a list: base64url of "v1:list:id:value".
func (m mark) cursor(list string) string {
	return base64.RawURLEncoding.EncodeToString([]byte("v1:" + list + ":" + strconv.FormatInt(m.id, 10) + ":" + m.value))
}

// parseMark reads a cursor of a list; field names the argument it came in.
func parseMark(list, field, cursor string) (mark, error) {
	bad := func(why string) (mark, error) {
		return mark{}, &deploy.Error{
			Code: deploy.CodeInvalid, Message: "the cursor is not one of this list: " + why,
			Hint:   "use a cursor exactly as it was given, with the same order",
			Fields: []deploy.FieldError{{Field: field, Code: deploy.CodeInvalid, Message: "is not a cursor of this list"}},
		}
	}
	if len(cursor) > 1024 {
		return bad("too long")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return bad("not base64url")
	}
	parts := strings.SplitN(string(raw), ":", 4)
	if len(parts) != 4 || parts[0] != "v1" {
		return bad("unknown version")
	}
	if parts[1] != list {
		return bad("it belongs to another list or order")
	}
	id, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || id < 0 || strconv.FormatInt(id, 10) != parts[2] {
		return bad("no id")
	}
	return mark{value: parts[3], id: id}, nil
}

// column is what a list is sorted by: a NOT NULL column, its place in cursors,
// and how its values are written there.
type column struct {
	list   string // name of list and order in cursors
	name   string
	decode func(string) (any, error)
}

// textValue refuses what PostgreSQL takes for no text at all.
func textValue(s string) (any, error) {
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return nil, fmt.Errorf("query: %q is no text", s)
	}
	return s, nil
}

func timeText(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }

func timeValue(s string) (any, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != s {
		return nil, fmt.Errorf("query: %q is no time", s)
	}
	return time.UnixMicro(n).UTC(), nil
}

// seek gives the predicate and the order that read a page, one row more than
// asked for: it tells whether there is more.
func (c column) seek(p Page, desc bool) (where []func(*sql.Selector), order func(*sql.Selector), err error) {
	bound := func(field, cursor string, beyond bool) error {
		if cursor == "" {
			return nil
		}
		m, err := parseMark(c.list, field, cursor)
		if err != nil {
			return err
		}
		value, err := c.decode(m.value)
		if err != nil {
			return &deploy.Error{Code: deploy.CodeInvalid, Message: "the cursor is not one of this list", Fields: []deploy.FieldError{{Field: field, Code: deploy.CodeInvalid, Message: "is not a cursor of this list"}}}
		}
		where = append(where, func(s *sql.Selector) {
			columns, compare := []string{s.C(c.name), s.C("id")}, sql.CompositeLT
			if beyond != desc {
				compare = sql.CompositeGT
			}
			s.Where(compare(columns, value, m.id))
		})
		return nil
	}
	if err := bound("after", p.After, true); err != nil {
		return nil, nil, err
	}
	if err := bound("before", p.Before, false); err != nil {
		return nil, nil, err
	}
	direction := sql.Asc
	if desc != p.Backward {
		direction = sql.Desc
	}
	order = func(s *sql.Selector) {
		s.OrderBy(direction(s.C(c.name)))
		if c.name != "id" {
			s.OrderBy(direction(s.C("id")))
		}
	}
	return where, order, nil
}

// slice turns the rows that were read (one more than the page if there are
// more) into the page.
func slice[T any](c column, p Page, rows []T, of func(T) mark) Slice[T] {
	more := len(rows) > p.Limit
	if more {
		rows = rows[:p.Limit]
	}
	out := Slice[T]{Items: rows, HasNext: more, HasPrev: p.After != ""}
	if p.Backward {
		slices.Reverse(rows)
		out.HasPrev, out.HasNext = more, p.Before != ""
	}
	out.Cursors = make([]string, len(rows))
	for i, r := range rows {
		out.Cursors[i] = of(r).cursor(c.list)
	}
	return out
}
