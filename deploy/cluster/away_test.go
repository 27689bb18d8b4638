package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// one runs a test on SQLite alone, where the database is not what it is about.
func one(t *testing.T, fn func(t *testing.T, h *house)) {
	t.Helper()
	fn(t, build(t, storetest.SQLite(t)))
}

// wait lets a node look every three minutes until a formation's time is over.
func (h *house) wait(id int64, name string) (last deploy.ClusterStand) {
	h.t.Helper()
	for range 10 {
		h.pass(3 * time.Minute)
		if last = h.turn(id, name); h.get(id).Formation.Status != cluster.FormationRunning {
			return last
		}
	}
	h.t.Fatalf("the formation still runs: %+v", h.get(id).Formation)
	return last
}

// creations counts the clusters that were begun to be made.
func (h *house) creations() (n int) {
	for _, c := range h.site.Ran() {
		if strings.Contains(c.Line, "create.id") && strings.Contains(c.Line, "slipway-begun") {
			n++
		}
	}
	return n
}

// All of Slipway was away: nobody can be said to have kept it waiting.
func TestTimeInWhichNobodyLookedIsNotTheFormations(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultNeverUp, Addr: h.hosts["c"].Addr()})
		require.Equal(t, deploy.ClusterGo, h.turn(c.ID, "a").Move)
		h.pass(2 * time.Hour)
		h.must(h.writer.Recover(t.Context(), 2*time.Hour, time.Minute))
		h.must(h.writer.Sweep(t.Context()))
		require.Equal(t, deploy.ClusterGo, h.turn(c.ID, "a").Move)
		require.Equal(t, cluster.Forming, h.get(c.ID).State(), "%+v", h.get(c.ID).Formation)
		h.pass(-time.Hour) // nor is anything used up by a clock that is set
		require.Equal(t, deploy.ClusterGo, h.turn(c.ID, "a").Move)
		require.Zero(t, h.get(c.ID).Formation.Spent)
		for range 40 {
			h.turn(c.ID, "a")
			h.site.Step()
		}
		h.wait(c.ID, "a")
		f := h.get(c.ID).Formation
		require.Contains(t, f.Message, "after 27m0s it still waits")
		require.Equal(t, []int64{h.node(c.ID, "c").NodeID}, f.Culprits)
	})
}

// The kept time follows although nothing else changes, and is not a change that
// anybody is told of.
func TestAFormationsTimeIsKeptWithoutAChange(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.turn(c.ID, "a")
		h.turn(c.ID, "a") // its command stands at its first line
		was := h.get(c.ID)
		for range 6 {
			h.pass(30 * time.Second)
			h.turn(c.ID, "a")
		}
		now := h.get(c.ID)
		require.Equal(t, was.Version, now.Version)
		require.Equal(t, 3*time.Minute, now.Formation.Spent)
	})
}

func TestACommandThatDoesNotEndIsNotItsRunnersFault(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultSlow, Addr: h.hosts["a"].Addr(), Steps: 10_000})
		h.turn(c.ID, "a")
		stand := h.wait(c.ID, "a")
		f := h.get(c.ID).Formation
		require.Empty(t, f.Culprits, "%+v", f)
		require.Equal(t, "job_runs", f.Reason)
		require.Contains(t, f.Hint, "a retry waits for its end")
		require.Equal(t, deploy.ClusterFail, stand.Move, "who looks has to tell of it")
		h.retryFailed(c.ID)
		require.Equal(t, deploy.ClusterGo, h.turn(c.ID, "a").Move)
		require.Equal(t, 1, h.creations(), "no other is begun beside it")
	})
}

// Who began a command may leave, or be replaced; its command does not end with
// that, and another beside it would make a second cluster of the same nodes.
func TestALeaderThatLeftWhileItsCommandRuns(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c", "d"))
		h.install(c.ID, "a", "b", "c", "d")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultSlow, Addr: h.hosts["a"].Addr(), Steps: 10_000})
		h.turn(c.ID, "a")
		h.wait(c.ID, "a")
		a, b := h.node(c.ID, "a"), h.node(c.ID, "b")
		require.Equal(t, phase.StateFail, a.Deployment)
		h.must(c2(h.Leave(t.Context(), cluster.Leave{ClusterID: c.ID, NodeID: a.NodeID, Actor: tester})))
		for range 3 {
			require.Equal(t, deploy.ClusterGo, h.turn(c.ID, "b").Move)
		}
		require.Contains(t, h.get(c.ID).Formation.Message, "what an earlier attempt began on "+a.CVMIP+" still runs")
		require.Equal(t, 1, h.creations())
		// It cannot be asked any more: nothing is begun before it is gone.
		h.hosts["a"].PowerOff()
		h.turn(c.ID, "b")
		require.Contains(t, h.get(c.ID).Formation.Message, "waits for "+a.CVMIP+" to tell whether")
		require.Equal(t, 1, h.creations())
		_, err := h.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: a.DeploymentID, ConfirmName: "a", Actor: tester})
		h.must(err)
		h.must(h.say(a.DeploymentID, phase.Cleanup, phase.Success, phase.ByWorkflow, ""))
		h.turn(c.ID, "b")
		require.Equal(t, 2, h.creations())
		require.Equal(t, b.NodeID, h.get(c.ID).Formation.Runner)
	})
}

func TestAFormationThatNobodyGoesOnWithIsNotCalledRunning(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.turn(c.ID, "a")
		require.Equal(t, cluster.FormationRunning, h.get(c.ID).Formation.Status)
		h.cancel(c.ID, "c", true)
		require.Equal(t, cluster.FormationVoid, h.get(c.ID).Formation.Status)
		h.must(c2(h.Replace(t.Context(), cluster.Replace{ClusterID: c.ID, NodeID: h.node(c.ID, "c").NodeID, By: cluster.NodeRequest{Name: "d", Spec: h.spec()}, Actor: tester})))
		h.install(c.ID, "d")
		require.Equal(t, cluster.FormationVoid, h.get(c.ID).Formation.Status, "d is there, and this one was not for d")
		h.turn(c.ID, "a")
		require.Equal(t, cluster.FormationRunning, h.get(c.ID).Formation.Status)
	})
}

// What was seen until the time-out is kept: it says whom it waits for.
func TestATimeOutNamesWhoDidNotAnswer(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		h.deps.AskLimit = time.Second
		h.Service = cluster.New(h.deps)
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultHang, Addr: h.hosts["c"].Addr()})
		h.turn(c.ID, "a")
		f := h.get(c.ID).Formation
		require.Contains(t, f.Message, h.hosts["c"].Addr().String())
		require.Contains(t, f.Culprits, h.node(c.ID, "c").NodeID)
	})
}
