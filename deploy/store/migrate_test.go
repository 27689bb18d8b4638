package store_test

import (
	"bytes"
	"errors"
	"os"
	osexec "os/exec"
	"strings"
	"sync"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"

	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/ent/migrations"
)

// drift is the SQL that would make the database what ent's model says.
func drift(t *testing.T, s *store.Store) string {
	t.Helper()
	name := map[store.Dialect]string{store.SQLite: dialect.SQLite, store.PostgreSQL: dialect.Postgres}[s.Dialect]
	var out bytes.Buffer
	m, err := schema.NewMigrate(&schema.WriteDriver{Writer: &out, Driver: entsql.OpenDB(name, s.Write)},
		schema.WithDropIndex(true), schema.WithDropColumn(true), schema.WithDiffHook(migrations.DiffHook()))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Create(t.Context(), migrations.Tables()...); err != nil {
		t.Fatal(err)
	}
	var statements []string
	for _, line := range strings.Split(out.String(), "\n") {
		switch strings.TrimSpace(line) {
		case "", "BEGIN;", "COMMIT;", "PRAGMA foreign_keys = off;", "PRAGMA foreign_keys = on;":
		default:
			statements = append(statements, line)
		}
	}
	return strings.Join(statements, "\n")
}

func TestMigratedSchemaIsTheModel(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		if sql := drift(t, s); sql != "" {
			t.Errorf("a migrated database differs from the model; run go generate ./ent ./ent/migrations:\n%s", sql)
		}
		exec(t, s, `DROP INDEX deployments_one_active`)
		if sql := drift(t, s); !strings.Contains(sql, "deployments_one_active") {
			t.Errorf("a dropped index is not noticed, so this test proves nothing: %q", sql)
		}
	})
}

func TestGuardsAreThere(t *testing.T) {
	want := map[store.Dialect]struct {
		query string
		names string
	}{
		store.SQLite: {`SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'deployment_history' ORDER BY name)`,
			"deployment_history_no_delete deployment_history_no_update"},
		store.PostgreSQL: {`SELECT string_agg(tgname, ' ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'deployment_history'::regclass AND NOT tgisinternal`,
			"deployment_history_no_change deployment_history_no_truncate"},
	}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := want[s.Dialect]
		if got := scalar[string](t, s, w.query); got != w.names {
			t.Errorf("triggers %q, want %q: a migration that rebuilt the table must make them again", got, w.names)
		}
		if n := scalar[int](t, s, `SELECT count(*) FROM river_job`); n != 0 {
			t.Errorf("%d jobs in a new database", n)
		}
	})
}

func TestProcessesMigrateAtOnce(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	emptyEach(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				cmd := osexec.CommandContext(t.Context(), self)
				cmd.Env = append(os.Environ(), migrateEnv+"="+url)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("a migrating process failed: %v\n%s", err, out)
				}
			})
		}
		wg.Wait()
		checkComplete(t, url)
	})
}

func TestGoroutinesMigrateAtOnce(t *testing.T) {
	emptyEach(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if err := openAndMigrate(url); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		checkComplete(t, url)
	})
}

func checkComplete(t *testing.T, url string) {
	t.Helper()
	s := open(t, url, store.Options{})
	if sql := drift(t, s); sql != "" {
		t.Errorf("the schema is not complete: %s", sql)
	}
	list, err := migrations.Load(string(s.Dialect))
	if err != nil {
		t.Fatal(err)
	}
	if n := scalar[int](t, s, `SELECT count(*) FROM schema_migrations`); n != len(list) {
		t.Errorf("%d migrations recorded, want %d", n, len(list))
	}
	if n := scalar[int](t, s, `SELECT count(*) FROM stream_counter WHERE id = 1 AND position = 0 AND length(epoch) = 32`); n != 1 {
		t.Errorf("%d rows in stream_counter, want 1", n)
	}
	before := scalar[string](t, s, `SELECT epoch FROM stream_counter`)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := scalar[string](t, s, `SELECT epoch FROM stream_counter`); after != before {
		t.Errorf("migrating again changed the epoch")
	}
}

func TestPendingAndApplied(t *testing.T) {
	emptyEach(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		pending, err := s.Pending(t.Context())
		if err != nil || len(pending) < 2 || pending[0].Name != "initial" {
			t.Fatalf("pending in an empty database: %v, %v", pending, err)
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		applied, err := s.Applied(t.Context())
		if err != nil || len(applied) != len(pending) || applied[0].AppliedAt.IsZero() {
			t.Fatalf("applied after migrating: %v, %v", applied, err)
		}
		if pending, err = s.Pending(t.Context()); err != nil || len(pending) != 0 {
			t.Fatalf("pending after migrating: %v, %v", pending, err)
		}
	})
}

func TestRefusesOtherHistories(t *testing.T) {
	cases := []struct {
		name, change string
		want         error
	}{
		{"newer", `INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ('29990101000000', 'future', 'x', '2999-01-01 00:00:00+00:00')`, store.ErrNewerDatabase},
		{"changed", `UPDATE schema_migrations SET checksum = 'other' WHERE name = 'initial'`, store.ErrChangedMigration},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				exec(t, s, c.change)
				if err := s.Migrate(t.Context()); !errors.Is(err, c.want) {
					t.Errorf("Migrate: %v, want %v", err, c.want)
				}
				if _, err := s.Pending(t.Context()); !errors.Is(err, c.want) {
					t.Errorf("Pending: %v, want %v", err, c.want)
				}
			})
		})
	}
}

// later is a migration as the generator writes it for SQLite, which rebuilds a
// table that others refer to, and for PostgreSQL.
var later = map[store.Dialect][]string{
	store.SQLite: {
		"PRAGMA foreign_keys = off",
		"CREATE TABLE `new_deployment_batches` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `name` text NOT NULL, `total` integer NOT NULL DEFAULT (0))",
		"INSERT INTO `new_deployment_batches` (`id`, `name`, `total`) SELECT `id`, IFNULL(`name`, 'unnamed'), `total` FROM `deployment_batches`",
		"DROP TABLE `deployment_batches`",
		"ALTER TABLE `new_deployment_batches` RENAME TO `deployment_batches`",
		"PRAGMA foreign_keys = on",
	},
	store.PostgreSQL: {
		`UPDATE "deployment_batches" SET "name" = 'unnamed' WHERE "name" IS NULL`,
		`ALTER TABLE "deployment_batches" ALTER COLUMN "name" SET NOT NULL`,
	},
}

// withBatch fills the database with rows that refer to each other.
func withBatch(t *testing.T, s *store.Store) []migrations.Migration {
	t.Helper()
	n := makeNode(t, s, "node-a")
	d := makeDeployment(t, s, n.ID, 1, "queued")
	makeEvent(t, s, d, 1)
	exec(t, s, `INSERT INTO deployment_batches (id, requested_by_kind, requested_by, created_at) VALUES (7, 'user', 'ana', $1)`, n.CreatedAt)
	exec(t, s, `UPDATE deployments SET batch_id = 7 WHERE id = $1`, d.ID)
	list, err := migrations.Load(string(s.Dialect))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestLaterMigrationKeepsData(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		list := append(withBatch(t, s), migrations.Migration{Version: "29990101000000", Name: "later", Checksum: "x", Stmts: later[s.Dialect]})
		if err := s.MigrateList(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		got := scalar[string](t, s, `SELECT b.name FROM deployments d JOIN deployment_batches b ON b.id = d.batch_id`)
		if got != "unnamed" {
			t.Errorf("batch is named %q after the migration", got)
		}
		if n := scalar[int](t, s, `SELECT count(*) FROM deployment_history`); n != 1 {
			t.Errorf("%d events after the migration, want 1", n)
		}
		// The embedded edition no longer has "later": to it this is the future.
		if err := s.Migrate(t.Context()); !errors.Is(err, store.ErrNewerDatabase) {
			t.Errorf("the older program migrated: %v", err)
		}
	})
}

func TestFailedMigrationLeavesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		list := withBatch(t, s)
		stmts := []string{`CREATE TABLE half_done (id integer)`, `DELETE FROM deployment_batches`, `SELECT * FROM no_such_table`}
		if s.Dialect == store.SQLite {
			// With foreign keys off only the check at the end notices that the
			// deployment's batch is gone.
			stmts = stmts[:2]
		}
		err := s.MigrateList(t.Context(), append(list, migrations.Migration{Version: "29990101000000", Name: "bad", Stmts: stmts}))
		if err == nil || !strings.Contains(err.Error(), "29990101000000_bad") {
			t.Fatalf("a failing migration: %v", err)
		}
		if n := scalar[int](t, s, `SELECT count(*) FROM deployments d JOIN deployment_batches b ON b.id = d.batch_id`); n != 1 {
			t.Errorf("data of a failed migration was kept")
		}
		if _, err := s.Read.ExecContext(t.Context(), `SELECT * FROM half_done`); err == nil {
			t.Errorf("a table of a failed migration was kept")
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Errorf("migrating after the failure: %v", err)
		}
	})
}
