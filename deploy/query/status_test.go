package query_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/stats"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/ent"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func write(t *testing.T, st *store.Store, f func(c *ent.Client) error) {
	t.Helper()
	require.NoError(t, st.InTx(t.Context(), func(tx *sql.Tx) error { return f(st.EntTx(tx)) }))
}

// deployed writes a node whose deployment succeeded, each phase having taken
// its ordinal in minutes plus i.
func deployed(t *testing.T, st *store.Store, i int, profile string) {
	t.Helper()
	ctx := t.Context()
	write(t, st, func(c *ent.Client) error {
		n, err := c.Node.Create().SetName(fmt.Sprintf("old-%s-%d", profile, i)).SetProvider("ibm_vpc").SetServerProfile(profile).
			SetState("succeeded").SetDeploymentStatus("deployed").Save(ctx)
		if err != nil {
			return err
		}
		begun := noon.Add(-24 * time.Hour)
		d, err := deploymentOf(c, n.ID).SetState("succeeded").SetPhase("deployed").SetPhaseStatus("success").
			SetStartedAt(begun).SetFinishedAt(begun.Add(time.Duration(i+1) * time.Hour)).Save(ctx)
		if err != nil {
			return err
		}
		at := begun
		for _, def := range phase.Catalogue("ibm_vpc") {
			took := time.Duration(def.Ordinal)*time.Minute + time.Duration(i)*time.Second
			if def.Terminal {
				at, took = begun.Add(time.Duration(i+1)*time.Hour+time.Duration(len(phase.Catalogue("ibm_vpc"))-1)*time.Minute), -time.Minute
			}
			err := c.PhaseRun.Create().SetDeploymentID(d.ID).SetAttempt(1).SetPhase(def.Key).SetOrdinal(def.Ordinal).SetStatus("success").SetProvider("ibm_vpc").SetServerProfile(profile).
				SetEnteredAt(at).SetFinishedAt(at.Add(took + time.Minute)).SetStoppedMs(time.Minute.Milliseconds()).Exec(ctx)
			if err != nil {
				return err
			}
			at = at.Add(took + time.Minute)
		}
		return nil
	})
}

func deploymentOf(c *ent.Client, nodeID int64) *ent.DeploymentCreate {
	return c.Deployment.Create().SetNodeID(nodeID).SetNumber(1).SetProvider("ibm_vpc").SetConfig([]byte(`{"provider":"ibm_vpc"}`)).
		SetRequestedByKind("user").SetRequestedBy("ada").SetCreatedAt(noon.Add(-time.Hour)).SetUpdatedAt(noon)
}

func TestEstimatesComeFromHistory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := t.Context()
		now := noon
		clock := func() time.Time { return now }
		s := query.NewStatuses(st.Ent(), clock)
		compute := func() {
			_, err := stats.New(st, stats.Options{Now: clock}).Compute(ctx)
			require.NoError(t, err)
		}
		for i := range 4 {
			deployed(t, st, i, "big")
		}
		compute()
		typ, err := s.Typical(ctx, "ibm_vpc", "big")
		require.NoError(t, err)
		_, known := typ.Of(phase.Installation)
		require.False(t, known, "four samples are not enough")
		usual, err := s.Usual(ctx, "ibm_vpc", "big")
		require.NoError(t, err)
		require.Zero(t, usual)

		deployed(t, st, 4, "big")
		deployed(t, st, 5, "small")
		_, err = st.Write.Exec(`DELETE FROM phase_stats`) // what is written here finished yesterday, before the last pass
		require.NoError(t, err)
		compute()
		typ, err = s.Typical(ctx, "ibm_vpc", "big")
		require.NoError(t, err)
		_, known = typ.Of(phase.Installation)
		require.False(t, known, "kept for a while")
		now = now.Add(time.Minute)
		typ, err = s.Typical(ctx, "ibm_vpc", "big")
		require.NoError(t, err)
		took, known := typ.Of(phase.Installation)
		require.True(t, known)
		require.Equal(t, 10*time.Minute+2*time.Second, took, "the median, without the time the clock stood")
		_, known = typ.Of(phase.Deployed)
		require.False(t, known, "a final phase takes no time")
		usual, err = s.Usual(ctx, "ibm_vpc", "big")
		require.NoError(t, err)
		require.Equal(t, 3*time.Hour, usual)
		typ, err = s.Typical(ctx, "rack", "big")
		require.NoError(t, err)
		_, known = typ.Of(phase.Installation)
		require.False(t, known, "another provider's machines are other machines")

		// One on its way: four of ten minutes into installation.
		var nodeID int64
		write(t, st, func(c *ent.Client) error {
			n, err := c.Node.Create().SetName("now").SetProvider("ibm_vpc").SetServerProfile("big").SetManagementIP("10.0.0.1").SetState("running").Save(ctx)
			if err != nil {
				return err
			}
			d, err := deploymentOf(c, n.ID).SetState("running").SetPhase("installation").SetPhaseStatus("in_progress").
				SetSkipPhases([]string{"cluster_formation"}).SetStartedAt(noon.Add(-30 * time.Minute)).Save(ctx)
			if err != nil {
				return err
			}
			nodeID = n.ID
			err = c.PhaseRun.Create().SetDeploymentID(d.ID).SetAttempt(1).SetPhase("installation").SetOrdinal(10).SetStatus("in_progress").
				SetProgress(50).SetEnteredAt(now.Add(-4 * time.Minute)).SetDeadlineAt(now.Add(time.Minute)).SetMessage("half").Exec(ctx)
			if err != nil {
				return err
			}
			return c.Node.UpdateOneID(n.ID).SetCurrentDeploymentID(d.ID).Exec(ctx)
		})
		got, err := s.NodeStatus(ctx, query.MachineHint{IP: "10.0.0.1"})
		require.NoError(t, err)
		require.Equal(t, nodeID, got.NodeID)
		// 6:02 of installation, then 11, 13 and 14 minutes and two seconds each.
		require.InDelta(t, (6+11+13+14)*60+4*2, *got.EstimatedRemainingSeconds, 0.01)
		require.InDelta(t, 31*60, got.ElapsedTimeSeconds, 0.01)
		require.False(t, got.TimedOut)
		require.Equal(t, "half", got.Message)
		require.Greater(t, got.ProgressPercent, 40.0)
		now = now.Add(2 * time.Minute)
		got, err = s.NodeStatus(ctx, query.MachineHint{NodeID: nodeID})
		require.NoError(t, err)
		require.True(t, got.TimedOut, "its deadline has passed")

		sum, err := s.Summary(ctx)
		require.NoError(t, err)
		require.Equal(t, 7, sum.TotalNodes)
		require.Equal(t, map[string]int{"deployed": 6, "pending": 1}, sum.StatusBreakdown)
		require.Equal(t, 1, sum.ActiveTotal)
		require.Len(t, sum.RecentDeployments, 6)
		require.Equal(t, "half", sum.ActiveDeployments[0].Message)
		require.InDelta(t, 3*3600, *sum.DurationP50Seconds, 0.01)
		require.InDelta(t, 6*3600, *sum.DurationP95Seconds, 0.01)
	})
}

func TestMachinesAreFoundAndKnowTheirCluster(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := t.Context()
		m := query.NewMachines(st.Ent())
		var ids []int64
		write(t, st, func(c *ent.Client) error {
			for i := range 2 {
				n, err := c.Node.Create().SetName(fmt.Sprintf("web-0%d", i+1)).SetProvider("ibm_vpc").SetManagementIP(fmt.Sprintf("10.0.0.%d", i+1)).
					SetMAC(fmt.Sprintf("02:00:00:00:00:0%d", i+1)).SetClusterName("alpha").Save(ctx)
				if err != nil {
					return err
				}
				d, err := deploymentOf(c, n.ID).SetState("running").SetPhase("ipxe_boot").SetPhaseStatus("waiting").Save(ctx)
				if err != nil {
					return err
				}
				for gen, addr := range []string{"10.9.9.9", fmt.Sprintf("10.0.1.%d", i+1)} {
					err = c.Resource.Create().SetNodeID(n.ID).SetCreatedBy(d.ID).SetHeldBy(d.ID).SetProvider("ibm_vpc").SetKind("reserved_ip").SetRole("cvm").
						SetName(fmt.Sprintf("cvm-%d-%d", i, gen)).SetState(deploy.ResourcePresent).
						SetDetails([]byte(fmt.Sprintf(`{"address":%q,"cidr":"10.0.0.0/24","gateway":"10.0.0.1","other":1}`, addr))).Exec(ctx)
					if err != nil {
						return err
					}
				}
				ids = append(ids, d.ID)
				if err := c.Node.UpdateOneID(n.ID).SetCurrentDeploymentID(d.ID).Exec(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		one, err := m.Machine(ctx, ids[0])
		require.NoError(t, err)
		require.Equal(t, "web-01", one.NodeName)
		require.Equal(t, query.Address{IP: "10.0.1.1", CIDR: "10.0.0.0/24", Gateway: "10.0.0.1"}, one.Address("cvm"), "the newest holds")
		require.Equal(t, query.Address{}, one.Address("ahv"))
		require.Equal(t, []query.Peer{{"web-01", "10.0.0.1", "10.0.1.1"}, {"web-02", "10.0.0.2", "10.0.1.2"}}, one.Peers)
		for _, hint := range []query.MachineHint{{NodeID: one.NodeID}, {IP: "10.0.0.1"}, {MAC: "02:00:00:00:00:01"}} {
			got, err := m.FindMachine(ctx, hint)
			require.NoError(t, err)
			require.Equal(t, one, got)
		}
		for _, hint := range []query.MachineHint{{NodeID: 99}, {IP: "10.0.0.9"}, {MAC: "02:00:00:00:00:99"}, {}} {
			_, err := m.FindMachine(ctx, hint)
			require.True(t, deploy.HasCode(err, deploy.CodeNotFound), "%+v", hint)
		}
		_, err = m.Machine(ctx, 99)
		require.True(t, deploy.HasCode(err, deploy.CodeNotFound))
	})
}
