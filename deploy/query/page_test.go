package query

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/ent"
)

// at is a whole second, a fraction, or a microsecond away from others: what
// sorts wrongly as text, if anything does.
func someTime(r *rand.Rand) time.Time {
	base := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	steps := []time.Duration{0, time.Second, 100 * time.Millisecond, 10 * time.Millisecond, time.Microsecond, 999_999 * time.Microsecond, time.Hour}
	return base.Add(steps[r.IntN(len(steps))] * time.Duration(r.IntN(3)))
}

// plant writes nodes and deployments with many equal sort values.
func plant(t *testing.T, st *store.Store, r *rand.Rand, n int) (nodes []*ent.Node, deployments []*ent.Deployment) {
	t.Helper()
	ctx := t.Context()
	states := []string{"", "queued", "running", "succeeded", "failed"}
	profiles := []string{"bx2d-metal-96x384", "mx2d-metal-96x768", "100%_odd"}
	err := st.InTx(ctx, func(tx *sql.Tx) error {
		c := st.EntTx(tx)
		for i := range n {
			create := c.Node.Create().SetName(fmt.Sprintf("n%d-%d", r.IntN(10), i)).SetProvider("rack").SetServerProfile(profiles[r.IntN(3)]).
				SetState(states[r.IntN(len(states))]).SetStale(r.IntN(2) == 0).SetCreatedAt(someTime(r)).SetUpdatedAt(someTime(r)).
				SetMACAddresses([]string{fmt.Sprintf("02:00:00:00:00:%02x", i)}).SetLabels(map[string]string{"rack.example.com/row": fmt.Sprint(r.IntN(3)), `odd "key'`: "x"})
			if r.IntN(2) == 0 {
				create.SetClusterName(fmt.Sprintf("Cluster-%d", r.IntN(3)))
			}
			node, err := create.Save(ctx)
			if err != nil {
				return err
			}
			for k := range r.IntN(3) {
				d, err := c.Deployment.Create().SetNodeID(node.ID).SetNumber(k + 1).SetState("failed").SetPhase("ipxe_boot").SetPhaseStatus("failed").
					SetProvider("rack").SetConfig([]byte(`{}`)).SetRequestedBy("t").SetRequestedByKind("token").SetCreatedAt(someTime(r)).Save(ctx)
				if err != nil {
					return err
				}
				deployments = append(deployments, d)
				node = node.Update().SetCurrentDeploymentID(d.ID).SetDeploymentStatus("failed").SaveX(ctx)
			}
			nodes = append(nodes, node)
		}
		return nil
	})
	require.NoError(t, err)
	return nodes, deployments
}

// walk pages through a list in one direction and gives all ids, checking what
// each page says of itself.
func walk[T any](t *testing.T, limit int, backward bool, read func(Page) (Slice[T], error), id func(T) int64) []int64 {
	t.Helper()
	var out []int64
	p := Page{Limit: limit, Backward: backward}
	for range 1000 {
		s, err := read(p)
		require.NoError(t, err)
		require.LessOrEqual(t, len(s.Items), limit)
		require.Len(t, s.Cursors, len(s.Items))
		ids := make([]int64, len(s.Items))
		for i, x := range s.Items {
			ids[i] = id(x)
		}
		if backward {
			out = slices.Concat(ids, out)
			require.Equal(t, p.Before != "", s.HasNext)
			if !s.HasPrev {
				return out
			}
			p.Before = s.Cursors[0]
			continue
		}
		out = append(out, ids...)
		require.Equal(t, p.After != "", s.HasPrev)
		if !s.HasNext {
			return out
		}
		p.After = s.Cursors[len(s.Cursors)-1]
	}
	t.Fatal("paging does not end")
	return nil
}

// Random data with many equal sort values, every order and direction, random
// page sizes: every row comes once, in order.
func TestPagingGivesEveryRowOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := rand.New(rand.NewPCG(7, 11))
		nodes, deployments := plant(t, st, r, 60)
		f := NewFleet(st.Ent(), NewStatuses(st.Ent(), nil), nil)
		ctx := t.Context()
		nodeID := func(n *ent.Node) int64 { return n.ID }
		for _, by := range []NodeOrder{NodesByName, NodesByCreated, NodesByUpdated} {
			for _, desc := range []bool{false, true} {
				for _, stale := range []*bool{nil, new(true), new(false)} {
					filter := NodeFilter{Stale: stale}
					want := wantIDs(t, ctx, f, nodes, by, desc, stale)
					count, err := f.CountNodes(ctx, filter)
					require.NoError(t, err)
					require.Equal(t, len(want), count)
					for _, backward := range []bool{false, true} {
						limit := 1 + r.IntN(20)
						got := walk(t, limit, backward, func(p Page) (Slice[*ent.Node], error) { return f.Nodes(ctx, filter, by, desc, p) }, nodeID)
						require.Equal(t, want, got, "by %s desc %v stale %v backward %v limit %d", by, desc, deref(stale), backward, limit)
					}
				}
			}
		}
		for _, desc := range []bool{false, true} {
			want := slices.Clone(deployments)
			slices.SortFunc(want, func(a, b *ent.Deployment) int {
				c := a.CreatedAt.Compare(b.CreatedAt)
				if c == 0 {
					c = int(a.ID - b.ID)
				}
				if desc {
					c = -c
				}
				return c
			})
			wanted := make([]int64, len(want))
			for i, d := range want {
				wanted[i] = d.ID
			}
			for _, backward := range []bool{false, true} {
				got := walk(t, 1+r.IntN(9), backward, func(p Page) (Slice[*ent.Deployment], error) { return f.Deployments(ctx, DeploymentFilter{}, desc, p) },
					func(d *ent.Deployment) int64 { return d.ID })
				require.Equal(t, wanted, got)
			}
		}
	})
}

// wantIDs sorts in Go; only names are compared as the database's collation
// has them.
func wantIDs(t *testing.T, ctx context.Context, f *Fleet, nodes []*ent.Node, by NodeOrder, desc bool, stale *bool) []int64 {
	t.Helper()
	want := slices.DeleteFunc(slices.Clone(nodes), func(n *ent.Node) bool { return stale != nil && n.Stale != *stale })
	rank := map[int64]int{}
	if by == NodesByName {
		rows, err := f.read.Node.Query().Order(ent.Asc("name")).All(ctx)
		require.NoError(t, err)
		for i, n := range rows {
			rank[n.ID] = i
		}
	}
	slices.SortFunc(want, func(a, b *ent.Node) int {
		var c int
		switch by {
		case NodesByName:
			c = rank[a.ID] - rank[b.ID]
		case NodesByCreated:
			c = a.CreatedAt.Compare(b.CreatedAt)
		case NodesByUpdated:
			c = a.UpdatedAt.Compare(b.UpdatedAt)
		}
		if c == 0 {
			c = int(a.ID - b.ID)
		}
		if desc {
			c = -c
		}
		return c
	})
	out := make([]int64, len(want))
	for i, n := range want {
		out[i] = n.ID
	}
	return out
}

// Rows that come and go elsewhere move no page.
func TestPagingWhileRowsChange(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := rand.New(rand.NewPCG(1, 2))
		nodes, _ := plant(t, st, r, 20)
		f := NewFleet(st.Ent(), NewStatuses(st.Ent(), nil), nil)
		first, err := f.Nodes(t.Context(), NodeFilter{}, NodesByName, false, Page{Limit: 10})
		require.NoError(t, err)
		plant2 := func(name string) {
			require.NoError(t, st.InTx(t.Context(), func(tx *sql.Tx) error {
				return st.EntTx(tx).Node.Create().SetName(name).SetProvider("rack").Exec(t.Context())
			}))
		}
		plant2("a-before-all")
		plant2("zz-after-all")
		second, err := f.Nodes(t.Context(), NodeFilter{}, NodesByName, false, Page{Limit: 100, After: first.Cursors[9]})
		require.NoError(t, err)
		require.Len(t, second.Items, len(nodes)-10+1)
		require.Equal(t, "zz-after-all", second.Items[len(second.Items)-1].Name)
		// Both bounds at once.
		between, err := f.Nodes(t.Context(), NodeFilter{}, NodesByName, false, Page{Limit: 100, After: first.Cursors[2], Before: first.Cursors[6]})
		require.NoError(t, err)
		require.Len(t, between.Items, 3)
	})
}

func TestNodeFilters(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		nodes, _ := plant(t, st, rand.New(rand.NewPCG(3, 4)), 40)
		f := NewFleet(st.Ent(), NewStatuses(st.Ent(), nil), nil)
		for name, tc := range map[string]struct {
			filter NodeFilter
			match  func(*ent.Node) bool
		}{
			"states":             {NodeFilter{States: []string{"running", "failed"}}, func(n *ent.Node) bool { return n.State == "running" || n.State == "failed" }},
			"text name":          {NodeFilter{Text: " N3-"}, func(n *ent.Node) bool { return strings.Contains(n.Name, "n3-") }},
			"text is no pattern": {NodeFilter{Text: "100%_o"}, func(n *ent.Node) bool { return n.ServerProfile == "100%_odd" }},
			"text pattern":       {NodeFilter{Text: "%_%_%"}, func(*ent.Node) bool { return false }},
			"text cluster":       {NodeFilter{Text: "cluster-1"}, func(n *ent.Node) bool { return deref(n.ClusterName) == "Cluster-1" }},
			"text two words": {NodeFilter{Text: "cluster-1 n3"}, func(n *ent.Node) bool {
				return deref(n.ClusterName) == "Cluster-1" && strings.Contains(n.Name, "n3")
			}},
			"text phase":    {NodeFilter{Text: "IPXE_boot"}, func(n *ent.Node) bool { return n.CurrentDeploymentID != nil }},
			"groups":        {NodeFilter{Groups: []string{GroupQueued, GroupRegistered}}, func(n *ent.Node) bool { return n.State == "queued" || n.State == "" }},
			"no such group": {NodeFilter{Groups: []string{"odd"}}, func(*ent.Node) bool { return false }},
			"stalled":       {NodeFilter{Stalled: new(true)}, func(n *ent.Node) bool { return n.Stale && (n.State == "queued" || n.State == "running") }},
			"not stalled":   {NodeFilter{Stalled: new(false)}, func(n *ent.Node) bool { return !n.Stale || n.State != "queued" && n.State != "running" }},
			"text MAC":      {NodeFilter{Text: "00-00-1F"}, func(n *ent.Node) bool { return n.MACAddresses[0] == "02:00:00:00:00:1f" }},
			"clusters": {NodeFilter{ClusterNames: []string{"Cluster-0", "Cluster-2"}}, func(n *ent.Node) bool {
				return deref(n.ClusterName) == "Cluster-0" || deref(n.ClusterName) == "Cluster-2"
			}},
			"profiles":            {NodeFilter{ServerProfiles: []string{"100%_odd"}}, func(n *ent.Node) bool { return n.ServerProfile == "100%_odd" }},
			"label":               {NodeFilter{Labels: map[string]string{"rack.example.com/row": "1"}}, func(n *ent.Node) bool { return n.Labels["rack.example.com/row"] == "1" }},
			"odd label":           {NodeFilter{Labels: map[string]string{`odd "key'`: "x"}}, func(*ent.Node) bool { return true }},
			"no such label":       {NodeFilter{Labels: map[string]string{"rack": "1"}}, func(*ent.Node) bool { return false }},
			"phase after its end": {NodeFilter{Phases: []string{"failed"}}, func(n *ent.Node) bool { return n.DeploymentStatus == "failed" }},
			"phase of deployment": {NodeFilter{Phases: []string{"ipxe_boot"}}, func(n *ent.Node) bool { return n.CurrentDeploymentID != nil }},
			"two at once":         {NodeFilter{Stale: new(true), States: []string{"queued"}}, func(n *ent.Node) bool { return n.Stale && n.State == "queued" }},
		} {
			var want, got []int64
			for _, n := range nodes {
				if tc.match(n) {
					want = append(want, n.ID)
				}
			}
			s, err := f.Nodes(t.Context(), tc.filter, NodesByName, false, Page{Limit: 100})
			require.NoError(t, err, name)
			for _, n := range s.Items {
				got = append(got, n.ID)
			}
			slices.Sort(got)
			require.Equal(t, want, got, name)
			all := make([]int64, len(nodes))
			for i, n := range nodes {
				all[i] = n.ID
			}
			matching, err := f.NodesMatching(t.Context(), all, tc.filter)
			require.NoError(t, err)
			require.Len(t, matching, len(want), name)
		}
	})
}

func TestCursorsOfOtherListsAreRefused(t *testing.T) {
	good := mark{value: "n:1:x", id: 7}.cursor("node.name")
	m, err := parseMark("node.name", "after", good)
	require.NoError(t, err)
	require.Equal(t, mark{value: "n:1:x", id: 7}, m)
	for name, c := range map[string]string{
		"other list": mark{"1", 7}.cursor("node.created_at"),
		"empty":      "",
		"padding":    good + "=",
		"no base64":  "!!!",
		"version":    base64.RawURLEncoding.EncodeToString([]byte("v2:node.name:7:x")),
		"short":      base64.RawURLEncoding.EncodeToString([]byte("v1:node.name:7")),
		"zero":       base64.RawURLEncoding.EncodeToString([]byte("v1:node.name:07:x")),
		"negative":   base64.RawURLEncoding.EncodeToString([]byte("v1:node.name:-7:x")),
		"huge":       base64.RawURLEncoding.EncodeToString([]byte("v1:node.name:99999999999999999999:x")),
		"long":       strings.Repeat("a", 2000),
	} {
		_, err := parseMark("node.name", "after", c)
		require.True(t, deploy.HasCode(err, deploy.CodeInvalid), name)
	}
	_, _, err = column{list: "l", name: "created_at", decode: timeValue}.seek(Page{Limit: 1, After: mark{"yesterday", 1}.cursor("l")}, false)
	require.True(t, deploy.HasCode(err, deploy.CodeInvalid))
}

func TestMarkRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := mark{value: rapid.String().Draw(t, "value"), id: rapid.Int64Min(0).Draw(t, "id")}
		list := rapid.StringMatching(`[a-z._]{1,20}`).Draw(t, "list")
		c := m.cursor(list)
		if len(c) > 1024 {
			return
		}
		got, err := parseMark(list, "after", c)
		if err != nil || got != m {
			t.Fatalf("%v became %v: %v", m, got, err)
		}
	})
}

func FuzzParseMark(f *testing.F) {
	f.Add(mark{"a", 1}.cursor("node.name"))
	f.Add("")
	f.Add("djE6")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseMark("node.name", "after", s)
		if err != nil {
			if _, ok := deploy.AsError(err); !ok {
				t.Fatalf("not an answer: %v", err)
			}
			return
		}
		if m.cursor("node.name") != s {
			t.Fatalf("%q is accepted but not canonical", s)
		}
	})
}
