package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"github.com/slipwayhq/slipway/deploy/store/storetest/pgtemp"
	"github.com/slipwayhq/slipway/ent/migrations"
)

// initialFile sorts before the guards, which need its tables.
const initialFile = "20261122000001_initial.sql"

func main() {
	log.SetFlags(0)
	var (
		root    = flag.String("dir", "", "folder with sqlite/ and postgres/ (found by itself)")
		name    = flag.String("name", "change", "name of the new migration")
		rewrite = flag.Bool("rewrite", false, "replace all generated files by one initial migration")
		hash    = flag.Bool("hash", false, "only renew atlas.sum")
	)
	flag.Parse()
	if err := run(context.Background(), *root, *name, *rewrite, *hash); err != nil {
		log.Fatalf("generating migrations: %v", err)
	}
}

func run(ctx context.Context, root, name string, rewrite, hash bool) error {
	if root == "" {
		var err error
		if root, err = findRoot(); err != nil {
			return err
		}
	}
	if hash {
		return errors.Join(writeSum(filepath.Join(root, "sqlite")), writeSum(filepath.Join(root, "postgres")))
	}
	pg, err := pgtemp.Start("")
	if err != nil {
		return fmt.Errorf("a throw-away PostgreSQL is needed: %w", err)
	}
	defer pg.Stop()
	for _, target := range []struct{ dialect, dir, driver, dsn string }{
		{dialect.SQLite, "sqlite", "sqlite", "file:dev?mode=memory&cache=shared&_foreign_keys=1"},
		{dialect.Postgres, "postgres", "postgres", pg.URL("postgres")},
	} {
		db, err := sql.Open(target.driver, target.dsn)
		if err != nil {
			return fmt.Errorf("opening the %s dev database: %w", target.dialect, err)
		}
		err = generate(ctx, db, target.dialect, filepath.Join(root, target.dir), name, rewrite)
		if err := errors.Join(err, db.Close()); err != nil {
			return fmt.Errorf("%s: %w", target.dir, err)
		}
	}
	return nil
}

// findRoot looks for the folder from the module's root or from itself.
func findRoot() (string, error) {
	for _, dir := range []string{".", "ent/migrations"} {
		if _, err := os.Stat(filepath.Join(dir, "sqlite")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("run it from the module's root or from ent/migrations, or give -dir")
}

func generate(ctx context.Context, db *sql.DB, dialectName, dir, name string, rewrite bool) error {
	if rewrite {
		return initial(ctx, db, dialectName, dir)
	}
	before, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return err
	}
	switch err := diff(ctx, db, dialectName, dir, name); {
	case errors.Is(err, migrate.ErrNoPlan):
		log.Printf("%s: no change", dialectName)
		return nil
	case err != nil:
		return err
	}
	return announce(dialectName, dir, before)
}

// announce names the new file, and what a person must add to it: SQLite
// changes a table by rebuilding it, which loses its triggers.
func announce(dialectName, dir string, before []string) error {
	known := map[string]bool{}
	for _, f := range before {
		known[f] = true
	}
	after, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return err
	}
	for _, f := range after {
		if known[f] {
			continue
		}
		log.Printf("%s: wrote %s; read it, and add backfills by hand (then -hash)", dialectName, f)
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if strings.Contains(string(b), "DROP TABLE `deployment_history`") {
			log.Printf("%s: it rebuilds deployment_history: add a new %s file that makes its triggers again",
				dialectName, migrations.GuardsSuffix)
		}
	}
	return nil
}

// initial replaces every generated file by one that builds the whole model,
// and keeps the guards.
func initial(ctx context.Context, db *sql.DB, dialectName, dir string) error {
	tmp, err := os.MkdirTemp("", "slipway-migrations-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := writeSum(tmp); err != nil {
		return err
	}
	if err := diff(ctx, db, dialectName, tmp, "initial"); err != nil {
		return err
	}
	made, err := filepath.Glob(filepath.Join(tmp, "*.sql"))
	if err != nil {
		return fmt.Errorf("looking for the initial migration: %w", err)
	}
	if len(made) != 1 {
		return fmt.Errorf("wanted one initial migration, got %v", made)
	}
	content, err := os.ReadFile(made[0])
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return err
	}
	for _, f := range old {
		if strings.HasSuffix(f, migrations.GuardsSuffix) {
			continue
		}
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, initialFile), content, 0o644); err != nil {
		return err
	}
	log.Printf("%s: rewrote %s", dialectName, filepath.Join(dir, initialFile))
	return writeSum(dir)
}

func diff(ctx context.Context, db *sql.DB, dialectName, dir, name string) error {
	local, err := migrate.NewLocalDir(dir)
	if err != nil {
		return err
	}
	m, err := schema.NewMigrate(entsql.OpenDB(dialectName, db),
		schema.WithDir(local),
		schema.WithMigrationMode(schema.ModeReplay),
		schema.WithDialect(dialectName),
		schema.WithFormatter(migrate.DefaultFormatter),
		schema.WithDropIndex(true),
		schema.WithDropColumn(true),
		schema.WithErrNoPlan(true),
		schema.WithDiffHook(migrations.DiffHook()),
	)
	if err != nil {
		return err
	}
	return m.NamedDiff(ctx, name, migrations.Tables()...)
}

func writeSum(dir string) error {
	local, err := migrate.NewLocalDir(dir)
	if err != nil {
		return err
	}
	sum, err := local.Checksum()
	if err != nil {
		return err
	}
	return migrate.WriteSumFile(local, sum)
}
