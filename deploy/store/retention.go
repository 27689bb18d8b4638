package store

import (
	"context"
	"database/sql"
	"fmt"
)

// WithRetention runs fn, which may delete rows of deployment_history, inside
// the caller's transaction. The right ends with fn; elsewhere the database
// refuses such a DELETE, and an UPDATE always. If fn fails the caller must
// roll back.
func (s *Store) WithRetention(ctx context.Context, tx *sql.Tx, fn func() error) error {
	on, off := `SET LOCAL slipway.retention = 'on'`, `SET LOCAL slipway.retention = 'off'`
	if s.Dialect == SQLite {
		on, off = `INSERT INTO retention_guard (id, never) VALUES (1, 0)`, `DELETE FROM retention_guard`
	}
	if _, err := tx.ExecContext(ctx, on); err != nil {
		return fmt.Errorf("allowing retention: %w", err)
	}
	if err := fn(); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, off); err != nil {
		return fmt.Errorf("ending retention: %w", err)
	}
	return nil
}
