package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// killed is how a process ends at a boundary.
type killed struct{ at string }

// dying makes a step of a node in a process that is killed at a boundary. All
// that is left of it is what it wrote and what controller VMs were told.
func (h *house) dying(id int64, name string, at int) (died string) {
	h.t.Helper()
	n := 0
	h.points = func(p string) {
		if n++; n == at {
			panic(killed{p})
		}
	}
	defer func() {
		h.points = nil
		if e := recover(); e != nil {
			k, ok := e.(killed)
			if !ok {
				panic(e)
			}
			died = k.at
		}
	}()
	h.turn(id, name)
	return ""
}

// TestKilledAtEveryBoundaryOfAFormation kills whoever forms the cluster at each
// point between which something changes, in each of its steps: it is formed once.
func TestKilledAtEveryBoundaryOfAFormation(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		seen := map[string]bool{}
		for round := 1; round <= 6; round++ {
			names := []string{fmt.Sprintf("a%d", round), fmt.Sprintf("b%d", round), fmt.Sprintf("c%d", round)}
			c := h.deploy(h.request(fmt.Sprintf("prod-%d", round), names...))
			h.install(c.ID, names...)
			before := h.site.Formed()
			for range 60 {
				for _, name := range names {
					if n := h.node(c.ID, name); live(n) {
						if died := h.dying(c.ID, name, round); died != "" {
							seen[died] = true
							if n := h.node(c.ID, name); live(n) { // the next process
								h.turn(c.ID, name)
							}
						}
					}
				}
				h.site.Step()
				if h.get(c.ID).State() == cluster.Deployed {
					break
				}
			}
			require.Equal(t, cluster.Deployed, h.get(c.ID).State(), "%+v", h.get(c.ID).Formation)
			require.Equal(t, before+1, h.site.Formed(), "formed once")
		}
		for _, p := range []string{"before form", "after form", "before record", "after record", "before formed", "after formed"} {
			require.True(t, seen[p], "nobody was killed at %q; seen %v", p, seen)
		}
	})
}

// TestACrashOfAJoin kills who joins at each boundary.
func TestACrashOfAJoin(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		for round := 1; round <= 4; round++ {
			names := []string{fmt.Sprintf("a%d", round), fmt.Sprintf("b%d", round), fmt.Sprintf("c%d", round)}
			c := h.deploy(h.request(fmt.Sprintf("prod-%d", round), names...))
			h.install(c.ID, names...)
			h.drive(c.ID, cluster.Deployed)
			late := fmt.Sprintf("d%d", round)
			h.deploy(cluster.Request{Operation: "join_existing", ClusterID: c.ID, Nodes: h.request("", late).Nodes, Actor: tester})
			h.install(c.ID, late)
			died := ""
			for range 60 {
				if live(h.node(c.ID, late)) {
					if at := h.dying(c.ID, late, round); at != "" {
						died = at
					}
				}
				if n := h.node(c.ID, late); live(n) {
					h.turn(c.ID, late)
				}
				h.site.Step()
			}
			require.Equal(t, cluster.Deployed, h.get(c.ID).State(), "%+v", h.get(c.ID).Formation)
			require.Len(t, h.get(c.ID).Formed(), 4)
			require.NotEmpty(t, died)
		}
	})
}

// TestDeployedIsNeverSaidTooEarly lets nodes fail, be retried, left out,
// replaced and canceled at random while the cluster is made, with faults on the
// controller VMs: a cluster that is called deployed is one, by every remaining
// node's own deployment and by what the controller VMs are.
func TestDeployedIsNeverSaidTooEarly(t *testing.T) {
	reached := map[cluster.State]int{}
	steps := 60
	if testing.Short() {
		steps = 30
	}
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		require.NoError(t, f.Value.Set("25"))
		t.Cleanup(func() { require.NoError(t, f.Value.Set(f.DefValue)) })
	}
	sequence := func(rt *rapid.T) {
		h := build(t, storetest.SQLite(t))
		size := rapid.SampledFrom([]int{1, 3, 4}).Draw(rt, "size")
		var names []string
		for i := range size {
			names = append(names, fmt.Sprintf("n%d", i+1))
		}
		c := h.deploy(h.request("prod", names...))
		spare := size
		for i := range steps {
			c = h.get(c.ID)
			members := c.Members()
			n := members[rapid.IntRange(0, len(c.Nodes)-1).Draw(rt, "node")%len(members)]
			if late := c.Nodes[rapid.IntRange(0, len(c.Nodes)-1).Draw(rt, "any")]; late.State == cluster.Late {
				n = c.Node(late.NodeID)
			}
			switch rapid.SampledFrom([]string{"install", "install", "turn", "turn", "turn", "beat", "beat", "fail", "retry", "leave", "replace", "cancel", "fault", "mend", "rush"}).Draw(rt, fmt.Sprintf("step %d", i)) {
			case "install":
				if !phase.Active(n.Deployment) || n.Phase == phase.ClusterFormation || n.FormedAt != nil || n.Phase == phase.HealthValidation {
					break
				}
				h.reinstall(c.ID, n.Name)
			case "turn":
				for _, m := range c.Nodes {
					if live(&m) && m.State != cluster.Replaced {
						h.turn(c.ID, m.Name)
					}
				}
			case "beat":
				h.site.Step()
			case "fail":
				if n.Deployment == phase.Running {
					_ = h.say(n.DeploymentID, n.Phase, phase.FailedRun, phase.ByOperator, "") // refused where nobody may
				}
			case "retry":
				_, err := h.writer.Retry(context.Background(), lifecycle.Retry{DeploymentID: n.DeploymentID, Actor: tester})
				answer(t, err)
			case "leave":
				_, err := h.Leave(context.Background(), cluster.Leave{ClusterID: c.ID, NodeID: n.NodeID, Actor: tester})
				answer(t, err)
			case "replace":
				spare++
				_, err := h.Replace(context.Background(), cluster.Replace{ClusterID: c.ID, NodeID: n.NodeID, By: cluster.NodeRequest{Name: fmt.Sprintf("n%d", spare), Spec: h.spec()}, Actor: tester})
				answer(t, err)
			case "cancel":
				if i%5 == 0 {
					_, err := h.writer.Cancel(context.Background(), lifecycle.Cancel{DeploymentID: n.DeploymentID, Immediate: true, Actor: tester})
					answer(t, err)
				}
			case "fault":
				if vm := h.hosts[n.Name]; vm != nil {
					kind := rapid.SampledFrom([]cvmsim.FaultKind{cvmsim.FaultDown, cvmsim.FaultHalfFormed, cvmsim.FaultLie, cvmsim.FaultNeverUp, cvmsim.FaultLoseAnswer}).Draw(rt, "fault")
					h.site.Inject(cvmsim.Fault{Kind: kind, Addr: vm.Addr(), Times: 1})
				}
			case "mend":
				h.site.Clear()
			case "rush":
				h.rush(c.ID)
			}
			h.mustBeTrue(c.ID)
			reached[h.get(c.ID).State()]++
		}
		h.site.Close()
	}
	rapid.Check(t, sequence)
	// By chance none may have been in one of these states: then there are more.
	missing := func() bool {
		return reached[cluster.Installing] == 0 || reached[cluster.Blocked] == 0 || reached[cluster.Deployed] == 0
	}
	for more := 0; missing() && more < 30; more++ {
		rapid.Check(t, sequence)
	}
	for _, s := range []cluster.State{cluster.Installing, cluster.Blocked} {
		require.Positive(t, reached[s], "never %s: %v", s, reached)
	}
	require.Positive(t, reached[cluster.Deployed], "never deployed: %v", reached)
	t.Log(reached)
}

// rush lets all go well for a while, which random steps alone hardly ever do: what
// comes after a formation is to be tried too.
func (h *house) rush(id int64) {
	h.t.Helper()
	h.site.Clear()
	for i, c := 0, h.get(id); i < 25 && c.State() != cluster.Deployed; i, c = i+1, h.get(id) {
		for _, m := range c.Members() {
			if m.Deployment == phase.StateFail {
				_, err := h.writer.Retry(context.Background(), lifecycle.Retry{DeploymentID: m.DeploymentID, Actor: tester})
				h.must(err)
			}
			if n := h.node(id, m.Name); phase.Active(n.Deployment) && !live(n) && n.FormedAt == nil {
				h.reinstall(id, m.Name)
			}
		}
		for _, m := range h.get(id).Members() {
			if n := h.node(id, m.Name); live(n) {
				h.turn(id, n.Name)
			}
		}
		h.site.Step()
		h.mustBeTrue(id)
	}
}

// answer lets a refusal pass, nothing else.
func answer(t *testing.T, err error) {
	if err != nil {
		_ = code(t, err)
	}
}

// reinstall is install for whatever attempt a node is at: it boots if it has to.
func (h *house) reinstall(id int64, name string) {
	h.t.Helper()
	n := h.node(id, name)
	for _, k := range []struct {
		phase string
		as    phase.Reporter
	}{{phase.Pending, phase.ByWorkflow}, {phase.ServerRequested, phase.ByWorkflow}, {phase.IPXEBoot, phase.ByBoot}, {phase.ConfigDownload, phase.ByBoot}, {phase.FoundationStart, phase.ByMachine}} {
		_ = h.say(n.DeploymentID, k.phase, phase.Success, k.as, "") // those that are behind it are refused
	}
	h.cvm(name)
	vm := h.hosts[name]
	h.must(h.writer.Do(context.Background(), []int64{n.DeploymentID}, nil, func(tx *lifecycle.Tx) error {
		return tx.LearnFor(n.DeploymentID, lifecycle.NodeFacts{CVMIP: vm.Addr().String()})
	}))
	_ = h.say(n.DeploymentID, phase.PostInstall, phase.Success, phase.ByMachine, fmt.Sprintf(`{"ssh_host_key":"k","cvm_ssh_host_key":%q}`, vm.HostKey()))
}

// mustBeTrue compares what is said of a cluster with its members and with the
// controller VMs.
func (h *house) mustBeTrue(id int64) {
	h.t.Helper()
	c := h.get(id)
	site := map[string]cvmsim.CVMState{}
	for _, s := range h.site.State() {
		site[s.Addr.String()] = s
	}
	for _, n := range c.Nodes {
		if n.FormedAt == nil || n.State != cluster.Belongs {
			continue
		}
		s := site[n.CVMIP]
		require.Equal(h.t, "start", s.State, "%s is called a member", n.Name)
		require.Equal(h.t, c.Name, s.Cluster, "%s", n.Name)
		for _, other := range c.Formed() {
			require.True(h.t, slices.Contains(s.Members, netip.MustParseAddr(other.CVMIP)) || other.FormedAt.After(*n.FormedAt), "%s does not know %s", n.Name, other.Name)
		}
	}
	h.mustBeHeld(c, site)
	if c.State() != cluster.Deployed {
		return
	}
	require.NotNil(h.t, c.FormedAt)
	for _, n := range c.Members() {
		require.Equal(h.t, phase.Succeeded, n.Deployment, n.Name)
		require.NotNil(h.t, n.FormedAt, n.Name)
	}
	require.Contains(h.t, []int{1, 3, 4}, len(c.Members()))
	require.LessOrEqual(h.t, h.count(`SELECT COUNT(*) FROM cluster_members WHERE cluster_id = $1 AND state = 'member' AND formed_at IS NULL`, id), 0)
}

// mustBeHeld compares what controller VMs count to the running cluster with what
// nobody may let go of by itself.
func (h *house) mustBeHeld(c *cluster.Cluster, site map[string]cvmsim.CVMState) {
	h.t.Helper()
	formed := c.Formed()
	if len(formed) == 0 {
		return
	}
	for _, m := range site[formed[0].CVMIP].Members {
		require.Equal(h.t, 1, h.count(`SELECT COUNT(*) FROM nodes WHERE clustered = $1 AND cvm_ip = $2`, true, m.String()), "%s is a member of the cluster", m)
	}
}
