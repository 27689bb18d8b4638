package apply

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// clicks is how many ask at once.
const clicks = 100

// TestHundredAtOnce: exactly one run begins, and everybody else is told whose.
// What they wanted is tried again, until some hundred numbers were fought for.
func TestHundredAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t, "--script-poll-wait=10ms", "--script-poll-attempts=1")
	owner := map[string]string{} // of files
	for round := range 3 {
		h.hold()
		before := len(h.starts())
		var in [clicks]map[string]any
		var previews, outs [clicks]answered
		for i := range in { // everybody wants two nodes of their own
			a, b := fmt.Sprintf("%s.%d", h.net, 20+2*i), fmt.Sprintf("%s.%d", h.net, 21+2*i)
			in[i] = map[string]any{a: card(fmt.Sprintf("r%d-n%d-a", round, i), a), b: card(fmt.Sprintf("r%d-n%d-b", round, i), b)}
			if round > 0 {
				in[i] = map[string]any{a: card(fmt.Sprintf("r%d-n%d", round, i), a)}
			}
		}
		for _, i := range []int{0, clicks / 2, clicks - 1} {
			if owner[fmt.Sprint(i)] == "" {
				previews[i] = h.preview(in[i])
			}
		}
		errs := make([]error, clicks)
		var all sync.WaitGroup
		for i := range clicks {
			if owner[fmt.Sprint(i)] != "" {
				continue // their nodes are there
			}
			all.Go(func() {
				outs[i].Status, errs[i] = h.ask(http.MethodPost, "/store-deployment-configs", in[i], &outs[i])
			})
		}
		all.Wait()
		winner := -1
		for i, out := range outs {
			require.NoError(t, errs[i])
			switch out.Status {
			case 0:
			case http.StatusAccepted:
				require.Equal(t, -1, winner, "only one may win")
				winner = i
			default:
				require.Equal(t, http.StatusConflict, out.Status, "%+v", out)
				require.Equal(t, "run_active", out.Code, out.Error)
				require.False(t, out.Success)
			}
		}
		require.GreaterOrEqual(t, winner, 0)
		won := outs[winner]
		for i, out := range outs {
			if out.Status == http.StatusConflict {
				require.NotNil(t, out.ActiveRun, "%d: %s", i, out.Error)
				require.Equal(t, []any{won.RunID, "tester", len(won.Results)}, []any{out.ActiveRun.ID, out.ActiveRun.RequestedBy, out.ActiveRun.Nodes})
				require.Regexp(t, fmt.Sprintf(`on lab since \d{4}-\S+Z: run %d of tester, for %d node\(s\)`, won.RunID, len(won.Results)), out.Error)
			}
		}
		owner[fmt.Sprint(winner)] = "has won"
		files := h.files()
		run := h.run(won.RunID)
		require.Len(t, run.Documents, len(won.Results))
		for i, d := range run.Documents {
			require.NotContains(t, owner, d.File, "no number is given twice")
			owner[d.File] = d.NodeName
			require.Equal(t, d.Content, files[d.File])
			if previews[winner].Plans != nil {
				require.Equal(t, previews[winner].Plans[i].Content, d.Content)
			}
			require.Equal(t, d.Content, h.preview(in[winner]).Plans[i].Content)
			require.Equal(t, filepath.Base(d.File), won.Results[i].File)
		}
		require.Len(t, files, len(owner)-round-1)
		h.release()
		h.awaitRun(won.RunID)
		require.Len(t, h.starts(), before+1, "one script was started")
		require.Equal(t, 1, h.startsOf(won.RunID))
	}
	h.mustHaveNoMarker()
}

// TestOneRequestManyTimes: with a key of its own a request is one run, however
// often it is sent.
func TestOneRequestManyTimes(t *testing.T) {
	t.Parallel()
	h := open(t)
	m := h.host()
	send := func() (out answered, err error) {
		out.Status, err = h.ask(http.MethodPost, "/store-deployment-configs", request(m), &out, "Idempotency-Key: once")
		return out, err
	}
	outs, errs := make([]answered, 20), make([]error, 20)
	var all sync.WaitGroup
	for i := range outs {
		all.Go(func() { outs[i], errs[i] = send() })
	}
	all.Wait()
	made := 0
	for i, out := range outs {
		require.NoError(t, errs[i])
		switch {
		case out.Status == http.StatusConflict:
			require.Contains(t, []string{"run_active", "conflict"}, out.Code, out.Error)
		case !out.Existing:
			made++
			fallthrough
		default:
			require.Equal(t, http.StatusAccepted, out.Status, "%+v", out)
			require.Equal(t, int64(1), out.RunID)
		}
	}
	require.Equal(t, 1, made)
	h.awaitDeployed(1)
	again, err := send()
	require.NoError(t, err)
	require.Equal(t, []any{http.StatusAccepted, true, int64(1), []int64{1}}, []any{again.Status, again.Existing, again.RunID, again.DeploymentIDs})
	other := answered{}
	other.Status, err = h.ask(http.MethodPost, "/store-deployment-configs", map[string]any{m.ip: card("another", m.ip)}, &other, "Idempotency-Key: once")
	require.NoError(t, err)
	require.Equal(t, "idempotency_conflict", other.Code, "%+v", other)
	require.Len(t, h.starts(), 1)
}
