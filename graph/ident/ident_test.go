package ident_test

import (
	"math"
	"testing"

	"github.com/slipwayhq/slipway/graph/ident"
)

func TestParse(t *testing.T) {
	for _, k := range []ident.Kind{ident.Node, ident.Deployment, ident.Event, ident.Batch, ident.Run, ident.Bulk, ident.Cluster, ident.Token, ident.Session} {
		for _, id := range []int64{1, 12, math.MaxInt64} {
			got, n, ok := ident.Parse(ident.Format(k, id))
			if !ok || got != k || n != id {
				t.Errorf("%s %d became %s %d %v", k, id, got, n, ok)
			}
		}
	}
	for _, bad := range []string{"", "node", "node_", "node_0", "node_-1", "node_01", "node_1 ", "node_1_2", "NODE_1", "res_1", "_1", "1", "node_9223372036854775808", "node_٣"} {
		if _, _, ok := ident.Parse(bad); ok {
			t.Errorf("%q is accepted", bad)
		}
	}
	if _, ok := ident.Of(ident.Node, "dep_1"); ok {
		t.Error("an id of another kind is accepted")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("node_1")
	f.Add("evt_007")
	f.Fuzz(func(t *testing.T, s string) {
		if k, id, ok := ident.Parse(s); ok && ident.Format(k, id) != s {
			t.Fatalf("%q is accepted but not canonical", s)
		}
	})
}
