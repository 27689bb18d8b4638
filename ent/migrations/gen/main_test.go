package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ariga.io/atlas/sql/migrate"

	"github.com/slipwayhq/slipway/deploy/store/storetest/pgtemp"
	"github.com/slipwayhq/slipway/ent/migrations"
)

// needPostgres skips where the generator cannot run.
func needPostgres(t *testing.T) {
	t.Helper()
	_, err := pgtemp.Bin()
	if errors.Is(err, pgtemp.ErrNotInstalled) && os.Getenv("SLIPWAY_REQUIRE_POSTGRES") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// contents are the files of both dialects below root, by path.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, dir := range []string{"sqlite", "postgres"} {
		list, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			b, err := os.ReadFile(filepath.Join(root, dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out[dir+"/"+e.Name()] = string(b)
		}
	}
	return out
}

// working is a copy of ent/migrations that a test may change.
func working(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range contents(t, "..") {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestNothingIsLeftToGenerate(t *testing.T) {
	needPostgres(t)
	root := working(t)
	if err := run(t.Context(), root, "left_over", false, false); err != nil {
		t.Fatal(err)
	}
	before, after := contents(t, ".."), contents(t, root)
	for name, content := range after {
		if before[name] != content {
			t.Errorf("the model is not migrated to; run go generate ./ent/migrations:\n%s\n%s", name, content)
		}
	}
}

func TestChangesAreFound(t *testing.T) {
	needPostgres(t)
	root := working(t)
	// A folder that lags behind the model: no index for the newest change, a
	// narrower partial index, and a check and a column of yesterday.
	for _, edit := range []struct{ file, old, new string }{
		{"sqlite", "(`deployment_id`) WHERE finished_at IS NULL;", "(`deployment_id`) WHERE finished_at IS NULL AND attempt = 1;"},
		{"sqlite", "(`deadline_at`) WHERE finished_at IS NULL;", "(`deadline_at`) WHERE finished_at IS NULL AND attempt = 1;"},
		{"sqlite", "`boot_id` text NULL, ", ""},
		{"sqlite", ", 'report', 'locator')", ", 'report')"},
		{"postgres", ", 'report'::character varying, 'locator'::character varying]", ", 'report'::character varying]"},
		{"postgres", "'cleaning_up'::character varying])::text[]));", "'cleaned_up'::character varying])::text[]));"},
		{"postgres", `"boot_id" character varying NULL, `, ""},
	} {
		path := filepath.Join(root, edit.file, initialFile)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.ReplaceAll(b, []byte(edit.old), []byte(edit.new)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(t.Context(), root, "", false, true); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), root, "catch_up", false, false); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"sqlite":   {"boot_id", "phase_runs_one_open", "phase_runs_due", "tokens_kind"},
		"postgres": {"boot_id", "deployments_one_active", "tokens_kind"},
	}
	for dir, words := range want {
		made, err := filepath.Glob(filepath.Join(root, dir, "*_catch_up.sql"))
		if err != nil || len(made) != 1 {
			t.Fatalf("%s: new files %v, %v; want one", dir, made, err)
		}
		b, err := os.ReadFile(made[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if !strings.Contains(string(b), w) {
				t.Errorf("%s: the migration says nothing of %s:\n%s", dir, w, b)
			}
		}
		if strings.Contains(string(b), "retention_guard") {
			t.Errorf("%s: the migration touches what is made by hand:\n%s", dir, b)
		}
	}
}

func TestRewriteReplacesGeneratedFilesOnly(t *testing.T) {
	needPostgres(t)
	root := working(t)
	stray := filepath.Join(root, "sqlite", "20991231000000_change.sql")
	if err := os.WriteFile(stray, []byte("SELECT 1;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), root, "", true, false); err != nil {
		t.Fatal(err)
	}
	before, after := contents(t, ".."), contents(t, root)
	for name, content := range before {
		if strings.HasSuffix(name, migrations.GuardsSuffix) && after[name] != content {
			t.Errorf("%s was made by hand and is lost", name)
		}
	}
	if _, ok := after["sqlite/20991231000000_change.sql"]; ok {
		t.Error("a generated file is left beside the rewritten one")
	}
	// What it wrote builds the whole model.
	if err := run(t.Context(), root, "left_over", false, false); err != nil {
		t.Fatal(err)
	}
	if again := contents(t, root); len(again) != len(after) {
		t.Errorf("%d files after generating again, want %d", len(again), len(after))
	}
}

func TestTamperedFolderIsRefused(t *testing.T) {
	needPostgres(t)
	root := working(t)
	path := filepath.Join(root, "sqlite", initialFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, "-- edited\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), root, "x", false, false); !errors.Is(err, migrate.ErrChecksumMismatch) {
		t.Errorf("an edited folder: %v, want %v", err, migrate.ErrChecksumMismatch)
	}
}
