package ibmvpc_test

import (
	"errors"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// intoDoubt orders until the answer to the server's create is lost and cannot
// be looked for: fault is what happens to the create.
func intoDoubt(t *testing.T, c *cloud, j *conformance.Journal, o deploy.Order, fault vpcsim.FaultKind) {
	t.Helper()
	for _, f := range []vpcsim.Fault{{Kind: fault, Operation: "CreateBareMetalServer", Times: 1}, {Kind: vpcsim.FaultFail, Status: 503, Operation: "ListBareMetalServers"}} {
		if _, err := c.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		_, err := c.provider(t, j).Order(t.Context(), o)
		var e *deploy.ProviderError
		if !errors.As(err, &e) || !e.Temporary {
			t.Fatalf("%v; want a temporary failure", err)
		}
		for _, r := range j.Rows() {
			if r.Kind == "server" && r.State == deploy.ResourceDoubtful {
				c.ClearFaults()
				return
			}
		}
		c.clock.Advance(e.Wait)
	}
	t.Fatal("the server is never in doubt")
}

// secondInDoubt is a node whose first server failed to come, and whose retry
// lost the answer to the create of the second; then another deployment took it.
func secondInDoubt(t *testing.T, fault vpcsim.FaultKind) (*cloud, *conformance.Journal, deploy.Order) {
	t.Helper()
	c, j := newCloud(t), &conformance.Journal{}
	capacity(t, c, vpcsim.ReasonCannotStartCapacity)
	persist(t, c, c.provider(t, j), order())
	c.clock.Advance(time.Hour)
	intoDoubt(t, c, j, attempt(c, 2), fault)
	j.Move(1, 7, 8)
	return c, j, order(func(o *deploy.Order) { o.DeploymentID, o.AttemptSince = 8, c.clock.Now() })
}

func TestServerInDoubtThatWasHandedOverIsTheServer(t *testing.T) {
	c, j, o := secondInDoubt(t, vpcsim.FaultDropAfter)
	m := persist(t, c, c.provider(t, j), o)
	c.clock.Advance(10 * time.Minute)
	if s := c.State(); s.LiveServers != 1 {
		t.Errorf("%d live servers of one node", s.LiveServers)
	}
	if row := rowOf(t, j, "server"); row.Name != "slw-ahv-01-d7-g2" || row.CloudID != m.ServerID || row.HeldBy != 8 || row.State != deploy.ResourcePresent {
		t.Errorf("row %+v", row)
	}
	if again := persist(t, c, c.provider(t, j), o); again.ServerID != m.ServerID || again.ManagementIP == "" {
		t.Errorf("%+v, then %+v", m, again)
	}
}

// The create of another deployment can arrive until its time-out is over, and
// show in a list a minute after that.
func TestServerInDoubtThatWasHandedOverIsAskedForOnlyWhenItCannotCome(t *testing.T) {
	c, j, o := secondInDoubt(t, vpcsim.FaultDropBefore)
	sent, asked := c.State().Calls["CreateBareMetalServer"], c.clock.Now()
	persist(t, c, c.provider(t, j), o)
	if waited := c.clock.Now().Sub(asked); waited < 2*time.Minute {
		t.Errorf("asked again after %s; a create may take a minute, and a list be late by another", waited)
	}
	if n := c.State().Calls["CreateBareMetalServer"] - sent; n != 1 {
		t.Errorf("%d creates", n)
	}
	c.clock.Advance(10 * time.Minute)
	if s := c.State(); s.LiveServers != 1 {
		t.Errorf("%d live servers of one node", s.LiveServers)
	}
	if row := rowOf(t, j, "server"); row.Name != "slw-ahv-01-d7-g2" || row.HeldBy != 8 || row.State != deploy.ResourcePresent {
		t.Errorf("row %+v", row)
	}
}

func TestServerThatIsBeingReleasedIsWaitedFor(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	persist(t, c, c.provider(t, j), order())
	row := rowOf(t, j, "server")
	if err := j.Settle(t.Context(), row.ID, deploy.ResourceReleasing, "", nil, ""); err != nil {
		t.Fatal(err)
	}
	j.Move(1, 7, 8)
	temporary(t, second(c.provider(t, j).Order(t.Context(), order(func(o *deploy.Order) { o.DeploymentID = 8 }))), deploy.CodeConflict)
	if n := len(j.Rows()); n != 5 || c.State().ServersCreated != 1 {
		t.Errorf("%d rows, %d servers", n, c.State().ServersCreated)
	}
}

func TestNodeThatIsRenamedDuringAnOrderKeepsWhatItHas(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	intoDoubt(t, c, j, order(), vpcsim.FaultDropAfter)
	before := j.Rows()
	renamed := order(func(o *deploy.Order) { o.NodeName = "renamed" })
	m := persist(t, c, c.provider(t, j), renamed)
	c.clock.Advance(time.Minute)
	s := c.State()
	if s.LiveServers != 1 || s.VNIs != 2 || s.ReservedIPs != 2 || len(j.Rows()) != len(before) {
		t.Errorf("%d servers, %d interfaces, %d addresses, %d rows", s.LiveServers, s.VNIs, s.ReservedIPs, len(j.Rows()))
	}
	for i, row := range j.Rows() {
		if row.Name != before[i].Name || row.State != deploy.ResourcePresent {
			t.Errorf("row %+v", row)
		}
	}
	if again := persist(t, c, c.provider(t, j), renamed); again.ServerID != m.ServerID {
		t.Errorf("%+v, then %+v", m, again)
	}
}

// Whichever create is lost, the row that says so is what the order goes on with.
func TestNodeThatIsRenamedWhileAnythingIsInDoubt(t *testing.T) {
	for operation, lister := range map[string]string{
		"CreateSubnetReservedIP": "ListSubnetReservedIps", "CreateVirtualNetworkInterface": "ListVirtualNetworkInterfaces",
	} {
		t.Run(operation, func(t *testing.T) {
			c, j := newCloud(t), &conformance.Journal{}
			for _, f := range []vpcsim.Fault{{Kind: vpcsim.FaultDropAfter, Operation: operation, Times: 1}, {Kind: vpcsim.FaultFail, Status: 503, Operation: lister}} {
				if _, err := c.AddFault(f); err != nil {
					t.Fatal(err)
				}
			}
			temporary(t, second(c.provider(t, j).Order(t.Context(), order())), deploy.CodeUpstreamUnavailable)
			if rows := j.Rows(); rows[len(rows)-1].State != deploy.ResourceDoubtful {
				t.Fatalf("%+v", rows)
			}
			c.ClearFaults()
			persist(t, c, c.provider(t, j), order(func(o *deploy.Order) { o.NodeName = "renamed" }))
			if s := c.State(); s.ReservedIPs != 2 || s.VNIs != 2 || s.LiveServers != 1 || len(j.Rows()) != 5 {
				t.Errorf("%d addresses, %d interfaces, %d servers, %d rows", s.ReservedIPs, s.VNIs, s.LiveServers, len(j.Rows()))
			}
		})
	}
}
