package server_test

import (
	"database/sql"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/ent"
)

// selection is testdata/fleetselection.json, which the app's tests read as well:
// what the fleet page shows for a question, and how it asks for the same.
type selection struct {
	Nodes []struct {
		Name, Profile, State, Phase                                          string
		ManagementIP, WorkloadIP, Serial, Cluster, FailurePhase, FailureCode *string
		MACs                                                                 []string
		Labels                                                               map[string]string
		Stale, Late                                                          bool
	}
	Cases []struct {
		Query string
		Names []string
	}
}

// What is exported for a filter are the rows that the app shows for it.
func TestExportIsWhatTheAppShows(t *testing.T) {
	raw, err := os.ReadFile("testdata/fleetselection.json")
	require.NoError(t, err)
	var s selection
	require.NoError(t, json.Unmarshal(raw, &s))
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st)
		require.NoError(t, st.InTx(t.Context(), func(tx *sql.Tx) error { return s.plant(t, st.EntTx(tx)) }))
		for _, c := range s.Cases {
			for _, form := range []string{"ndjson", "csv"} {
				got := r.get("/api/export/nodes." + form + "?" + c.Query)
				require.Equal(t, 200, got.status, got.body)
				names := []string{}
				if form == "csv" {
					for _, row := range table(t, got.body) {
						names = append(names, row["name"])
					}
				} else {
					for _, row := range lines(t, got.body) {
						names = append(names, row["node_name"].(string))
					}
				}
				slices.Sort(names)
				require.Equal(t, c.Names, names, "%s?%s", form, c.Query)
			}
		}
	})
}

func (s selection) plant(t *testing.T, c *ent.Client) error {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, n := range s.Nodes {
		node, err := c.Node.Create().SetName(n.Name).SetProvider("rack").SetServerProfile(n.Profile).SetNillableManagementIP(n.ManagementIP).SetNillableWorkloadIP(n.WorkloadIP).
			SetNillableSerial(n.Serial).SetNillableClusterName(n.Cluster).SetMACAddresses(n.MACs).SetLabels(n.Labels).SetState(n.State).SetStale(n.Stale).SetLate(n.Late).Save(t.Context())
		if err != nil {
			return err
		}
		if n.State == "" {
			continue
		}
		d, err := c.Deployment.Create().SetNodeID(node.ID).SetNumber(1).SetState(n.State).SetPhase(n.Phase).SetPhaseStatus("in_progress").SetNillableFailurePhase(n.FailurePhase).SetNillableFailureCode(n.FailureCode).
			SetProvider("rack").SetConfig([]byte(`{}`)).SetRequestedBy("t").SetRequestedByKind("token").SetCreatedAt(at).Save(t.Context())
		if err != nil {
			return err
		}
		if err := node.Update().SetCurrentDeploymentID(d.ID).SetDeploymentStatus(n.Phase).Exec(t.Context()); err != nil {
			return err
		}
	}
	return nil
}
