package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/ent"
)

func TestHistoryIsAppendOnly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		makeEvent(t, s, makeDeployment(t, s, makeNode(t, s, "node-a").ID, 1, "queued"), 1)
		statements := []string{
			`UPDATE deployment_history SET message = 'forged'`,
			`UPDATE deployment_history SET message = 'forged' WHERE false OR id > 0`,
			`DELETE FROM deployment_history`,
		}
		if s.Dialect == store.PostgreSQL {
			statements = append(statements, `TRUNCATE deployment_history`)
		} else {
			statements = append(statements, `INSERT OR REPLACE INTO deployment_history SELECT * FROM deployment_history`)
		}
		for _, stmt := range statements {
			if _, err := s.Write.ExecContext(t.Context(), stmt); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v, want a refusal", stmt, err)
			}
		}
		if n := scalar[int](t, s, `SELECT count(*) FROM deployment_history WHERE message = ''`); n != 1 {
			t.Errorf("%d untouched events, want 1", n)
		}
	})
}

func TestRetentionMayDeleteInItsTransactionOnly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := makeDeployment(t, s, makeNode(t, s, "node-a").ID, 1, "queued")
		makeEvent(t, s, d, 1)
		makeEvent(t, s, d, 2)
		err := s.InTx(t.Context(), func(tx *sql.Tx) error {
			err := s.WithRetention(t.Context(), tx, func() error {
				_, err := tx.ExecContext(t.Context(), `DELETE FROM deployment_history WHERE sequence = 1`)
				return err
			})
			if err != nil {
				return err
			}
			if s.Dialect == store.SQLite { // PostgreSQL would abort the transaction
				if _, err := tx.ExecContext(t.Context(), `DELETE FROM deployment_history`); err == nil {
					t.Error("the right to delete did not end")
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write.ExecContext(t.Context(), `DELETE FROM deployment_history`); err == nil {
			t.Error("the right to delete outlived the transaction")
		}
		if n := scalar[int](t, s, `SELECT count(*) FROM deployment_history`); n != 1 {
			t.Errorf("%d events left, want 1", n)
		}
	})
}

func TestRetentionMarkerCannotStay(t *testing.T) {
	s := storetest.SQLite(t)
	err := s.InTx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO retention_guard (id, never) VALUES (1, 0)`)
		return err
	})
	if err == nil {
		t.Error("a transaction left the retention marker behind")
	}
}

func TestUniqueConstraintsAreNamed(t *testing.T) {
	cases := map[string]func(c *ent.Client, ctx context.Context, n *ent.Node, d *ent.Deployment) error{
		"deployments_one_active": func(c *ent.Client, ctx context.Context, n *ent.Node, d *ent.Deployment) error {
			return createDeployment(c, n.ID, 2, "cleaning_up").Exec(ctx)
		},
		"deployment_node_id_number": func(c *ent.Client, ctx context.Context, n *ent.Node, d *ent.Deployment) error {
			return createDeployment(c, n.ID, 1, "failed").Exec(ctx)
		},
		"node_name": func(c *ent.Client, ctx context.Context, n *ent.Node, d *ent.Deployment) error {
			return c.Node.Create().SetName("node-a").SetProvider("rack").Exec(ctx)
		},
		"settings_pkey": func(c *ent.Client, ctx context.Context, n *ent.Node, d *ent.Deployment) error {
			return errors.Join(c.Setting.Create().SetID("x").SetValue("1").Exec(ctx), c.Setting.Create().SetID("x").SetValue("2").Exec(ctx))
		},
		"phase_runs_one_open": func(c *ent.Client, ctx context.Context, n *ent.Node, d *ent.Deployment) error {
			for _, phase := range []string{"pending", "ipxe_boot"} {
				err := c.PhaseRun.Create().SetDeploymentID(d.ID).SetAttempt(1).SetPhase(phase).SetOrdinal(1).SetStatus("waiting").Exec(ctx)
				if err != nil {
					return err
				}
			}
			return nil
		},
		"deployment_history_idempotency": func(c *ent.Client, ctx context.Context, n *ent.Node, d *ent.Deployment) error {
			for seq := range 2 {
				err := c.DeploymentEvent.Create().SetDeploymentID(d.ID).SetNodeID(n.ID).SetPosition(int64(seq + 1)).SetSequence(seq + 1).
					SetAttempt(1).SetPhase("pending").SetStatus("success").SetOutcome("accepted").SetSource("user").
					SetState("running").SetIdempotencyKey("k").Exec(ctx)
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		n := makeNode(t, s, "node-a")
		d := makeDeployment(t, s, n.ID, 1, "running")
		for want, violate := range cases {
			err := inTx(t, s, func(c *ent.Client) error { return violate(c, t.Context(), n, d) })
			if got, ok := s.IsUnique(err); !ok || got != want {
				t.Errorf("IsUnique(%v) = %q, %v; want %q", err, got, ok, want)
			}
			if s.IsSerialization(err) || s.IsUnavailable(err) {
				t.Errorf("%v is taken for a failure of the database", err)
			}
		}
		// A second deployment that is over is no conflict.
		makeDeployment(t, s, n.ID, 2, "failed")
		if _, ok := s.IsUnique(sql.ErrNoRows); ok {
			t.Error("no rows is taken for a conflict")
		}
	})
}

func TestChecksRefuseUnknownWords(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		n := makeNode(t, s, "node-a")
		makeDeployment(t, s, n.ID, 1, "queued")
		for _, stmt := range []string{
			`UPDATE deployments SET state = 'sleeping'`,
			`UPDATE deployments SET attempt = 0`,
			`UPDATE nodes SET state = 'sleeping'`,
			`INSERT INTO stream_counter (id, epoch) VALUES (2, 'x')`,
		} {
			_, err := s.Write.ExecContext(t.Context(), stmt)
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), "check constraint") {
				t.Errorf("%s: %v, want a violated check", stmt, err)
			}
		}
	})
}

func TestTimesScanOnBoth(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 40, 5, 123456000, time.UTC)
	zone := time.FixedZone("CET", 3600)
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		n := makeNode(t, s, "node-a")
		var returned time.Time
		var none *time.Time
		err := s.Write.QueryRowContext(t.Context(),
			`UPDATE nodes SET updated_at = $2, last_seen_at = NULL WHERE id = $1 RETURNING updated_at, last_seen_at`, n.ID, at.In(zone)).
			Scan(store.Time(&returned), store.NullTime(&none))
		if err != nil || !returned.Equal(at) || returned.Location() != time.UTC || none != nil {
			t.Errorf("RETURNING gave %v, %v, %v; want %v", returned, none, err, at)
		}
		var plain time.Time
		var null sql.NullTime
		var seen *time.Time
		var latest, fallback time.Time
		err = s.Read.QueryRowContext(t.Context(), `SELECT updated_at, last_seen_at, last_seen_at, max(updated_at), coalesce(last_seen_at, updated_at)
			FROM nodes WHERE updated_at = $1 AND id = $2 GROUP BY updated_at, last_seen_at`, at, n.ID).
			Scan(&plain, &null, &seen, store.Time(&latest), store.Time(&fallback))
		if err != nil || !plain.Equal(at) || null.Valid || seen != nil || !latest.Equal(at) || !fallback.Equal(at) {
			t.Errorf("SELECT gave %v %v %v %v %v, %v", plain, null, seen, latest, fallback, err)
		}
		if name, offset := plain.Zone(); offset != 0 {
			t.Errorf("a column is read in zone %s %d, want UTC", name, offset)
		}
		// The same through ent.
		e, err := s.Ent().Node.Get(t.Context(), n.ID)
		if err != nil || !e.UpdatedAt.Equal(at) || e.LastSeenAt != nil {
			t.Errorf("ent gave %v, %v", e, err)
		}
		// Order and comparison of whole and broken seconds.
		whole := at.Truncate(time.Second)
		for _, c := range []struct {
			from time.Time
			want int
		}{{whole, 1}, {at, 1}, {at.Add(time.Microsecond), 0}, {at.Add(-time.Microsecond), 1}} {
			if got := scalar[int](t, s, `SELECT count(*) FROM nodes WHERE updated_at >= $1`, c.from); got != c.want {
				t.Errorf("%d nodes since %v, want %d", got, c.from, c.want)
			}
		}
		if err := s.Read.QueryRowContext(t.Context(), `SELECT last_seen_at FROM nodes`).Scan(store.Time(&plain)); err == nil {
			t.Error("NULL scanned into a time that must be there")
		}
	})
}

func TestPlaceholders(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		got := scalar[string](t, s, `SELECT CAST($2 AS text) || CAST($1 AS text) || CAST($2 AS text) || CAST($11 AS text)
			WHERE CAST($3 AS text) || CAST($4 AS text) || CAST($5 AS text) || CAST($6 AS text) || CAST($7 AS text) ||
				CAST($8 AS text) || CAST($9 AS text) || CAST($10 AS text) = '345678910'`,
			"a", "b", "3", "4", "5", "6", "7", "8", "9", "10", "k")
		if got != "babk" {
			t.Errorf("placeholders gave %q, want babk", got)
		}
	})
}

func TestReadPoolRefusesToWrite(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		if err := s.Ent().Node.Create().SetName("node-a").SetProvider("rack").Exec(t.Context()); err == nil {
			t.Error("the read pool wrote")
		}
		if n := scalar[int](t, s, `SELECT count(*) FROM nodes`); n != 0 {
			t.Errorf("%d nodes, want 0", n)
		}
	})
}

func TestEntTxBelongsToTheCaller(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		boom := errors.New("boom")
		err := s.InTx(t.Context(), func(tx *sql.Tx) error {
			c := s.EntTx(tx)
			// A transaction that ent begins itself must not end the caller's.
			inner, err := c.Tx(t.Context())
			if err != nil {
				return err
			}
			if err := inner.Node.Create().SetName("node-a").SetProvider("rack").Exec(t.Context()); err != nil {
				return err
			}
			if err := errors.Join(inner.Commit(), c.Close()); err != nil {
				return err
			}
			if n, err := c.Node.Query().Count(t.Context()); err != nil || n != 1 {
				t.Errorf("%d nodes inside the transaction, %v", n, err)
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if n := scalar[int](t, s, `SELECT count(*) FROM nodes`); n != 0 {
			t.Errorf("%d nodes after a rollback, want 0", n)
		}
	})
}

func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		err := s.InTx(t.Context(), func(tx *sql.Tx) error {
			if err := s.EntTx(tx).Node.Create().SetName("node-a").SetProvider("rack").Exec(t.Context()); err != nil {
				return err
			}
			if n := scalar[int](t, s, `SELECT count(*) FROM nodes`); n != 0 {
				t.Errorf("a reader sees %d uncommitted nodes", n)
			}
			return s.Ping(t.Context())
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := scalar[int](t, s, `SELECT count(*) FROM nodes`); n != 1 {
			t.Errorf("a reader sees %d nodes after the commit, want 1", n)
		}
	})
}

func TestSettings(t *testing.T) {
	lite := storetest.SQLite(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		if err := lite.Write.QueryRowContext(t.Context(), `PRAGMA `+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("PRAGMA %s is %q, %v; want %q", pragma, got, err, want)
		}
	}
	if n := lite.Write.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d writing connections on SQLite, want 1", n)
	}
	if lite.ForUpdate() != "" || lite.SkipLocked() != "" || lite.PostgresURL() != "" {
		t.Error("SQLite was given PostgreSQL's clauses")
	}
	pg := storetest.Postgres(t)
	if got := scalar[string](t, pg, `SHOW timezone`); got != "UTC" {
		t.Errorf("time zone of the session is %q, want UTC", got)
	}
	for _, clause := range []string{pg.ForUpdate(), pg.SkipLocked()} {
		exec(t, pg, `SELECT id FROM nodes`+clause)
	}
}

func TestSQLiteFileIsPrivate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "slipway.db")
	if err := openAndMigrate(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file is %v, %v; want 0600", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("after closing: %v, %v; want the file alone, with its log folded in", left, err)
	}
}
