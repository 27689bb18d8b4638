package ibmvpc_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/journal"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// The whole way with the journal in a database: doubt survives a restart.
func TestOrderWithTheJournalInADatabase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		c := newCloud(t)
		j := journal.New(s, c.clock.Now)
		o := order()
		err := s.InTx(t.Context(), func(tx *sql.Tx) error {
			n, err := s.EntTx(tx).Node.Create().SetName(o.NodeName).SetProvider(deploy.ProviderIBMVPC).Save(t.Context())
			if err != nil {
				return err
			}
			d, err := s.EntTx(tx).Deployment.Create().SetNodeID(n.ID).SetNumber(1).SetState("running").SetPhase("server_requested").SetPhaseStatus("in_progress").
				SetProvider(deploy.ProviderIBMVPC).SetConfig([]byte(`{}`)).SetRequestedByKind("user").SetRequestedBy("test").Save(t.Context())
			if err != nil {
				return err
			}
			o.NodeID, o.DeploymentID = n.ID, d.ID
			return s.EntTx(tx).Node.UpdateOne(n).SetCurrentDeploymentID(d.ID).Exec(t.Context())
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultDropBefore, Operation: "CreateBareMetalServer", Times: 1}); err != nil {
			t.Fatal(err)
		}
		for c.State().Calls["CreateBareMetalServer"] == 0 {
			_, err := c.provider(t, j).Order(t.Context(), o)
			c.clock.Advance(temporary(t, err, deploy.CodeUpstreamUnavailable).Wait)
		}
		// A new process knows from the row alone that it has to wait.
		temporary(t, second(c.provider(t, j).Order(t.Context(), o)), deploy.CodeUpstreamUnavailable)
		m := persist(t, c, c.provider(t, j), o)
		names := nodeNames
		names.NodeID, names.DeploymentID, names.ManagementIP = o.NodeID, o.DeploymentID, m.ManagementIP
		if err := c.provider(t, j).RegisterNames(t.Context(), names); err != nil {
			t.Fatal(err)
		}
		if again := persist(t, c, c.provider(t, j), o); again.ServerID != m.ServerID || len(again.MACs) != 2 {
			t.Errorf("%+v, then %+v", m, again)
		}
		held, err := j.Held(t.Context(), o.NodeID)
		if err != nil || len(held) != 7 {
			t.Fatalf("holds %d, %v; want 2 addresses, 2 interfaces, 1 server, 2 records", len(held), err)
		}
		for _, r := range held {
			if r.State != deploy.ResourcePresent || r.CloudID == "" {
				t.Errorf("row %+v", r)
			}
		}
		if s := c.State(); s.ServersCreated != 1 {
			t.Errorf("%d servers", s.ServersCreated)
		}
		reinstallAndRelease(t, c, s, j, o)
	})
}

// reinstallAndRelease goes on with the node: its machine boots anew, then its
// deployment ends and is cleaned up.
func reinstallAndRelease(t *testing.T, c *cloud, s *store.Store, j *journal.Journal, o deploy.Order) {
	t.Helper()
	state := func(state string) {
		t.Helper()
		if _, err := s.Write.Exec(`UPDATE deployments SET state = $2 WHERE id = $1`, o.DeploymentID, state); err != nil {
			t.Fatal(err)
		}
	}
	c.clock.Advance(time.Minute)
	o.Attempt, o.AttemptSince = 2, c.clock.Now()
	if _, err := repeat(t, c, func() (deploy.Machine, error) { return c.provider(t, j).Reinstall(t.Context(), o) }); err != nil {
		t.Fatal(err)
	}
	c.clock.Advance(time.Minute)
	if s := c.State().Servers[0]; s.PowerOns != 2 || s.Status != "running" {
		t.Errorf("%+v", s)
	}
	state("canceled")
	o.Attempt, o.AttemptSince = 3, c.clock.Now()
	final(t, second(c.provider(t, j).Reinstall(t.Context(), o)), deploy.CodeWrongState)
	state("cleaning_up")
	for {
		steps, err := c.provider(t, j).Release(t.Context(), releaseOf(o))
		if err == nil {
			if len(steps) != 7 || steps[0].Status != deploy.ReleaseDone {
				t.Errorf("%+v", steps)
			}
			break
		}
		c.clock.Advance(temporary(t, err, deploy.CodeConflict).Wait)
	}
	final(t, second(c.provider(t, j).Order(t.Context(), o)), deploy.CodeWrongState)
	nothingLeft(t, c)
	if held, err := j.Held(t.Context(), o.NodeID); err != nil || len(held) != 0 {
		t.Errorf("still held: %+v, %v", held, err)
	}
}
