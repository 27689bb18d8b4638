package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/slipwayhq/slipway/ent"
)

// Dialect names the kind of database.
type Dialect string

// The databases Slipway runs on.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// ent is the dialect's name in ent.
func (d Dialect) ent() string {
	if d == SQLite {
		return dialect.SQLite
	}
	return dialect.Postgres
}

// Options tune a store; the zero value is good.
type Options struct {
	// WriteConns and ReadConns bound the two pools. Zero: 10 each on
	// PostgreSQL; SQLite always has one writing connection, and as many reading
	// ones as there are processors, but at least 4.
	WriteConns, ReadConns int
	// BusyTimeout is how long SQLite waits for a lock that another process
	// holds. Zero: 10 s.
	BusyTimeout time.Duration
	// Logger hears about applied migrations. Nil: silent.
	Logger *slog.Logger
}

func (o Options) withDefaults(d Dialect) Options {
	if d == SQLite {
		o.WriteConns = 1
		if o.ReadConns <= 0 {
			o.ReadConns = max(4, runtime.NumCPU())
		}
	}
	if d == PostgreSQL {
		if o.WriteConns <= 0 {
			o.WriteConns = 10
		}
		if o.ReadConns <= 0 {
			o.ReadConns = 10
		}
	}
	if o.BusyTimeout <= 0 {
		o.BusyTimeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// closePatience is how long Close waits for a transaction that somebody has
// left open on SQLite's one writing connection.
const closePatience = 5 * time.Second

// Store is an open database.
type Store struct {
	Dialect Dialect
	// Write is the pool for transactions that change something. SQLite: exactly
	// one connection, whose transactions take the write lock when they begin.
	Write *sql.DB
	// Read is the pool for everything else. On both databases it refuses to
	// write.
	Read *sql.DB

	url  string
	path string // SQLite: the file
	opts Options
}

// Open opens the database at url and checks that it answers; it changes no
// schema (see [Store.Migrate]). The url is "postgres://…", "sqlite:/path/file"
// or the path of a file, which is made if it does not exist.
//
// PostgreSQL needs a direct connection or a pooler in session mode:
// migrations hold a session lock.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	d, path, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	s := &Store{Dialect: d, url: url, path: path, opts: opts.withDefaults(d)}
	if d == SQLite {
		err = s.openSQLite(ctx)
	} else {
		err = s.openPostgres(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening database %s: %w", s.URL(), err), s.Close())
	}
	return s, nil
}

// Close closes both pools. Transactions still open fail.
func (s *Store) Close() error {
	var errs []error
	// Readers first: on SQLite the writer, closed last, folds the log back into
	// the file.
	if s.Read != nil {
		errs = append(errs, s.Read.Close())
	}
	if s.Write != nil {
		if s.Dialect == SQLite {
			errs = append(errs, s.foldLog())
		}
		errs = append(errs, s.Write.Close())
	}
	return errors.Join(errs...)
}

// foldLog makes the writing connection look at the log. SQLite copies the log
// into the file when the last connection closes, but only one that has read it
// since another connection (that of migrations) wrote to it.
func (s *Store) foldLog() error {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	if _, err := s.Write.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`); err != nil {
		return fmt.Errorf("folding the SQLite log into the file: %w", err)
	}
	return nil
}

// Ping reports whether the database answers, on both pools.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.Read.PingContext(ctx); err != nil {
		return fmt.Errorf("database does not answer: %w", err)
	}
	// SQLite's one writing connection may be in a long transaction, and pinging
	// it would tell nothing that the reader has not told.
	if s.Dialect == SQLite {
		return nil
	}
	if err := s.Write.PingContext(ctx); err != nil {
		return fmt.Errorf("database does not answer: %w", err)
	}
	return nil
}

// Ent is an ent client on the read pool: it cannot write.
func (s *Store) Ent() *ent.Client {
	return ent.NewClient(ent.Driver(entsql.OpenDB(s.Dialect.ent(), s.Read)))
}

// EntTx is an ent client inside the caller's transaction. Its own Tx method
// starts none: committing stays with the caller, who can so have ent, plain
// SQL and River's jobs in one transaction.
func (s *Store) EntTx(tx *sql.Tx) *ent.Client {
	drv := entsql.NewDriver(s.Dialect.ent(), entsql.Conn{ExecQuerier: tx})
	return ent.NewClient(ent.Driver(joinedDriver{drv}))
}

// joinedDriver makes ent's transactions no-ops, because one is open already.
type joinedDriver struct{ *entsql.Driver }

func (d joinedDriver) Tx(context.Context) (dialect.Tx, error) { return dialect.NopTx(d), nil }

func (d joinedDriver) BeginTx(context.Context, *sql.TxOptions) (dialect.Tx, error) {
	return dialect.NopTx(d), nil
}

// Close leaves the transaction to its owner.
func (joinedDriver) Close() error { return nil }

// InTx runs fn in a transaction on the write pool and commits it if fn
// returns nil; else, or if fn panics, it rolls back.
func (s *Store) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := s.Write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	// After a commit this does nothing but say so.
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// ForUpdate is the clause that locks selected rows until the transaction
// ends: " FOR UPDATE" on PostgreSQL, nothing on SQLite, where a writing
// transaction is alone anyway.
func (s *Store) ForUpdate() string {
	if s.Dialect == PostgreSQL {
		return " FOR UPDATE"
	}
	return ""
}

// SkipLocked is [Store.ForUpdate] passing over rows that another transaction
// has locked.
func (s *Store) SkipLocked() string {
	if s.Dialect == PostgreSQL {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// URL is the database's address without its secrets, for logs.
func (s *Store) URL() string { return RedactURL(s.url) }

// PostgresURL is the full connection string, for a connection of its own that
// listens for notifications; empty on SQLite. It has the password: never log
// it.
func (s *Store) PostgresURL() string {
	if s.Dialect != PostgreSQL {
		return ""
	}
	return s.url
}
