package store

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// silent is a server that takes connections and what is sent, and never says a
// word.
func silent(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestASilentServerIsGivenUp(t *testing.T) {
	l := silent(t)
	c, err := patientDialer{silence: 20 * time.Millisecond}.DialTimeout("tcp", l.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 { // each read has a limit of its own
		if _, err = c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("reading gives %v", err)
		}
	}
	if !new(Store).IsUnavailable(err) {
		t.Errorf("%v is not taken for a database that cannot be used", err)
	}
	// Nobody reads: sooner or later nothing more can be written.
	for err = nil; err == nil; {
		_, err = c.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writing gives %v", err)
	}
}

func TestAnEarlierDeadlineHolds(t *testing.T) {
	l := silent(t)
	c, err := patientDialer{silence: time.Hour}.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading gives %v", err)
	}
}

func TestAPoolOnASilentServer(t *testing.T) {
	l := silent(t)
	db, err := openPostgresPool("postgres://u@"+l.Addr().String()+"/d?sslmode=disable", 1, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err = db.ExecContext(ctx, `SELECT 1`); !new(Store).IsUnavailable(err) || ctx.Err() != nil || errors.Is(err, sql.ErrConnDone) {
		t.Errorf("a query gives %v", err)
	}
}
