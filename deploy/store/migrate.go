package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/slipwayhq/slipway/ent/migrations"
)

// ErrNewerDatabase says that a newer Slipway has migrated this database.
var ErrNewerDatabase = errors.New("the database is newer than this program: run the newer version, or restore a backup made before the upgrade")

// ErrChangedMigration says that the database was built by another edition of
// a migration than the program has.
var ErrChangedMigration = errors.New("a migration was changed after it had been applied to this database")

// migrationLock is the key of PostgreSQL's advisory lock ("slipway" in ASCII).
const migrationLock = 0x736c6970776179

// MigrationStatus is one migration and when it was applied.
type MigrationStatus struct {
	Version   string
	Name      string
	AppliedAt time.Time // zero: pending
}

const createVersions = `CREATE TABLE IF NOT EXISTS schema_migrations (
	version    varchar(64) NOT NULL PRIMARY KEY,
	name       varchar(255) NOT NULL,
	checksum   varchar(128) NOT NULL,
	applied_at timestamp%s NOT NULL
)`

// Migrate applies every migration that the database lacks, Slipway's and
// River's. Any number of processes may call it at once: each migration is
// applied once, in a transaction of its own, and all return when the schema is
// complete. The error is ErrNewerDatabase or ErrChangedMigration when the
// database does not belong to this program's history; nothing is changed then.
func (s *Store) Migrate(ctx context.Context) error {
	list, err := migrations.Load(string(s.Dialect))
	if err != nil {
		return err
	}
	if s.Dialect == SQLite {
		err = s.migrateSQLite(ctx, list)
	} else {
		err = s.migratePostgres(ctx, list)
	}
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	return nil
}

// migrateSQLite works on a connection of its own, because foreign keys can be
// switched off only outside a transaction. Each BEGIN IMMEDIATE is the lock.
func (s *Store) migrateSQLite(ctx context.Context, list []migrations.Migration) (err error) {
	db, err := openSQLitePool(s.sqliteDSN(migrating), 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, m := range list {
		if err := s.applyOne(ctx, db.BeginTx, list, m); err != nil {
			return err
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	m, err := riverMigrator(riversqlite.New(db))
	if err != nil {
		return err
	}
	//nolint:staticcheck // SA1019 warns of migrations that PostgreSQL cannot batch; this is SQLite, and all or nothing
	res, err := m.MigrateTx(ctx, tx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return fmt.Errorf("River's migrations: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("River's migrations: %w", err)
	}
	s.logRiver(res)
	return nil
}

// migratePostgres holds a session lock on one connection throughout. Waiting
// for it, and changing large tables, may take long: the pool is one of its own,
// which does not give up on a silent server.
func (s *Store) migratePostgres(ctx context.Context, list []migrations.Migration) (err error) {
	db, err := openPostgresPool(s.postgresDSN(false), 2, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	// The connection is thrown away, and the lock with it, whatever happened.
	defer func() { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return fmt.Errorf("waiting for the migration lock: %w", err)
	}
	for _, m := range list {
		if err := s.applyOne(ctx, conn.BeginTx, list, m); err != nil {
			return err
		}
	}
	m, err := riverMigrator(riverdatabasesql.New(db))
	if err != nil {
		return err
	}
	res, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return fmt.Errorf("River's migrations: %w", err)
	}
	s.logRiver(res)
	return nil
}

func riverMigrator(d riverdriver.Driver[*sql.Tx]) (*rivermigrate.Migrator[*sql.Tx], error) {
	return rivermigrate.New(d, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
}

func (s *Store) logRiver(res *rivermigrate.MigrateResult) {
	for _, v := range res.Versions {
		s.opts.Logger.Info("applied migration of the job queue", "version", v.Version, "name", v.Name, "duration", v.Duration)
	}
}

type beginner func(context.Context, *sql.TxOptions) (*sql.Tx, error)

// applyOne applies m unless another process has done so meanwhile.
func (s *Store) applyOne(ctx context.Context, begin beginner, list []migrations.Migration, m migrations.Migration) error {
	tx, err := begin(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	zone := ""
	if s.Dialect == PostgreSQL {
		zone = "tz"
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(createVersions, zone)); err != nil {
		return fmt.Errorf("making schema_migrations: %w", err)
	}
	applied, err := readApplied(ctx, tx)
	if err != nil {
		return err
	}
	if err := verify(list, applied); err != nil {
		return err
	}
	if _, done := applied[m.Version]; done {
		return nil
	}
	start := time.Now()
	for _, stmt := range m.Stmts {
		// Atlas brackets a rebuilt table with these. They do nothing inside a
		// transaction; the connection has foreign keys off already.
		if strings.HasPrefix(strings.ToLower(stmt), "pragma foreign_keys") {
			continue
		}
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("migration %s_%s: %w, in: %s", m.Version, m.Name, err, firstLine(stmt))
		}
	}
	if s.Dialect == SQLite {
		if err := foreignKeyCheck(ctx, tx); err != nil {
			return fmt.Errorf("migration %s_%s: %w", m.Version, m.Name, err)
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)`,
		m.Version, m.Name, m.Checksum, time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return fmt.Errorf("recording migration %s: %w", m.Version, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("migration %s_%s: %w", m.Version, m.Name, err)
	}
	s.opts.Logger.Info("applied migration", "version", m.Version, "name", m.Name, "duration", time.Since(start))
	return nil
}

// verify compares what was applied with what the program has.
func verify(list []migrations.Migration, applied map[string]appliedRow) error {
	known := map[string]migrations.Migration{}
	for _, m := range list {
		known[m.Version] = m
	}
	for version, row := range applied {
		m, ok := known[version]
		if !ok {
			return fmt.Errorf("%w (it has migration %s_%s)", ErrNewerDatabase, version, row.name)
		}
		if m.Checksum != row.checksum {
			return fmt.Errorf("%w: %s_%s; a database of a released version never has this, one from development must be made anew",
				ErrChangedMigration, version, row.name)
		}
	}
	return nil
}

type appliedRow struct {
	name, checksum string
	at             time.Time
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func readApplied(ctx context.Context, q queryer) (map[string]appliedRow, error) {
	rows, err := q.QueryContext(ctx, `SELECT version, name, checksum, applied_at FROM schema_migrations`)
	if err != nil {
		return nil, fmt.Errorf("reading schema_migrations: %w", err)
	}
	defer rows.Close()
	applied := map[string]appliedRow{}
	for rows.Next() {
		var version string
		var r appliedRow
		if err := rows.Scan(&version, &r.name, &r.checksum, Time(&r.at)); err != nil {
			return nil, fmt.Errorf("reading schema_migrations: %w", err)
		}
		applied[version] = r
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading schema_migrations: %w", err)
	}
	return applied, nil
}

func foreignKeyCheck(ctx context.Context, tx *sql.Tx) error {
	var table, parent string
	var row, key sql.NullInt64
	err := tx.QueryRowContext(ctx, `PRAGMA foreign_key_check`).Scan(&table, &row, &parent, &key)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("checking foreign keys: %w", err)
	}
	return fmt.Errorf("row %d of %s refers to a row of %s that does not exist", row.Int64, table, parent)
}

func firstLine(stmt string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(stmt), "\n")
	if len(line) > 120 {
		line = line[:120] + "…"
	}
	return line
}

// Migrations lists every migration of this program in order, with the time at
// which it was applied to this database. It reads only; the error is as in
// [Store.Migrate].
func (s *Store) Migrations(ctx context.Context) ([]MigrationStatus, error) {
	list, err := migrations.Load(string(s.Dialect))
	if err != nil {
		return nil, err
	}
	var exists bool
	query := `SELECT to_regclass('schema_migrations') IS NOT NULL`
	if s.Dialect == SQLite {
		query = `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations')`
	}
	if err := s.Read.QueryRowContext(ctx, query).Scan(&exists); err != nil {
		return nil, fmt.Errorf("looking for schema_migrations: %w", err)
	}
	applied := map[string]appliedRow{}
	if exists {
		if applied, err = readApplied(ctx, s.Read); err != nil {
			return nil, err
		}
	}
	if err := verify(list, applied); err != nil {
		return nil, err
	}
	out := make([]MigrationStatus, 0, len(list))
	for _, m := range list {
		out = append(out, MigrationStatus{Version: m.Version, Name: m.Name, AppliedAt: applied[m.Version].at})
	}
	return out, nil
}

// Pending lists the migrations that [Store.Migrate] would apply.
func (s *Store) Pending(ctx context.Context) ([]MigrationStatus, error) {
	return s.migrationsWhere(ctx, func(m MigrationStatus) bool { return m.AppliedAt.IsZero() })
}

// Applied lists the migrations that this database has.
func (s *Store) Applied(ctx context.Context) ([]MigrationStatus, error) {
	return s.migrationsWhere(ctx, func(m MigrationStatus) bool { return !m.AppliedAt.IsZero() })
}

func (s *Store) migrationsWhere(ctx context.Context, want func(MigrationStatus) bool) ([]MigrationStatus, error) {
	all, err := s.Migrations(ctx)
	if err != nil {
		return nil, err
	}
	var out []MigrationStatus
	for _, m := range all {
		if want(m) {
			out = append(out, m)
		}
	}
	return out, nil
}
