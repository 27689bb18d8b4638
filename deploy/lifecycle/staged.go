package lifecycle

import (
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// staged are the statements of a flush that PostgreSQL gets in one round trip,
// as the parts of one WITH. All of them see the database as it was before, so
// none may depend on what another does: send them first where one does. On
// SQLite, where a statement costs no trip, nothing is staged.
type staged struct {
	what  []string
	parts []string
	args  []any
}

func (s *staged) add(what, sql string) {
	s.what = append(s.what, what)
	s.parts = append(s.parts, sql)
}

// take gives all parts but the last as a WITH clause, then the last one, and
// begins anew.
func (s *staged) take() (what, sql string, args []any) {
	what, args = strings.Join(s.what, ", "), s.args
	var b strings.Builder
	for i, part := range s.parts {
		switch {
		case i == len(s.parts)-1:
			b.WriteString(part)
			continue
		case i == 0:
			b.WriteString("WITH ")
		}
		if strings.HasPrefix(part, moveCounter) {
			b.WriteString("counter")
		} else {
			b.WriteString("part" + strconv.Itoa(i+1))
		}
		b.WriteString(" AS (" + part + ")")
		if i < len(s.parts)-2 {
			b.WriteByte(',')
		}
		b.WriteByte(' ')
	}
	*s = staged{}
	return what, b.String(), args
}

// moveCounter takes stream positions. Who has the counter keeps it until the
// transaction ends, which is why positions are visible in their order.
const moveCounter = `UPDATE stream_counter SET position = position + $`

// counter stages the counter's move by count positions.
func (s *staged) counter(count int) {
	s.args = append(s.args, count)
	s.add("taking stream positions", moveCounter+strconv.Itoa(len(s.args))+`::bigint WHERE id = 1 RETURNING position`)
}

// send executes what is staged.
func (tx *Tx) send() error {
	if len(tx.staged.parts) == 0 {
		return nil
	}
	what, query, args := tx.staged.take()
	return tx.exec(what, query, args...)
}

// sendPositions executes what is staged with the counter's move, wakes the
// feeds, and gives the newest position.
func (tx *Tx) sendPositions() (last int64, err error) {
	tx.staged.add("waking the feeds", `SELECT position, pg_notify('slipway_feed', position::text)::text FROM counter`)
	what, query, args := tx.staged.take()
	rows, err := tx.query(what, query, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var void string
		if err := rows.Scan(&last, &void); err != nil {
			return 0, fmt.Errorf("lifecycle: %s: %w", what, err)
		}
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("lifecycle: %s: %w", what, err)
	}
	return last, nil
}

// pgArray renders one column of rows as PostgreSQL's text of an array
// (https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO).
func pgArray(args []any, column, columns int) (string, error) {
	b := make([]byte, 0, 16*len(args)/columns)
	b = append(b, '{')
	for i := column; i < len(args); i += columns {
		if i > column {
			b = append(b, ',')
		}
		var err error
		if b, err = appendElement(b, args[i]); err != nil {
			return "", err
		}
	}
	return string(append(b, '}')), nil
}

func appendElement(b []byte, arg any) ([]byte, error) {
	v, err := driver.DefaultParameterConverter.ConvertValue(arg)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil:
		return append(b, "NULL"...), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case time.Time:
		b = append(b, '"')
		b = v.UTC().AppendFormat(b, "2006-01-02 15:04:05.999999Z07:00")
		return append(b, '"'), nil
	case string:
		return appendQuoted(b, v), nil
	case []byte:
		return appendQuoted(b, string(v)), nil
	}
	return nil, fmt.Errorf("a value of type %T", v)
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}
