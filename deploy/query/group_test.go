package query

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// Every node is in exactly one group, whatever its state, silence, lateness and
// deadline; and in the one that people would say.
func TestEveryNodeIsInOneGroup(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := t.Context()
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		f := NewFleet(st.Ent(), NewStatuses(st.Ent(), nil), func() time.Time { return now })
		states := []string{"", "queued", "running", "succeeded", "failed", "canceling", "canceled", "cleaning_up", "cleaned_up"}
		wants := map[string]string{}
		err := st.InTx(ctx, func(tx *sql.Tx) error {
			c := st.EntTx(tx)
			for i := range len(states) * 8 {
				state, stale, late, overdue := states[i/8], i&1 != 0, i&2 != 0, i&4 != 0
				n, err := c.Node.Create().SetName(fmt.Sprintf("n-%d", i)).SetProvider("rack").SetServerProfile("p").SetState(state).SetStale(stale).SetLate(late).Save(ctx)
				if err != nil {
					return err
				}
				if state == "" {
					wants[n.Name] = GroupRegistered
					continue
				}
				d, err := c.Deployment.Create().SetNodeID(n.ID).SetNumber(1).SetState(state).SetPhase("ipxe_boot").SetPhaseStatus("in_progress").
					SetProvider("rack").SetConfig([]byte(`{}`)).SetRequestedBy("t").SetRequestedByKind("token").SetCreatedAt(now).Save(ctx)
				if err != nil {
					return err
				}
				n.Update().SetCurrentDeploymentID(d.ID).SaveX(ctx)
				deadline := now.Add(time.Minute)
				if overdue {
					deadline = now.Add(-time.Minute)
				}
				c.PhaseRun.Create().SetDeploymentID(d.ID).SetAttempt(1).SetOrdinal(1).SetPhase("ipxe_boot").SetStatus("in_progress").SetEnteredAt(now.Add(-time.Hour)).SetDeadlineAt(deadline).SaveX(ctx)
				wants[n.Name] = groupOf(state, stale || overdue, late)
			}
			return nil
		})
		require.NoError(t, err)
		got := map[string]string{}
		for _, group := range GroupNames() {
			s, err := f.Nodes(ctx, NodeFilter{Groups: []string{group}}, NodesByName, false, Page{Limit: 100})
			require.NoError(t, err)
			for _, n := range s.Items {
				require.NotContains(t, got, n.Name, group)
				got[n.Name] = group
			}
		}
		require.Equal(t, wants, got)
	})
}

func groupOf(state string, stuck, late bool) string {
	switch working := state == "running" || state == "canceling" || state == "cleaning_up"; {
	case working && stuck:
		return GroupStalled
	case state == "running" && late:
		return GroupLate
	case state == "canceling":
		return GroupCanceled
	case state == "cleaning_up" || state == "cleaned_up":
		return GroupCleaned
	case state == "succeeded":
		return GroupDeployed
	default:
		return state
	}
}
