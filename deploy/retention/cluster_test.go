package retention

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// group writes a cluster of one node, whose cleanup was asked for now unless open.
func (h *house) group(name string, open bool) (cluster int64, d lifecycle.Deployed) {
	h.t.Helper()
	d = h.deploy(name)
	var cleanup *time.Time
	state := "member"
	if !open {
		at := h.now()
		cleanup, state = &at, "released"
	}
	require.NoError(h.t, h.st.Write.QueryRowContext(h.t.Context(), `INSERT INTO clusters (identity, name, type, redundancy_factor, skip_discovery, requested_by_kind, requested_by, request_hash, version, created_at, updated_at, cleanup_by, formation, cleanup_at)
		VALUES ($1, $1, 'single_node', 1, $2, 'token', 'test', '', 1, $3, $3, '', '{"kind":"create"}', $4) RETURNING id`, name, false, h.now(), cleanup).Scan(&cluster))
	for _, q := range []string{`UPDATE deployments SET cluster_id = $1 WHERE id = $2`,
		`INSERT INTO cluster_members (cluster_id, node_id, position, state, note, added_at, updated_at) SELECT $1, node_id, 1, '` + state + `', '', created_at, created_at FROM deployments WHERE id = $2`} {
		_, err := h.st.Write.ExecContext(h.t.Context(), q, cluster, d.DeploymentID)
		require.NoError(h.t, err)
	}
	return cluster, d
}

// release cleans a node up.
func (h *house) release(name string, d lifecycle.Deployed) {
	h.t.Helper()
	_, err := h.Cleanup(h.t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: name, Actor: deploy.System})
	require.NoError(h.t, err)
	_, err = h.Report(h.t.Context(), lifecycle.Report{DeploymentID: d.DeploymentID, Phase: phase.Cleanup, Status: phase.Success, As: phase.ByWorkflow, Source: deploy.SourceOrchestrator})
	require.NoError(h.t, err)
}

func TestClustersThatAreGone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		dir := filepath.Join(t.TempDir(), "archive")
		old, d := h.group("old", false)
		h.end(d)
		h.release("old", d)
		half, failed := h.group("half", false) // its cleanup failed, and somebody has to see to it
		h.end(failed)
		open, _ := h.group("open", true)
		h.pass(keep + time.Hour)
		young, y := h.group("young", false)
		h.end(y)
		h.release("young", y)

		k := h.keeper(into(dir))
		for _, at := range []string{"cluster: rename", "cluster: manifest", "cluster: remove"} {
			k.reached = func(step string) error {
				if step == at {
					return errors.New("killed")
				}
				return nil
			}
			_, err := k.Pass(t.Context())
			require.ErrorContains(t, err, "killed", at)
			require.Equal(t, []int64{old, half, open, young}, h.numbers(`SELECT id FROM clusters ORDER BY id`), "nothing is removed before its file is there")
		}
		k.reached = func(string) error { return nil }
		require.Equal(t, 1, passOnce(t, k).Clusters)
		require.Equal(t, []int64{half, open, young}, h.numbers(`SELECT id FROM clusters ORDER BY id`))
		require.Len(t, h.numbers(`SELECT id FROM cluster_members`), 3)
		files, err := filepath.Glob(filepath.Join(dir, "cluster-*"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		text, err := os.ReadFile(files[0])
		require.NoError(t, err)
		var c Cluster
		require.NoError(t, json.Unmarshal(text, &c))
		require.Equal(t, []any{"old", "released"}, []any{c.Cluster["name"], c.Members[0]["state"]})
		require.JSONEq(t, `{"kind":"create"}`, c.Cluster["formation"].(string))
		manifest, _, err := readManifest(filepath.Join(dir, manifestName))
		require.NoError(t, err)
		require.Equal(t, 2, manifest[filepath.Base(files[0])].Rows)
		require.Zero(t, passOnce(t, k).Clusters)

		h.release("half", failed)
		h.pass(keep + time.Hour)
		require.Equal(t, 2, passOnce(t, h.keeper(func(o *Options) { o.Drop = true })).Clusters)
		require.Equal(t, []int64{open}, h.numbers(`SELECT id FROM clusters ORDER BY id`))
		_, err = h.keeper().Pass(context.Background())
		require.NoError(t, err)
		require.Equal(t, []int64{open}, h.numbers(`SELECT id FROM clusters ORDER BY id`), "without a policy nothing is")
	})
}
