package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest/pgtemp"
)

// RequireEnv makes a missing PostgreSQL a failure when it is "1".
const RequireEnv = "SLIPWAY_REQUIRE_POSTGRES"

// setUp bounds everything that happens before a test has its database.
const setUp = time.Minute

// Each runs fn as a subtest on each database, with a migrated store of its
// own. fn may call t.Parallel.
func Each(t *testing.T, fn func(t *testing.T, s *store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, Postgres(t)) })
}

// SQLite is a migrated store in a temporary file, closed with the test.
func SQLite(t testing.TB) *store.Store {
	t.Helper()
	return open(t, SQLiteURL(t))
}

// SQLiteURL is the address of a migrated SQLite file of this test.
func SQLiteURL(t testing.TB) string {
	t.Helper()
	content, err := sqliteTemplate()
	if err != nil {
		t.Fatalf("migrating a SQLite template: %v", err)
	}
	path := filepath.Join(t.TempDir(), "slipway.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatalf("copying the SQLite template: %v", err)
	}
	url := "sqlite:" + path
	freshEpoch(t, url)
	return url
}

// Postgres is a migrated store in a database of its own, closed and dropped
// with the test.
func Postgres(t testing.TB) *store.Store {
	t.Helper()
	return open(t, PostgresURL(t))
}

// PostgresURL is the address of a migrated database of this test, for whole
// processes and replicas. It is dropped with the test, whoever is still
// connected.
func PostgresURL(t testing.TB) string {
	t.Helper()
	url := database(t, templateName)
	freshEpoch(t, url)
	return url
}

// EmptyPostgresURL is the address of a database of this test without a schema.
func EmptyPostgresURL(t testing.TB) string {
	t.Helper()
	return database(t, "template0")
}

// StartPostgres starts a server that is not bound to a test, for TestMain; see
// [pgtemp.Start]. Stop it when done.
func StartPostgres(dir string) (*pgtemp.Server, error) { return pgtemp.Start(dir) }

func open(t testing.TB, url string) *store.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setUp)
	defer cancel()
	s, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return s
}

// sqliteTemplate is the content of a migrated file, made once a process.
var sqliteTemplate = sync.OnceValues(func() (_ []byte, err error) {
	dir, err := os.MkdirTemp("", "slipway-sqlite-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "template.db")
	if err := migrated("sqlite:" + path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// templateName is the migrated database that PostgreSQL copies.
const templateName = "slipway_template"

// cluster is the process's PostgreSQL. Nothing stops it: it ends when the
// process does, which no other moment in a test binary announces.
var cluster = sync.OnceValues(func() (*pgtemp.Server, error) {
	pg, err := pgtemp.Start("")
	if err != nil {
		return nil, err
	}
	if err := admin(pg, `CREATE DATABASE `+templateName); err != nil {
		return nil, err
	}
	if err := migrated(pg.URL(templateName)); err != nil {
		return nil, err
	}
	return pg, nil
})

// migrated applies all migrations to the database at url.
func migrated(url string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), setUp)
	defer cancel()
	s, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Migrate(ctx)
}

var databases atomic.Int64

// database makes a database from a template and drops it with the test.
func database(t testing.TB, template string) string {
	t.Helper()
	pg, err := cluster()
	if errors.Is(err, pgtemp.ErrNotInstalled) && os.Getenv(RequireEnv) != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := admin(pg, `CREATE DATABASE `+pq.QuoteIdentifier(name)+` TEMPLATE `+template); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin(pg, `DROP DATABASE `+pq.QuoteIdentifier(name)+` WITH (FORCE)`); err != nil {
			t.Errorf("dropping %s: %v", name, err)
		}
	})
	return pg.URL(name)
}

func admin(pg *pgtemp.Server, stmt string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), setUp)
	defer cancel()
	db, err := sql.Open("postgres", pg.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, stmt); err != nil {
		return fmt.Errorf("%s: %w", stmt, err)
	}
	return nil
}

// freshEpoch gives a copied database an epoch of its own, as every database
// has that was made by migrations: a cursor of one is unknown in another.
func freshEpoch(t testing.TB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setUp)
	defer cancel()
	s, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	epoch := make([]byte, 16)
	_, _ = rand.Read(epoch) // never fails
	_, err = s.Write.ExecContext(ctx, `UPDATE stream_counter SET epoch = $1 WHERE id = 1`, hex.EncodeToString(epoch))
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatalf("giving the database an epoch: %v", err)
	}
}

// DurablePostgres is Postgres with the durability that the tests' server gives
// up for speed: for benchmarks that claim something about it. It is given up
// again when b ends.
func DurablePostgres(b testing.TB) *store.Store {
	b.Helper()
	s := Postgres(b)
	set := func(statements ...string) {
		for _, stmt := range append(statements, `SELECT pg_reload_conf()`) {
			if _, err := s.Write.ExecContext(context.Background(), stmt); err != nil {
				b.Fatalf("making PostgreSQL durable: %v", err)
			}
		}
	}
	set(`ALTER SYSTEM SET fsync = on`, `ALTER SYSTEM SET full_page_writes = on`, `ALTER SYSTEM SET synchronous_commit = on`)
	b.Cleanup(func() { set(`ALTER SYSTEM RESET ALL`) })
	return s
}
