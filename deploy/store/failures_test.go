package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func TestLostConnectionIsUnavailable(t *testing.T) {
	s := storetest.Postgres(t)
	tx, err := s.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	var pid int
	if err := tx.QueryRow(`SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	// Its second argument waits until the session is gone.
	exec(t, s, `SELECT pg_terminate_backend($1, 10000)`, pid)
	if _, err = tx.Exec(`SELECT 1`); !s.IsUnavailable(err) {
		t.Errorf("%v is not taken for a lost connection", err)
	}
	if s.IsSerialization(err) {
		t.Errorf("%v is taken for a serialization failure", err)
	}
	if n := scalar[int](t, s, `SELECT 1`); n != 1 {
		t.Error("the pool did not recover")
	}
}

func TestDeadlockIsSerialization(t *testing.T) {
	s := storetest.Postgres(t)
	makeNode(t, s, "node-a")
	makeNode(t, s, "node-b")
	begin := func(first string) *sql.Tx {
		tx, err := s.Write.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback() })
		if _, err := tx.Exec(`SET LOCAL deadlock_timeout = '10ms'`); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(`UPDATE nodes SET version = version + 1 WHERE name = $1`, first); err != nil {
			t.Fatal(err)
		}
		return tx
	}
	one, two := begin("node-a"), begin("node-b")
	errs := make(chan error, 2)
	other := func(tx *sql.Tx, name string) {
		_, err := tx.Exec(`UPDATE nodes SET version = version + 1 WHERE name = $1`, name)
		errs <- err
		_ = tx.Rollback()
	}
	go other(one, "node-b")
	go other(two, "node-a")
	a, b := <-errs, <-errs
	if !s.IsSerialization(a) && !s.IsSerialization(b) {
		t.Errorf("neither %v nor %v is taken for a deadlock", a, b)
	}
}

func TestBusySQLiteIsUnavailable(t *testing.T) {
	url := storetest.SQLiteURL(t)
	holder := open(t, url, store.Options{})
	other := open(t, url, store.Options{BusyTimeout: time.Millisecond})
	err := holder.InTx(t.Context(), func(*sql.Tx) error {
		return other.InTx(t.Context(), func(*sql.Tx) error { return errors.New("two writers at once") })
	})
	if !other.IsUnavailable(err) {
		t.Errorf("%v is not taken for a locked file", err)
	}
}

func TestWhatIsUnavailable(t *testing.T) {
	s := storetest.SQLite(t)
	for _, err := range []error{io.ErrUnexpectedEOF, sql.ErrConnDone, fmt.Errorf("x: %w", io.EOF)} {
		if !s.IsUnavailable(err) {
			t.Errorf("%v is not unavailable", err)
		}
	}
	for _, err := range []error{nil, context.Canceled, context.DeadlineExceeded, sql.ErrNoRows, errors.New("x")} {
		if s.IsUnavailable(err) {
			t.Errorf("%v is unavailable", err)
		}
	}
}

func TestOpenFailsClearly(t *testing.T) {
	dir := t.TempDir()
	cases := map[string]string{
		"":                                       "empty",
		"mysql://u:secret@h/db":                  "unknown scheme",
		"sqlite::memory:":                        "path of a file",
		"sqlite:":                                "path of a file",
		"sqlite:" + dir + "/a.db?mode=memory":    "no parameters",
		"postgres://u:secret@127.0.0.1:1/db":     "refused",
		"postgres://u:secret@127.0.0.1:x/db":     "not a valid",
		"sqlite:" + filepath.Join(dir):           dir,
		"postgres://h/db?password=secret&host=/": "postgres://h/db",
	}
	for url, want := range cases {
		s, err := store.Open(t.Context(), url, store.Options{})
		if err == nil {
			t.Errorf("Open(%q) succeeded: %v", url, s.Close())
			continue
		}
		if refused := want == "refused"; refused != (&store.Store{}).IsUnavailable(err) && strings.HasPrefix(url, "postgres://u:secret@127") {
			t.Errorf("Open(%q): %v; taken for unavailable: %v", url, err, !refused)
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%q): %v; want %q and no password", url, err, want)
		}
	}
}

func TestRedactURL(t *testing.T) {
	for raw, want := range map[string]string{
		"postgres://ana:secret@db:5432/slipway?sslmode=require": "postgres://ana:xxxxx@db:5432/slipway?sslmode=require",
		"postgres://db/slipway?password=secret":                 "postgres://db/slipway?password=xxxxx",
		"postgres://ana:se%zzcret@db/":                          "(invalid database URL)",
		"/var/lib/slipway.db":                                   "sqlite:/var/lib/slipway.db",
		"sqlite:///var/lib/slipway.db":                          "sqlite:/var/lib/slipway.db",
	} {
		if got := store.RedactURL(raw); got != want {
			t.Errorf("RedactURL(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestRefusedConnectionsAreUnavailable(t *testing.T) {
	s := storetest.Postgres(t)
	for _, code := range []string{"55000", "3D000", "28P01", "53300", "57P03", "25006", "57014"} {
		if err := fmt.Errorf("reading: %w", &pq.Error{Code: pqerror.Code(code)}); !s.IsUnavailable(err) {
			t.Errorf("%s is not taken for a database that cannot be used", code)
		}
	}
	for _, code := range []string{"23505", "42601", "22P02", ""} {
		if err := fmt.Errorf("reading: %w", &pq.Error{Code: pqerror.Code(code)}); s.IsUnavailable(err) {
			t.Errorf("%q is taken for a database that cannot be used", code)
		}
	}
	// What a failover leaves behind: a connection to the old primary.
	if _, err := s.Read.ExecContext(t.Context(), `UPDATE stream_counter SET position = position`); !s.IsUnavailable(err) {
		t.Errorf("%v is not taken for a database that cannot be used", err)
	}
}
