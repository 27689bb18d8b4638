package apply

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store"
)

// TestOnPostgres is what must hold of a run, on the other database: one of many
// requests wins, hosts are proven back, and neither a kill nor a cancel leaves
// anything half done. One server does it all.
func TestOnPostgres(t *testing.T) {
	t.Parallel()
	h := openOnPostgres(t)
	m := h.host()
	h.hold()
	const clicks = 20
	outs, errs := make([]answered, clicks), make([]error, clicks)
	var all sync.WaitGroup
	for i := range outs {
		all.Go(func() {
			outs[i].Status, errs[i] = h.ask(http.MethodPost, "/store-deployment-configs", request(m), &outs[i])
		})
	}
	all.Wait()
	winner := -1
	for i, out := range outs {
		require.NoError(t, errs[i])
		if out.Status == http.StatusAccepted {
			require.Equal(t, -1, winner, "only one may win")
			winner = i
			continue
		}
		require.Equal(t, []any{http.StatusConflict, "run_active"}, []any{out.Status, out.Code}, out.Error)
	}
	require.GreaterOrEqual(t, winner, 0)
	out := outs[winner]
	h.awaitScript(out.deployment(t, m))
	h.killAndGoOn(h.release)
	h.mustBeProven(out)
	require.Equal(t, wholeWay, phases(h.history(out.node(t, m), out.deployment(t, m))))

	m.then(func() error { m.newHostKey(); return m.boot() })
	out = h.apply(m)
	id := out.deployment(t, m)
	h.awaitFailed(id, "wrong_host")
	require.Contains(t, h.cli("script", "host-key", m.name), m.fingerprint())
	require.Contains(t, h.cli("script", "host-key", m.name, "--accept="+m.fingerprint()), "is known by "+m.fingerprint()+" now")
	h.retry(id, "")
	h.awaitDeployed(id)
	h.mustTakeBackWhatWasNotRecorded(m)
}

// TestCanceledBeforeItWasRecordedAsStored: killed when the files are written and
// that is not recorded yet, then canceled.
func TestCanceledBeforeItWasRecordedAsStored(t *testing.T) {
	t.Parallel()
	h := open(t)
	m := h.host()
	h.mustTakeBackWhatWasNotRecorded(m)
	h.awaitDeployed(h.apply(m).deployment(t, m))
}

// mustTakeBackWhatWasNotRecorded kills the server between the writing of a run's
// files and the row that says so, starts it again and cancels the run: the files
// are as before, nothing runs, and the journal has no file that is not there.
func (h *house) mustTakeBackWhatWasNotRecorded(m *machine) {
	h.t.Helper()
	before, starts := h.files(), len(h.starts())
	h.killAndGoOn(func() { h.refuseToRecord(true) })
	in := document(m)
	in["disk"] = []string{"0x5000000000000042"}
	out := h.post(map[string]any{m.ip: in})
	require.Equal(h.t, http.StatusServiceUnavailable, out.Status, "%+v", out)
	require.FileExists(h.t, h.marker())
	require.NotEqual(h.t, before, h.files(), "they are written")
	var runs struct{ Runs []scriptRun }
	require.Equal(h.t, http.StatusOK, h.call(http.MethodGet, "/api/script/runs?limit=1", nil, &runs))
	require.Equal(h.t, "storing", runs.Runs[0].State)
	run := h.run(runs.Runs[0].ID)

	h.killAndGoOn(nil)
	require.Equal(h.t, "storing", h.run(run.ID).State)
	require.Equal(h.t, http.StatusAccepted, h.call(http.MethodPost, fmt.Sprintf("/api/script/runs/%d/cancel", run.ID), map[string]string{"reason": "enough"}, nil))
	require.Equal(h.t, "canceled", h.awaitRun(run.ID).State)
	h.await(run.Documents[0].DeploymentID, "canceled", func(s standing) bool { return s.State == "CANCELED" })
	require.Equal(h.t, before, h.files())
	h.mustHaveNoMarker()
	require.Len(h.t, h.starts(), starts)
	var held struct {
		Resources []struct {
			CloudID *string `json:"cloud_id"`
			HeldBy  int64   `json:"held_by"`
		}
	}
	require.Equal(h.t, http.StatusOK, h.call(http.MethodGet, "/api/resources", nil, &held))
	found := 0
	for _, r := range held.Resources {
		if r.HeldBy == run.Documents[0].DeploymentID {
			found++
			if len(before) == 0 {
				require.Nil(h.t, r.CloudID, "there is no such file")
			}
		}
	}
	require.Equal(h.t, 1, found)
	h.killAndGoOn(func() { h.refuseToRecord(false) })
}

// refuseToRecord has the database refuse, or no longer refuse, that the files of
// a run are stored. The server must be away.
func (h *house) refuseToRecord(refuse bool) {
	h.t.Helper()
	url := h.database
	do, undo := []string{
		`CREATE FUNCTION not_now() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$`,
		`CREATE TRIGGER not_now BEFORE UPDATE ON script_runs FOR EACH ROW WHEN (NEW.stored_at IS NOT NULL AND OLD.stored_at IS NULL) EXECUTE FUNCTION not_now()`,
	}, []string{`DROP TRIGGER not_now ON script_runs`, `DROP FUNCTION not_now()`}
	if url == "" {
		url = "sqlite:" + filepath.Join(h.data, "slipway.db")
		do = []string{`CREATE TRIGGER not_now BEFORE UPDATE ON script_runs WHEN NEW.stored_at IS NOT NULL AND OLD.stored_at IS NULL BEGIN SELECT RAISE(ABORT, 'not now'); END`}
		undo = []string{`DROP TRIGGER not_now`}
	}
	st, err := store.Open(h.ctx, url, store.Options{})
	require.NoError(h.t, err)
	if !refuse {
		do = undo
	}
	for _, stmt := range do {
		_, err := st.Write.ExecContext(h.ctx, stmt)
		require.NoError(h.t, err)
	}
	require.NoError(h.t, st.Close())
}

// cli runs a command of the client to its end and gives its output.
func (h *house) cli(args ...string) string {
	h.t.Helper()
	return must(h.t, append(args, "--server=http://"+h.addr, "--token="+h.token)...)
}
