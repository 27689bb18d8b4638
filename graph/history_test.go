package graph_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/phase"
)

const recentDoc = `query($first: Int, $before: Cursor, $filter: DeploymentEventFilter) {
	recentEvents(first: $first, before: $before, filter: $filter) {
		nodes { id cursor outcome message bareMetalNode { id } }
		pageInfo { hasNextPage hasPreviousPage endCursor }
	}
}`

func eventIDs(events any) []string {
	var out []string
	for _, e := range events.([]any) {
		out = append(out, e.(map[string]any)["id"].(string))
	}
	return out
}

// The history of the fleet is the stream read backwards: page after page it has
// everything once, whatever is written meanwhile.
func TestRecentEventsAreTheStreamBackwards(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a, b := h.order("a"), h.order("b")
		h.report(a, phase.Pending, phase.InProgress, "one")
		h.report(b, phase.Pending, phase.InProgress, "two")
		h.report(a, phase.Pending, phase.Success, "three")
		h.seen(h.report(b, phase.Pending, phase.Success, "four").Position)

		forward := eventIDs(h.ok(`{deploymentEvents(first:200,filter:{includeRefused:true}){nodes{id}}}`, nil).get("deploymentEvents.nodes"))
		slices.Reverse(forward)
		require.NotEmpty(t, forward)

		var got []string
		vars := m{"first": 2, "filter": m{"includeRefused": true}}
		for page := 0; ; page++ {
			answer := h.ok(recentDoc, vars)
			got = append(got, eventIDs(answer.get("recentEvents.nodes"))...)
			require.Equal(t, page > 0, answer.get("recentEvents.pageInfo.hasPreviousPage"))
			// What comes in the middle belongs to the front, and moves no page.
			h.seen(h.report(a, phase.ServerRequested, phase.InProgress, fmt.Sprint("later ", page)).Position)
			if answer.get("recentEvents.pageInfo.hasNextPage") == false {
				break
			}
			vars["before"] = answer.get("recentEvents.pageInfo.endCursor")
		}
		require.Equal(t, forward, got)

		of := fmt.Sprintf("node_%d", b.NodeID)
		filtered := h.ok(recentDoc, m{"first": 50, "filter": m{"nodeIds": []string{of}, "statuses": []string{"SUCCEEDED"}}})
		nodes := filtered.get("recentEvents.nodes").([]any)
		require.Len(t, nodes, 1)
		require.Equal(t, "four", nodes[0].(map[string]any)["message"])
		require.Equal(t, false, filtered.get("recentEvents.pageInfo.hasNextPage"))
	})
}

func TestRecentEventsRefuseOtherCursors(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, vars := range []m{{"before": "?"}, {"first": 0}, {"first": 201}} {
			answer := h.as("viewer", recentDoc, vars)
			require.Len(t, answer.Errors, 1, "%v", vars)
			require.Contains(t, []any{"INVALID", "OUT_OF_RANGE"}, answer.Errors[0].Extensions["code"], "%v", vars)
		}
	})
}
