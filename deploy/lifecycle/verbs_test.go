package lifecycle_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/journal"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// order gives the node of d a server and an address, as its order would.
func (h *house) order(d lifecycle.Deployed, ip string) []deploy.Resource {
	h.t.Helper()
	h.bring(d, phase.MonitoringStart)
	j := journal.New(h.st, h.clock.now)
	for _, kind := range []string{"reserved_ip", "server"} {
		r, err := j.Intend(h.t.Context(), deploy.Intent{NodeID: d.NodeID, DeploymentID: d.DeploymentID, Provider: deploy.ProviderIBMVPC, Kind: kind, Role: "management", Name: fmt.Sprintf("d%d-%s", d.DeploymentID, kind)})
		require.NoError(h.t, err)
		require.NoError(h.t, j.Settle(h.t.Context(), r.ID, deploy.ResourcePresent, "id-"+ip+kind, nil, ""))
	}
	require.NoError(h.t, h.Learn(h.t.Context(), lifecycle.NodeFacts{NodeID: d.NodeID, ServerID: "id-" + ip + "server", ManagementIP: ip, AHVIP: "10.0.0.8", CVMIP: "10.0.0.9", MACs: []string{"02:00:00:00:00:0" + ip[len(ip)-1:]}}))
	held, err := j.Held(h.t.Context(), d.NodeID)
	require.NoError(h.t, err)
	require.Len(h.t, held, 2)
	return held
}

func (h *house) fail(d lifecycle.Deployed) {
	h.t.Helper()
	h.say(as(phase.ByWorkflow, d, phase.Failed, phase.FailedRun))
}

func TestReinitializeTakesWhatTheNodeHolds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.order(d, "10.0.0.5")
		other := h.deploy("n2")
		h.order(other, "10.0.0.6")
		h.fail(d)
		again, err := h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, ConfirmName: "n1", IdempotencyKey: "k", Actor: tester})
		require.NoError(t, err)
		require.Equal(t, []any{d.NodeID, 2, false}, []any{again.NodeID, again.Number, again.Existing})
		j := journal.New(st, h.clock.now)
		held, err := j.Held(t.Context(), d.NodeID)
		require.NoError(t, err)
		for _, r := range held {
			require.Equal(t, []int64{d.DeploymentID, again.DeploymentID}, []int64{r.CreatedBy, r.HeldBy})
		}
		others, err := j.Held(t.Context(), other.NodeID)
		require.NoError(t, err)
		for _, r := range others {
			require.Equal(t, other.DeploymentID, r.HeldBy, "another node's things stay where they are")
		}
		var kind string
		require.NoError(t, st.Read.QueryRow(`SELECT kind FROM deployments WHERE id = $1`, again.DeploymentID).Scan(&kind))
		require.Equal(t, deploy.KindReinitialize, kind)

		t.Run("the old deployment can release nothing", func(t *testing.T) {
			before := dump(t, st)
			_, err := h.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: "n1", Actor: tester})
			refused(t, err, deploy.CodeWrongState)
			_, err = h.Retry(t.Context(), lifecycle.Retry{DeploymentID: d.DeploymentID, Actor: tester})
			refused(t, err, deploy.CodeWrongState)
			require.Equal(t, before, dump(t, st))
		})
		t.Run("the same request again", func(t *testing.T) {
			same, err := h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, ConfirmName: "n1", IdempotencyKey: "k", Actor: tester})
			require.NoError(t, err)
			require.True(t, same.Existing)
			require.Equal(t, again.DeploymentID, same.DeploymentID)
		})
		t.Run("while it is under way", func(t *testing.T) {
			_, err := h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, Actor: tester})
			refused(t, err, deploy.CodeRunActive)
		})
	})
}

func TestCleanupAndReinitializeAtOnce(t *testing.T) {
	// Whichever comes first wins whole; the other is refused.
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		for _, name := range []string{"n1", "n2", "n3", "n4"} {
			d := h.deploy(name)
			h.order(d, "10.0.0."+name[1:])
			h.fail(d)
			var errs [2]error
			var both sync.WaitGroup
			both.Go(func() {
				_, errs[0] = h.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: name, Actor: tester})
			})
			both.Go(func() {
				_, errs[1] = h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, Actor: tester})
			})
			both.Wait()
			require.NotEqual(t, errs[0] == nil, errs[1] == nil, "%v and %v", errs[0], errs[1])
			onlyOneActive(t, st)
		}
	})
}

func TestCleanupForgetsTheMachine(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.order(d, "10.0.0.5")
		h.fail(d)
		for _, wrong := range []string{"", "n", "n11", "N1", "%"} {
			before := dump(t, st)
			_, err := h.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: wrong, Actor: tester})
			e := refused(t, err, deploy.CodeConfirmationMismatch)
			require.Equal(t, "confirm", e.Fields[0].Field)
			require.Equal(t, before, dump(t, st))
		}
		h.cleanUp(d, "n1")
		s := sound(t, st, d.DeploymentID)
		require.Equal(t, []any{phase.CleanedUp, phase.CleanupCompleted}, []any{s.state, s.nodeStatus})
		var held int
		require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM nodes WHERE id = $1 AND (management_ip IS NOT NULL OR ahv_ip IS NOT NULL OR cvm_ip IS NOT NULL OR mac IS NOT NULL OR server_id IS NOT NULL)`, d.NodeID).Scan(&held))
		require.Zero(t, held)
		// The address is free again, and so is the name.
		other := h.deploy("n2")
		h.order(other, "10.0.0.5")
		again := h.deploy("n1")
		require.Equal(t, []any{d.NodeID, 2}, []any{again.NodeID, again.Number})
	})
}

func TestAFailedCleanupIsAskedForAgain(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	d := h.deploy("n1")
	h.order(d, "10.0.0.5")
	h.fail(d)
	_, err := h.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: "n1", Actor: tester})
	require.NoError(t, err)
	h.say(as(phase.ByWorkflow, d, phase.Cleanup, phase.FailedRun))
	require.Equal(t, phase.StateFail, h.state(d).state)
	_, err = h.Retry(t.Context(), lifecycle.Retry{DeploymentID: d.DeploymentID, Actor: tester})
	refused(t, err, deploy.CodeWrongState)
	_, err = h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, Actor: tester})
	refused(t, err, deploy.CodeWrongState)
	h.cleanUp(d, "n1")
	require.Equal(t, phase.CleanedUp, sound(t, st, d.DeploymentID).state)
}

func TestProtection(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.order(d, "10.0.0.5")
		h.fail(d)
		require.NoError(t, h.SetProtection(t.Context(), lifecycle.Protection{NodeID: d.NodeID, Protected: true, Note: "holds the golden data", Actor: tester}))
		require.Contains(t, h.last(d).message, "golden data")
		before := dump(t, st)
		_, err := h.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: "n1", Actor: tester})
		require.Contains(t, refused(t, err, deploy.CodeWrongState).Message, "golden data")
		_, err = h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, Actor: tester})
		refused(t, err, deploy.CodeWrongState)
		require.NoError(t, h.SetProtection(t.Context(), lifecycle.Protection{NodeID: d.NodeID, Protected: true, Note: "holds the golden data", Actor: tester}))
		require.Equal(t, before, dump(t, st), "what is so already changes nothing")
		err = h.SetProtection(t.Context(), lifecycle.Protection{NodeID: d.NodeID, ExpectedVersion: 1, Actor: tester})
		refused(t, err, deploy.CodeVersionMismatch)
		require.NoError(t, h.SetProtection(t.Context(), lifecycle.Protection{NodeID: d.NodeID, Actor: tester}))
		h.cleanUp(d, "n1")
		refused(t, h.SetProtection(t.Context(), lifecycle.Protection{NodeID: 999, Protected: true, Actor: tester}), deploy.CodeNotFound)
	})
}

func TestAdopt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		in := lifecycle.Adoption{Name: "old-1", Provider: deploy.ProviderIBMVPC, Labels: map[string]string{"from": "before"}, Actor: tester, Adopted: deploy.Adopted{
			Machine: deploy.Machine{ServerID: "srv-1", ServerStatus: "running", ManagementIP: "10.0.0.5", MACs: []string{"02:00:00:00:00:05"}}, Name: "their-name", Profile: "bx2d-metal-96x384", Zone: "us-south-1",
			Resources: []deploy.AdoptedResource{{Kind: "server", Name: "their-name", CloudID: "srv-1"}, {Kind: "vni", Role: "management", Name: "their-vni", CloudID: "vni-1", Details: []byte(`{"subnet":"s"}`)}},
		}}
		d, err := h.Adopt(t.Context(), in)
		require.NoError(t, err)
		s := sound(t, st, d.DeploymentID)
		require.Equal(t, []any{phase.Succeeded, phase.Deployed, phase.Deployed}, []any{s.state, s.phase, s.nodeStatus})
		held, err := journal.New(st, h.clock.now).Held(t.Context(), d.NodeID)
		require.NoError(t, err)
		require.Len(t, held, 2)
		require.Equal(t, []string{deploy.ResourcePresent, "srv-1"}, []string{held[0].State, held[0].CloudID})
		_, err = h.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: "old-1", Actor: tester})
		refused(t, err, deploy.CodeWrongState)

		before := dump(t, st)
		in.Name, in.Adopted.ManagementIP, in.Adopted.MACs = "old-2", "10.0.0.6", []string{"02:00:00:00:00:06"}
		_, err = h.Adopt(t.Context(), in)
		require.Contains(t, refused(t, err, deploy.CodeAlreadyExists).Message, "old-1")
		in.Adopted.ServerID = ""
		_, err = h.Adopt(t.Context(), in)
		refused(t, err, deploy.CodeRequired)
		require.Equal(t, before, dump(t, st))

		require.NoError(t, h.SetProtection(t.Context(), lifecycle.Protection{NodeID: d.NodeID, Actor: tester}))
		again, err := h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, Actor: tester})
		require.NoError(t, err)
		require.Equal(t, 2, again.Number)
	})
}

func TestRetryOpensAnotherAttempt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		var entered []lifecycle.Entered
		h := open(t, st, func(o *lifecycle.Options) {
			o.OnEnter = func(_ context.Context, _ *sql.Tx, e lifecycle.Entered) error {
				entered = append(entered, e)
				return nil
			}
		})
		d := h.deploy("n1")
		h.bring(d, phase.Installation)
		_, err := h.Retry(t.Context(), lifecycle.Retry{DeploymentID: d.DeploymentID, Actor: tester})
		refused(t, err, deploy.CodeWrongState)
		h.say(as(phase.ByMachine, d, phase.Installation, phase.FailedRun))
		before := len(entered)
		r, err := h.Retry(t.Context(), lifecycle.Retry{DeploymentID: d.DeploymentID, Actor: tester})
		require.NoError(t, err)
		require.Equal(t, []any{2, phase.Pending, phase.Waiting, phase.Queued}, []any{r.Attempt, r.Phase, r.PhaseStatus, r.State}, "it waits for a slot")
		require.Len(t, entered, before+1, "its step is enqueued in the same transaction")
		sound(t, st, d.DeploymentID)
		_, err = h.Retry(t.Context(), lifecycle.Retry{DeploymentID: d.DeploymentID, Actor: tester})
		refused(t, err, deploy.CodeWrongState)
		// The machine of the first attempt has nothing more to say.
		old := as(phase.ByMachine, d, phase.FoundationStart, phase.InProgress)
		old.TokenAttempt = 1
		_, err = h.Report(t.Context(), old)
		refused(t, err, deploy.CodeWrongState)
		require.Equal(t, phase.BootWait, h.boot(d).Decision, "a machine that comes now is told to wait")
		h.say(as(phase.ByWorkflow, d, phase.Pending, phase.Success))
		require.Equal(t, []any{phase.MonitoringStart, string(phase.Waiting)}, []any{h.state(d).phase, h.state(d).status}, "the order is not made again")
		sound(t, st, d.DeploymentID)
		require.Equal(t, phase.BootInstall, h.boot(d).Decision)
		require.Equal(t, phase.IPXEBoot, h.state(d).phase)
		var kept int
		require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM phase_runs WHERE deployment_id = $1 AND attempt = 1 AND status = 'success'`, d.DeploymentID).Scan(&kept))
		require.Equal(t, 9, kept, "what was done before is kept")
	})
}

func TestCancelEndsWithThePhase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.bring(d, phase.NetworkConfig)
		h.say(as(phase.ByMachine, d, phase.NetworkConfig, phase.InProgress))
		r, err := h.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: d.DeploymentID, Reason: "wrong rack", Actor: tester})
		require.NoError(t, err)
		require.Equal(t, phase.Canceling, r.State)
		require.Contains(t, h.last(d).message, "wrong rack")
		again, err := h.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: d.DeploymentID, Actor: tester})
		require.NoError(t, err)
		require.True(t, again.Duplicate)
		h.say(as(phase.ByMachine, d, phase.NetworkConfig, phase.Success))
		s := sound(t, st, d.DeploymentID)
		require.Equal(t, []any{phase.StateStop, phase.Canceled}, []any{s.state, s.nodeStatus})
		require.Equal(t, phase.BootStop, h.boot(d).Decision)
		_, err = h.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: d.DeploymentID, Immediate: true, Actor: tester})
		refused(t, err, deploy.CodeDeploymentEnded)

		now := h.deploy("n2")
		h.bring(now, phase.NetworkConfig)
		h.say(as(phase.ByMachine, now, phase.NetworkConfig, phase.InProgress))
		r, err = h.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: now.DeploymentID, Immediate: true, Actor: tester})
		require.NoError(t, err)
		require.Equal(t, []any{phase.StateStop, phase.CanceledBy}, []any{r.State, r.PhaseStatus})
		sound(t, st, now.DeploymentID)
	})
}

func TestARetryThatInstallsIsRefusedWhileProtected(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	d := h.deploy("n1")
	h.order(d, "10.0.0.5")
	h.fail(d)
	require.NoError(t, h.SetProtection(t.Context(), lifecycle.Protection{NodeID: d.NodeID, Protected: true, Actor: tester}))
	_, err := h.Retry(t.Context(), lifecycle.Retry{DeploymentID: d.DeploymentID, Actor: tester})
	refused(t, err, deploy.CodeWrongState)
	require.NoError(t, h.SetProtection(t.Context(), lifecycle.Protection{NodeID: d.NodeID, Actor: tester}))
	_, err = h.Retry(t.Context(), lifecycle.Retry{DeploymentID: d.DeploymentID, Actor: tester})
	require.NoError(t, err)
}

func TestReinitializeNeedsOneCertainServer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.order(d, "10.0.0.5")
		h.fail(d)
		for _, state := range []string{deploy.ResourceDoubtful, deploy.ResourceReleasing} {
			_, err := st.Write.Exec(`INSERT INTO resources (node_id, created_by, held_by, provider, kind, role, name, generation, state, last_error, created_at, updated_at)
				VALUES ($1, $2, $2, 'ibm_vpc', 'server', '', 'second', 2, $3, '', $4, $4)`, d.NodeID, d.DeploymentID, state, h.clock.now())
			require.NoError(t, err)
			before := dump(t, st)
			_, err = h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, Actor: tester})
			refused(t, err, deploy.CodeWrongState)
			require.Equal(t, before, dump(t, st))
			_, err = st.Write.Exec(`DELETE FROM resources WHERE name = 'second'`)
			require.NoError(t, err)
		}
		for field, spec := range map[string]deploy.Spec{
			"spec.server_profile": {Provider: deploy.ProviderIBMVPC, ServerProfile: "cx3d-metal-48x128"},
			"spec.management_ip":  {Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384", ManagementIP: "10.0.0.77"},
		} {
			_, err := h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, Spec: &spec, Actor: tester})
			require.Equal(t, field, refused(t, err, deploy.CodeInvalid).Fields[0].Field)
		}
		_, err := h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, Spec: &deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384", Installer: "another.sh"}, Actor: tester})
		require.NoError(t, err)
	})
}

func TestACancelEndsWhenTheMachineGoesOnOrRestarts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.bring(d, phase.IPXEBoot)
		_, err := h.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: d.DeploymentID, Actor: tester})
		require.NoError(t, err)
		require.Equal(t, phase.Canceling, h.state(d).state)
		_, err = h.ConfigServed(t.Context(), d.DeploymentID, 1, "127.64.0.9")
		require.NoError(t, err)
		require.Equal(t, phase.StateStop, sound(t, st, d.DeploymentID).state, "ipxe_boot has ended, config_download is not begun")

		again := h.deploy("n2")
		h.bring(again, phase.Installation)
		h.say(as(phase.ByMachine, again, phase.Installation, phase.InProgress))
		_, err = h.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: again.DeploymentID, Actor: tester})
		require.NoError(t, err)
		answer := h.boot(again)
		require.Equal(t, phase.BootStop, answer.Decision)
		require.Contains(t, answer.Message, "canceled")
		require.Equal(t, phase.StateStop, sound(t, st, again.DeploymentID).state)
	})
}

func TestACleanupIsProvenNotReported(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	d := h.deploy("n1", func(in *lifecycle.NewDeployment) { in.Maintenance = true })
	h.order(d, "10.0.0.5")
	h.fail(d)
	_, err := h.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: "n1", Actor: tester})
	require.NoError(t, err)
	_, err = h.Report(t.Context(), as(phase.ByOperator, d, phase.Cleanup, phase.Success))
	refused(t, err, deploy.CodeIllegalJump)
	refused(t, h.SetProtection(t.Context(), lifecycle.Protection{NodeID: d.NodeID, Protected: true, Actor: tester}), deploy.CodeRunActive)
	var stands int
	require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM phase_runs WHERE phase = 'cleanup' AND clock_stopped_at IS NOT NULL`).Scan(&stands))
	require.Zero(t, stands, "maintenance of the install does not stop the clock of the cleanup")
	// What an order learns too late is not written onto a node that is going.
	h.say(as(phase.ByWorkflow, d, phase.Cleanup, phase.Success))
	require.NoError(t, h.Do(t.Context(), []int64{d.DeploymentID}, nil, func(tx *lifecycle.Tx) error {
		return tx.LearnFor(d.DeploymentID, lifecycle.NodeFacts{ServerID: "late", ManagementIP: "10.0.0.5"})
	}))
	var late int
	require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM nodes WHERE server_id = 'late' OR management_ip IS NOT NULL`).Scan(&late))
	require.Zero(t, late)
}

func TestAdoptAgainWhatHasTheNameOfSomethingGone(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	in := lifecycle.Adoption{Name: "old-1", Provider: deploy.ProviderIBMVPC, Actor: tester, Adopted: deploy.Adopted{
		Machine: deploy.Machine{ServerID: "srv-1", ManagementIP: "10.0.0.5", MACs: []string{"02:00:00:00:00:05"}}, Profile: "bx2d-metal-96x384",
		Resources: []deploy.AdoptedResource{{Kind: "server", Name: "bm-1", CloudID: "srv-1"}}}}
	d, err := h.Adopt(t.Context(), in)
	require.NoError(t, err)
	require.NoError(t, h.SetProtection(t.Context(), lifecycle.Protection{NodeID: d.NodeID, Actor: tester}))
	h.cleanUp(d, "old-1")
	_, err = st.Write.Exec(`UPDATE resources SET state = 'gone'`)
	require.NoError(t, err)
	in.Name, in.Adopted.ServerID, in.Adopted.Resources[0].CloudID = "old-2", "srv-2", "srv-2"
	again, err := h.Adopt(t.Context(), in)
	require.NoError(t, err)
	held, err := journal.New(st, h.clock.now).Held(t.Context(), again.NodeID)
	require.NoError(t, err)
	require.Equal(t, "srv-2", held[0].CloudID)
}
