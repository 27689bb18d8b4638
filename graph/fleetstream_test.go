package graph_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/graph"
)

// table is what a client of fleetChanges holds.
type table struct {
	rows   map[string]m
	cursor string
	total  any // of the newest numbers
}

func (tb *table) apply(t *testing.T, msg m) {
	t.Helper()
	tb.cursor = msg["cursor"].(string)
	put := func(list any) {
		for _, n := range list.([]any) {
			row := n.(m)
			if old, ok := tb.rows[row["id"].(string)]; !ok || old["version"].(float64) <= row["version"].(float64) {
				tb.rows[row["id"].(string)] = row
			}
		}
	}
	switch msg["__typename"] {
	case "FleetSnapshotPage":
		put(msg["nodes"])
	case "FleetDelta":
		put(msg["changed"])
		for _, id := range msg["removedIds"].([]any) {
			delete(tb.rows, id.(string))
		}
		if n := dig(msg, "summary.total"); n != nil {
			tb.total = n
		}
	case "StreamReset":
		tb.rows = map[string]m{}
	}
}

// A fleet table that is fed by snapshot and deltas, over sockets that drop at
// any moment, ends up as the list query shows the fleet.
func TestFleetTableSurvivesDrops(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := rand.New(rand.NewPCG(9, 9))
		var deps []lifecycle.Deployed
		for i := range 6 {
			deps = append(deps, h.order(fmt.Sprintf("n-%d", i)))
		}
		h.seen(h.report(deps[0], phase.Pending, phase.InProgress, "settled").Position)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 60 {
				_, err := h.writer.Report(context.Background(), lifecycle.Report{DeploymentID: deps[i%6].DeploymentID, Phase: phase.Pending, Status: phase.InProgress,
					Message: fmt.Sprint(i), As: phase.ByOperator, Source: "user"})
				if err != nil {
					t.Error(err)
				}
			}
		}()
		tb := &table{rows: map[string]m{}}
		vars := m{}
		want := func() m {
			rows := m{}
			a := h.ok(operation(t, "Fleet"), m{"first": 100})
			for _, e := range a.get("bareMetalNodes.edges").([]any) {
				rows[dig(e, "node.id").(string)] = dig(e, "node.version")
			}
			return rows
		}
		have := func() m {
			rows := m{}
			for id, row := range tb.rows {
				rows[id] = row["version"]
			}
			return rows
		}
		finished := false
		for !finished {
			s := h.subscribe(operation(t, "Changes"), vars)
			for range 1 + r.IntN(5) {
				msg := s.next()
				tb.apply(t, msg)
				if msg["__typename"] != "FleetSnapshotPage" || msg["last"] == true {
					vars = m{"after": tb.cursor}
				}
				select {
				case <-done:
					finished = fmt.Sprint(have()) == fmt.Sprint(want())
				default:
				}
				if finished {
					break
				}
			}
			s.drop()
		}
		require.Len(t, tb.rows, 6)
		for _, row := range tb.rows {
			require.NotNil(t, dig(row, "currentDeployment.stuckReason"))
		}
	})
}

func TestFleetSnapshotDeltaAndNumbers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		// More than one page of snapshot; half of the machines match the filter.
		var batch []lifecycle.NewDeployment
		for i := range 410 {
			batch = append(batch, lifecycle.NewDeployment{Name: fmt.Sprintf("%s-%d", []string{"even", "odd"}[i%2], i), Spec: specOf()})
		}
		res, err := h.writer.DeployBatch(t.Context(), lifecycle.NewBatch{Deployments: batch, MaxParallel: 1, Actor: (&access.Principal{Kind: access.KindToken, Name: "t"}).Actor()})
		require.NoError(t, err)
		require.Len(t, res.Items, 410)
		d := h.order("even-last")
		// Only a node whose deployment has ended is renamed.
		h.report(res.Items[1].Deployed, phase.Failed, phase.FailedRun, "x")
		h.seen(h.report(d, phase.Failed, phase.FailedRun, "x").Position)

		s := h.subscribe(operation(t, "Changes"), m{"filter": m{"text": "even"}})
		tb := &table{rows: map[string]m{}}
		for pages := 1; ; pages++ {
			msg := s.next()
			require.Equal(t, "FleetSnapshotPage", msg["__typename"])
			tb.apply(t, msg)
			if msg["last"] == true {
				require.Equal(t, 2, pages)
				break
			}
			require.Len(t, msg["nodes"], 200)
		}
		require.Len(t, tb.rows, 206)
		// The numbers follow the snapshot, of the filtered machines.
		for tb.total == nil {
			tb.apply(t, s.next())
		}
		require.EqualValues(t, 206, tb.total)

		// A machine that no longer matches is removed; one that comes to match is added.
		node := h.ok(`{bareMetalNode(by:{name:"even-last"}){id version}}`, nil)
		h.ok(operation(t, "Update"), m{"input": m{"id": node.get("bareMetalNode.id"), "expectedVersion": node.get("bareMetalNode.version"), "name": "gone"}})
		for len(tb.rows) != 205 || fmt.Sprint(tb.total) != "205" {
			tb.apply(t, s.next())
		}
		require.NotContains(t, tb.rows, node.get("bareMetalNode.id"))
		node = h.ok(`{bareMetalNode(by:{name:"odd-1"}){id version}}`, nil)
		h.ok(operation(t, "Update"), m{"input": m{"id": node.get("bareMetalNode.id"), "expectedVersion": node.get("bareMetalNode.version"), "name": "even-too"}})
		for len(tb.rows) != 206 || fmt.Sprint(tb.total) != "206" {
			tb.apply(t, s.next())
		}
		require.Equal(t, "even-too", tb.rows[node.get("bareMetalNode.id").(string)]["name"])

		// A machine that is deleted is told by its tombstone.
		gone := node.get("bareMetalNode.id").(string)
		bury(t, h, strings.TrimPrefix(gone, "node_"))
		for tb.rows[gone] != nil {
			tb.apply(t, s.next())
		}
	})
}

// A replay says that more follows until nothing does, whether its reader is
// alone or shares it, and whether it asks for numbers in between or not.
func TestFleetReplaySaysWhenItIsDone(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		small := build(t, h.st, func(_ *graph.Deps, o *feed.Options) { o.Page = 4 })
		var deps []lifecycle.Deployed
		for i := range 30 {
			deps = append(deps, small.order(fmt.Sprintf("n-%d", i)))
		}
		last := small.report(deps[0], phase.Pending, phase.InProgress, "settled")
		small.seen(last.Position)
		var early int64
		require.NoError(t, h.st.Read.QueryRow(`SELECT MIN(changed_position) FROM nodes`).Scan(&early))
		small.subscribe(operation(t, "Changes"), nil) // there is somebody to share with
		small.members(1, 1)
		const few = `subscription($after:Cursor){fleetChanges(after:$after){__typename ... on FleetDelta{caughtUp removedIds changed{id version}} ... on StreamMessage{cursor}}}`
		for _, doc := range []string{operation(t, "Changes"), few} {
			for _, after := range []int64{0, early} {
				s := small.subscribe(doc, m{"after": small.feed.Cursor(after).String()})
				seen, early := map[string]bool{}, 0
				for caughtUp := false; !caughtUp; {
					msg := s.next()
					if msg["__typename"] == "StreamHeartbeat" {
						caughtUp = true
						continue
					}
					require.Equal(t, "FleetDelta", msg["__typename"])
					for _, n := range msg["changed"].([]any) {
						seen[n.(m)["id"].(string)] = true
					}
					if caughtUp = msg["caughtUp"].(bool); !caughtUp {
						early++
					}
				}
				require.GreaterOrEqual(t, early, 5)
				require.GreaterOrEqual(t, len(seen), 29, "all that changed after the cursor")
				s.drop()
			}
		}
	})
}

// bury deletes a machine the way a later clean-up of the register does it: its
// rows go, a tombstone takes its place in the stream.
func bury(t *testing.T, h *house, id string) {
	t.Helper()
	require.NoError(t, h.st.InTx(t.Context(), func(tx *sql.Tx) error {
		var position int64
		if err := tx.QueryRowContext(t.Context(), `UPDATE stream_counter SET position = position + 1 WHERE id = 1 RETURNING position`).Scan(&position); err != nil {
			return err
		}
		_, err := tx.ExecContext(t.Context(), `INSERT INTO node_tombstones (id, name, changed_position, removed_at) VALUES (`+id+`, 'x', $1, $2)`, position, time.Now().UTC())
		return err
	}))
	h.feed.Wake(0)
}
