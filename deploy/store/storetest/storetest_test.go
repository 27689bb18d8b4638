package storetest_test

import (
	"context"
	"testing"

	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func epoch(t *testing.T, s *store.Store) string {
	t.Helper()
	var out string
	if err := s.Read.QueryRowContext(context.Background(), `SELECT epoch FROM stream_counter WHERE id = $1`, 1).Scan(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEachGivesEveryTestItsOwnDatabase(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		storetest.Each(t, func(t *testing.T, s *store.Store) {
			e := epoch(t, s)
			if len(e) != 32 || seen[e] {
				t.Errorf("epoch %q, seen before: %v; want 32 new hex digits", e, seen[e])
			}
			seen[e] = true
			pending, err := s.Pending(context.Background())
			if err != nil || len(pending) > 0 {
				t.Errorf("pending migrations %v, %v; want none", pending, err)
			}
		})
	}
}
