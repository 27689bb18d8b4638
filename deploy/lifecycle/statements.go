package lifecycle

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/slipwayhq/slipway/deploy/store"
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

// step is how many of n rows one statement writes: at most 64, and a multiple
// of 8 or fewer than 8. So two statements write any group, and the texts of
// statements repeat.
func step(n int) int {
	if n < 8 {
		return n
	}
	return min(n, MaxGroup) / 8 * 8
}

// among renders the condition that column is one of the ids in parameter n,
// which idList makes. Its text does not depend on how many they are.
func (tx *Tx) among(column string, n int) string {
	if tx.w.store.Dialect == store.PostgreSQL {
		return fmt.Sprintf("%s = ANY($%d::bigint[])", column, n)
	}
	return fmt.Sprintf("%s IN (SELECT value FROM json_each($%d))", column, n)
}

// idList is an argument for among.
func (tx *Tx) idList(ids []int64) string {
	brackets := "[]"
	if tx.w.store.Dialect == store.PostgreSQL {
		brackets = "{}"
	}
	b := append(make([]byte, 0, 8*len(ids)+2), brackets[0])
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(append(b, brackets[1]))
}
