package apply_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// Killed when the files were written and that was not recorded yet, then
// canceled, the run or its deployments: what was written is taken back, the
// journal says so, and no script begins.
func TestCanceledBeforeItWasRecordedAsStored(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		for i, by := range []string{"its run", "its deployments"} {
			t.Run(by, func(t *testing.T) {
				h := open(t, st)
				out := h.apply(node(fmt.Sprintf("a%d", i), 21+2*i), node(fmt.Sprintf("b%d", i), 22+2*i))
				_, err := st.Write.Exec(`UPDATE script_runs SET state = 'storing', stored_at = NULL, started_at = NULL, pid = NULL WHERE id = $1`, out.Run.ID)
				require.NoError(t, err)
				h.host.Set(func(h *H) { delete(h.Runs, out.Run.ID); h.Starts = nil })
				h.again()
				switch by {
				case "its run":
					_, err = h.Cancel(t.Context(), apply.Cancel{RunID: out.Run.ID, Actor: ada})
					require.NoError(t, err)
				default:
					for _, item := range out.Items {
						_, err = h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: item.DeploymentID, Immediate: true, Actor: ada})
						require.NoError(t, err)
					}
				}
				r := h.drive(out.Run.ID)
				require.Equal(t, deploy.RunCanceled, r.State, r.Problem)
				require.Empty(t, h.host.Content())
				require.Empty(t, h.host.Starts)
				for _, item := range out.Items {
					require.False(t, h.kept.held[item.DeploymentID], "the journal is told that the file was taken back")
					_, err := h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: item.DeploymentID, Immediate: true, Actor: ada})
					require.Equal(t, by != "its run", err != nil, "%v", err)
				}
			})
		}
	})
}

// A run that is canceled before anything of it was noted leaves nothing in the
// journal.
func TestCanceledBeforeItWasNoted(t *testing.T) {
	h := open(t, storetest.SQLite(t))
	h.kept.refuse = errLost
	out, err := h.Apply(t.Context(), apply.Request{Body: body(t, node("a", 21)), Actor: ada})
	require.Error(t, err)
	h.kept.refuse = nil
	_, err = h.Cancel(t.Context(), apply.Cancel{RunID: out.Run.ID, Actor: ada})
	require.NoError(t, err)
	require.Equal(t, deploy.RunCanceled, h.drive(out.Run.ID).State)
	require.Empty(t, h.kept.orders)
}
