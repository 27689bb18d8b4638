package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/ent"
)

// migrateEnv turns the test binary into a process that only migrates.
const migrateEnv = "STORE_TEST_MIGRATE"

func TestMain(m *testing.M) {
	url := os.Getenv(migrateEnv)
	if url == "" {
		os.Exit(m.Run())
	}
	if err := openAndMigrate(url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func openAndMigrate(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	return s.Close()
}

// emptyEach runs fn with the address of an empty database of each kind.
func emptyEach(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, "sqlite:"+filepath.Join(t.TempDir(), "a b#", "é%20.db")) })
	t.Run("postgres", func(t *testing.T) { fn(t, storetest.EmptyPostgresURL(t)) })
}

func open(t *testing.T, url string, opts store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func exec(t *testing.T, s *store.Store, query string, args ...any) {
	t.Helper()
	if _, err := s.Write.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func scalar[T any](t *testing.T, s *store.Store, query string, args ...any) T {
	t.Helper()
	var out T
	if err := s.Read.QueryRowContext(t.Context(), query, args...).Scan(&out); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

// inTx runs fn with an ent client in one transaction.
func inTx(t *testing.T, s *store.Store, fn func(c *ent.Client) error) error {
	t.Helper()
	tx, err := s.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := fn(s.EntTx(tx)); err != nil {
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		return err
	}
	return tx.Commit()
}

func makeNode(t *testing.T, s *store.Store, name string) *ent.Node {
	t.Helper()
	var n *ent.Node
	err := inTx(t, s, func(c *ent.Client) (err error) {
		n, err = c.Node.Create().SetName(name).SetProvider("rack").Save(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func createDeployment(c *ent.Client, node int64, number int, state string) *ent.DeploymentCreate {
	return c.Deployment.Create().SetNodeID(node).SetNumber(number).SetState(state).
		SetPhase("pending").SetPhaseStatus("waiting").SetProvider("rack").SetConfig([]byte(`{"a":1}`)).
		SetRequestedByKind("user").SetRequestedBy("ana")
}

func makeDeployment(t *testing.T, s *store.Store, node int64, number int, state string) *ent.Deployment {
	t.Helper()
	var d *ent.Deployment
	err := inTx(t, s, func(c *ent.Client) (err error) {
		d, err = createDeployment(c, node, number, state).Save(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func makeEvent(t *testing.T, s *store.Store, d *ent.Deployment, sequence int) {
	t.Helper()
	err := inTx(t, s, func(c *ent.Client) error {
		return c.DeploymentEvent.Create().SetDeploymentID(d.ID).SetNodeID(d.NodeID).SetPosition(int64(sequence)).
			SetSequence(sequence).SetAttempt(1).SetPhase("pending").SetStatus("in_progress").SetOutcome("accepted").
			SetSource("orchestrator").SetState("queued").Exec(t.Context())
	})
	if err != nil {
		t.Fatal(err)
	}
}
