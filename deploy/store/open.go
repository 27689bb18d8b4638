package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/lib/pq"
	_ "modernc.org/sqlite" // driver "sqlite"
)

// busyRetry is the pause between attempts to open a SQLite file that several
// processes open for the first time at once.
const busyRetry = 20 * time.Millisecond

// openPatience bounds those attempts.
const openPatience = 15 * time.Second

func (s *Store) openSQLite(ctx context.Context) (err error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o750); err != nil {
		return fmt.Errorf("making the folder of the SQLite file: %w", err)
	}
	// SQLite would make the file readable for all; it has hashes of tokens. A
	// file that exists must not be opened here: closing it would drop the locks
	// that other connections of this process hold on it.
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
	case err != nil:
		return fmt.Errorf("making the SQLite file: %w", err)
	default:
		if err := f.Close(); err != nil {
			return fmt.Errorf("making the SQLite file: %w", err)
		}
	}
	if s.Write, err = openSQLitePool(s.sqliteDSN(writing), 1); err != nil {
		return err
	}
	if err := pingSQLite(ctx, s.Write); err != nil {
		return err
	}
	if s.Read, err = openSQLitePool(s.sqliteDSN(reading), s.opts.ReadConns); err != nil {
		return err
	}
	return pingSQLite(ctx, s.Read)
}

// pingSQLite opens the first connection. Switching a new file to WAL does not
// wait for locks, whatever the busy timeout, so this waits in its place.
func pingSQLite(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	for {
		err := db.PingContext(ctx)
		if code, ok := sqliteCode(err); !ok || code&0xff != sqliteBusy {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(busyRetry):
		}
	}
}

type sqliteUse int

const (
	reading sqliteUse = iota
	writing
	migrating // as writing, without foreign keys: tables are rebuilt
)

// sqliteDSN has the settings of one connection. The file's own path is
// escaped by net/url, so it can have any character.
func (s *Store) sqliteDSN(use sqliteUse) string {
	q := url.Values{
		"_busy_timeout": {strconv.FormatInt(s.opts.BusyTimeout.Milliseconds(), 10)},
		// Written as sortable text in UTC; the default would be Go's own format.
		"_time_format": {"sqlite"},
		"_timezone":    {"UTC"},
		"_pragma": {
			"journal_size_limit(67108864)", // the log is cut back after a large transaction
			"temp_store(memory)",
			"recursive_triggers(1)", // else INSERT OR REPLACE deletes history behind the trigger's back
		},
	}
	if use == reading {
		q.Set("mode", "ro")
		q.Set("_query_only", "1")
	} else {
		q.Set("_journal_mode", "WAL")
		q.Set("_synchronous", "FULL")
		// A transaction that only later turns out to write could not wait for
		// the lock; it would fail.
		q.Set("_txlock", "immediate")
	}
	q.Set("_foreign_keys", map[bool]string{true: "0", false: "1"}[use == migrating])
	u := url.URL{Scheme: "file", Path: s.path, RawQuery: q.Encode()}
	return u.String()
}

func (s *Store) openPostgres(ctx context.Context) (err error) {
	if s.Write, err = openPostgresPool(s.postgresDSN(false), s.opts.WriteConns, answerWithin); err != nil {
		return err
	}
	if s.Read, err = openPostgresPool(s.postgresDSN(true), s.opts.ReadConns, answerWithin); err != nil {
		return err
	}
	return s.Ping(ctx)
}

// postgresDSN adds the session's settings to the address. What the operator
// set in the address itself stays, but for the time zone.
func (s *Store) postgresDSN(readOnly bool) string {
	u, err := url.Parse(s.url)
	if err != nil {
		return s.url // parseURL has refused it before
	}
	q := u.Query()
	q.Set("timezone", "UTC")
	for name, value := range map[string]string{
		"application_name": "slipway",
		"connect_timeout":  "10",
		// A transaction whose process hangs must not hold its locks for ever.
		"idle_in_transaction_session_timeout": "60s",
	} {
		if !q.Has(name) {
			q.Set(name, value)
		}
	}
	if readOnly {
		q.Set("default_transaction_read_only", "on")
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func openSQLitePool(dsn string, conns int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// openPostgresPool makes a pool whose connections are given up when the server
// is silent for so long in the middle of an exchange; 0 = never.
func openPostgresPool(dsn string, conns int, silence time.Duration) (*sql.DB, error) {
	connector, err := pq.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	if silence > 0 {
		connector.Dialer(patientDialer{silence: silence})
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	// So that load moves after a failover, and idle replicas let go.
	db.SetConnMaxLifetime(30 * time.Minute)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, nil
}
