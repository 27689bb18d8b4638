package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/lib/pq"
	"modernc.org/sqlite"

	"github.com/slipwayhq/slipway/ent/migrate"
)

// SQLite's result codes (https://www.sqlite.org/rescode.html).
const (
	sqliteBusy       = 5
	sqliteIOErr      = 10
	sqliteFull       = 13
	sqliteCantOpen   = 14
	sqlitePrimaryKey = 1555
	sqliteUnique     = 2067
)

func sqliteCode(err error) (int, bool) {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code(), true
	}
	return 0, false
}

func postgresCode(err error) (string, bool) {
	var e *pq.Error
	if errors.As(err, &e) {
		return string(e.Code), true
	}
	return "", false
}

// IsUnique reports whether err is the violation of a unique index or primary
// key, and gives its name, the same on both databases: that of the index in
// ent/schema (deployments_one_active, node_name, …) or <table>_pkey.
func (s *Store) IsUnique(err error) (constraint string, ok bool) {
	var p *pq.Error
	if errors.As(err, &p) {
		return p.Constraint, p.Code == "23505"
	}
	code, ok := sqliteCode(err)
	if !ok || (code != sqliteUnique && code != sqlitePrimaryKey) {
		return "", false
	}
	var e *sqlite.Error
	errors.As(err, &e)
	return sqliteConstraint(e.Error()), true
}

// sqliteConstraint turns "… UNIQUE constraint failed: nodes.name (2067)" into
// the name of the index over these columns.
func sqliteConstraint(message string) string {
	_, columns, ok := strings.Cut(message, "constraint failed: ")
	if !ok {
		return ""
	}
	// The driver repeats the text behind the first one in some cases.
	if i := strings.LastIndex(columns, "constraint failed: "); i >= 0 {
		columns = columns[i+len("constraint failed: "):]
	}
	columns, _, _ = strings.Cut(columns, " (")
	if name, ok := uniqueNames()[columns]; ok {
		return name
	}
	return columns
}

// uniqueNames maps what SQLite reports, "table.column, table.column", to the
// name of the index. No table has two unique indexes over the same columns.
var uniqueNames = sync.OnceValue(func() map[string]string {
	names := map[string]string{}
	for _, t := range migrate.Tables {
		qualified := func(columns []string) string {
			for i, c := range columns {
				columns[i] = t.Name + "." + c
			}
			return strings.Join(columns, ", ")
		}
		var key []string
		for _, c := range t.PrimaryKey {
			key = append(key, c.Name)
		}
		names[qualified(key)] = t.Name + "_pkey"
		for _, i := range t.Indexes {
			if !i.Unique {
				continue
			}
			var columns []string
			for _, c := range i.Columns {
				columns = append(columns, c.Name)
			}
			names[qualified(columns)] = i.Name
		}
	}
	return names
})

// IsSerialization reports whether err is a deadlock or a serialization
// failure, after which the whole transaction can be tried again at once.
func (s *Store) IsSerialization(err error) bool {
	code, _ := postgresCode(err)
	return code == "40001" || code == "40P01"
}

// IsUnavailable reports whether err says that the database cannot be used for
// the moment: connection lost or refused, server shutting down or out of
// connections or space, SQLite file locked by another process for longer than
// the busy timeout. Whether a commit that failed so took effect is not known.
func (s *Store) IsUnavailable(err error) bool {
	if err == nil {
		return false
	}
	if code, ok := postgresCode(err); ok {
		switch code {
		case "57P01", "57P02", "57P03", // admin shutdown, crash shutdown, cannot connect now
			"57P04",          // the database is gone, perhaps to be restored
			"57P05",          // idle session timeout
			"57014", "55P03", // a statement or a lock took longer than the operator allows
			"25P03", // idle in transaction timeout
			"25006", // read only: the other end of a failover
			"55000", // the database takes no connections; nothing else of ours meets this code
			"3D000": // no such database
			return true
		}
		// 28: the password is being changed.
		return slices.Contains([]string{"08", "28", "53", "58"}, code[:min(2, len(code))])
	}
	if code, ok := sqliteCode(err); ok {
		switch code & 0xff {
		case sqliteBusy, sqliteIOErr, sqliteFull, sqliteCantOpen:
			return true
		}
		return false
	}
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		(errors.As(err, &network) && !isContext(err))
}
