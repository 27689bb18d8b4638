package feed

import (
	"context"
	"database/sql"
	"strconv"
	"sync"
)

// What the feed asks after every commit.
const (
	counterQuery = `SELECT position FROM stream_counter WHERE id = 1`
	eventsWhere  = `position > $1 AND position <= $2`
	changesQuery = `SELECT id, changed_position, 0 FROM nodes WHERE changed_position > $1 AND changed_position <= $2
		UNION ALL SELECT id, changed_position, 1 FROM node_tombstones WHERE changed_position > $1 AND changed_position <= $2 ORDER BY 2`
)

// eventsQuery reads at most limit events in their order. The limit is part of
// the text: SQLite plans by its value, and would prepare the statement again
// each time one is bound.
func eventsQuery(where string, limit int) string {
	return `SELECT ` + eventColumns + ` FROM deployment_history WHERE ` + where + ` ORDER BY position LIMIT ` + strconv.Itoa(limit)
}

// reads keeps these queries prepared, for as long as the store is open: after a
// single event, reading the text costs either database as much as answering.
// The zero value prepares none, which is slower and right as well.
type reads struct {
	mu       sync.RWMutex
	prepared map[string]*sql.Stmt
}

// open prepares; what cannot be prepared is sent as text, and that tells.
func (r *reads) open(ctx context.Context, db *sql.DB, page int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prepared = map[string]*sql.Stmt{}
	for _, query := range []string{counterQuery, eventsQuery(eventsWhere, page), changesQuery} {
		if stmt, err := db.PrepareContext(ctx, query); err == nil { //nolint:sqlclosecheck // kept as long as the pool is
			r.prepared[query] = stmt
		}
	}
}

func (r *reads) statement(query string) *sql.Stmt {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.prepared[query]
}

func (r *reads) query(ctx context.Context, db *sql.DB, query string, args ...any) (*sql.Rows, error) {
	if stmt := r.statement(query); stmt != nil { //nolint:sqlclosecheck // as above
		return stmt.QueryContext(ctx, args...)
	}
	return db.QueryContext(ctx, query, args...)
}

func (r *reads) row(ctx context.Context, db *sql.DB, query string, args ...any) *sql.Row {
	if stmt := r.statement(query); stmt != nil { //nolint:sqlclosecheck // as above
		return stmt.QueryRowContext(ctx, args...)
	}
	return db.QueryRowContext(ctx, query, args...)
}
