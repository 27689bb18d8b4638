package store

import (
	"context"

	"github.com/slipwayhq/slipway/ent/migrations"
)

// MigrateList is Migrate with other migrations than the embedded ones.
func (s *Store) MigrateList(ctx context.Context, list []migrations.Migration) error {
	if s.Dialect == SQLite {
		return s.migrateSQLite(ctx, list)
	}
	return s.migratePostgres(ctx, list)
}
