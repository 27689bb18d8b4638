package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// sqliteTimes are the formats in which this project's connections, and
// SQLite's own functions, write points in time.
var sqliteTimes = []string{
	"2006-01-02 15:04:05.999999999-07:00",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02",
}

// Time scans a point in time into dst, in UTC, on both databases, also where
// SQLite gives it as text: in RETURNING clauses and expressions. NULL is an
// error.
//
//	tx.QueryRowContext(ctx, `UPDATE … RETURNING updated_at`).Scan(store.Time(&t))
func Time(dst *time.Time) sql.Scanner { return timeScanner{dst} }

// NullTime is [Time] for a value that may be NULL; dst becomes nil then.
func NullTime(dst **time.Time) sql.Scanner { return nullTimeScanner{dst} }

type timeScanner struct{ dst *time.Time }

func (s timeScanner) Scan(src any) error {
	switch v := src.(type) {
	case time.Time:
		*s.dst = v.UTC()
		return nil
	case string:
		return s.parse(v)
	case []byte:
		return s.parse(string(v))
	}
	return fmt.Errorf("scanning %T into a point in time", src)
}

func (s timeScanner) parse(text string) error {
	for _, layout := range sqliteTimes {
		if t, err := time.Parse(layout, text); err == nil {
			*s.dst = t.UTC()
			return nil
		}
	}
	return fmt.Errorf("scanning %q into a point in time", text)
}

type nullTimeScanner struct{ dst **time.Time }

func (s nullTimeScanner) Scan(src any) error {
	if src == nil {
		*s.dst = nil
		return nil
	}
	var t time.Time
	if err := (timeScanner{&t}).Scan(src); err != nil {
		return err
	}
	*s.dst = &t
	return nil
}

// isContext reports whether the caller gave up, which says nothing about the
// database; context.DeadlineExceeded also satisfies net.Error.
func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
