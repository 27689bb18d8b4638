package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"ariga.io/atlas/sql/migrate"
)

//go:embed sqlite postgres
var files embed.FS

// GuardsSuffix ends the name of a hand-written migration: the generator's
// -rewrite keeps such files and drops all others.
const GuardsSuffix = "_guards.sql"

// Migration is one versioned file.
type Migration struct {
	Version  string   // sorts in order of application: 20261122000001
	Name     string   // what follows the version in the file's name
	Checksum string   // the file's cumulative checksum in atlas.sum
	Stmts    []string // its statements, in order
}

// Load reads the migrations of one dialect ("sqlite" or "postgres") in order,
// after verifying the folder against its atlas.sum.
func Load(dialect string) ([]Migration, error) {
	dir, err := memDir(dialect)
	if err != nil {
		return nil, err
	}
	if err := migrate.Validate(dir); err != nil {
		return nil, fmt.Errorf("migrations/%s do not match their atlas.sum: %w", dialect, err)
	}
	list, err := dir.Files()
	if err != nil {
		return nil, fmt.Errorf("reading migrations/%s: %w", dialect, err)
	}
	sum, err := dir.Checksum()
	if err != nil {
		return nil, fmt.Errorf("reading migrations/%s: %w", dialect, err)
	}
	out := make([]Migration, 0, len(list))
	for _, f := range list {
		stmts, err := f.Stmts()
		if err != nil {
			return nil, fmt.Errorf("splitting migrations/%s/%s: %w", dialect, f.Name(), err)
		}
		hash, err := sum.SumByName(f.Name())
		if err != nil {
			return nil, fmt.Errorf("checksum of migrations/%s/%s: %w", dialect, f.Name(), err)
		}
		out = append(out, Migration{Version: f.Version(), Name: f.Desc(), Checksum: hash, Stmts: stmts})
	}
	return out, nil
}

// memDir copies the embedded folder of one dialect into Atlas' directory type.
// It is not shared, so it needs no Close.
func memDir(dialect string) (*migrate.MemDir, error) {
	entries, err := fs.ReadDir(files, dialect)
	if err != nil {
		return nil, fmt.Errorf("no migrations for dialect %q: %w", dialect, err)
	}
	dir := &migrate.MemDir{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".sql") && e.Name() != migrate.HashFileName {
			continue
		}
		b, err := files.ReadFile(dialect + "/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("reading embedded migration: %w", err)
		}
		if err := dir.WriteFile(e.Name(), b); err != nil {
			return nil, fmt.Errorf("reading embedded migration: %w", err)
		}
	}
	return dir, nil
}
