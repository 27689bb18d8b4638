package lifecycle

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
)

// maxStatements bounds the prepared statements; there are some dozens.
const maxStatements = 256

// statements keeps prepared the statements that the writer repeats, so that
// neither database parses them again for every group. Only the writer's own
// goroutine uses it. A statement is prepared between transactions, for on
// SQLite a transaction holds the only connection.
type statements struct {
	db       *sql.DB
	prepared map[string]*sql.Stmt
	wanted   map[string]int
}

func newStatements(db *sql.DB) *statements {
	return &statements{db: db, prepared: map[string]*sql.Stmt{}, wanted: map[string]int{}}
}

// want notes that query was used without being prepared.
func (s *statements) want(query string) {
	if len(s.wanted)+len(s.prepared) < maxStatements {
		s.wanted[query]++
	}
}

// prepare prepares what was used twice. A failure is no harm: the statement
// is sent as text again, and that tells.
func (s *statements) prepare(ctx context.Context) {
	for query, times := range s.wanted {
		if times < 2 {
			continue
		}
		delete(s.wanted, query)
		if stmt, err := s.db.PrepareContext(ctx, query); err == nil {
			s.prepared[query] = stmt
		}
	}
}

func (s *statements) close() {
	for query, stmt := range s.prepared {
		_ = stmt.Close() // the pool closes what is left
		delete(s.prepared, query)
	}
}

func (tx *Tx) exec(what, query string, args ...any) error {
	var err error
	if stmt := tx.w.stmts.prepared[query]; stmt != nil {
		_, err = tx.sql.StmtContext(tx.ctx, stmt).ExecContext(tx.ctx, args...)
	} else {
		tx.w.stmts.want(query)
		_, err = tx.sql.ExecContext(tx.ctx, query, args...)
	}
	if err != nil {
		return fmt.Errorf("lifecycle: %s: %w", what, err)
	}
	return nil
}

func (tx *Tx) query(what, query string, args ...any) (*sql.Rows, error) {
	var rows *sql.Rows
	var err error
	if stmt := tx.w.stmts.prepared[query]; stmt != nil {
		rows, err = tx.sql.StmtContext(tx.ctx, stmt).QueryContext(tx.ctx, args...)
	} else {
		tx.w.stmts.want(query)
		rows, err = tx.sql.QueryContext(tx.ctx, query, args...)
	}
	if err != nil {
		return nil, fmt.Errorf("lifecycle: %s: %w", what, err)
	}
	return rows, nil
}

// step is the largest power of two that is at most n and 32: rows are written
// and looked up in such steps, so that the texts of statements repeat.
func step(n int) int {
	s := 1
	for s < 32 && 2*s <= n {
		s *= 2
	}
	return s
}

// in renders "($1,$2,…)" and its arguments for ids that are sorted and
// distinct; the list is filled up to a power of two with its last entry.
func in(ids []int64) (list string, args []any) {
	size := 1
	for size < len(ids) {
		size *= 2
	}
	var b strings.Builder
	b.WriteByte('(')
	for i := range size {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(i + 1))
		args = append(args, ids[min(i, len(ids)-1)])
	}
	b.WriteByte(')')
	return b.String(), args
}
