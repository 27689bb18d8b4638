package server_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/journal"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// bareProvider can order and nothing else.
type bareProvider struct{ deploy.Provider }

// fakeCloud is a provider whose answers are set by tests, and which notes what
// it was asked to do.
type fakeCloud struct {
	bareProvider
	t       testing.TB
	mu      sync.Mutex
	did     []string // what would have changed something
	checks  []deploy.Check
	drift   []deploy.Drift
	removal error
	trouble error // of everything
}

func (c *fakeCloud) Plan(context.Context, deploy.Order) ([]deploy.Check, error) {
	return c.checks, c.trouble
}

func (c *fakeCloud) PlanRelease(_ context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	return []deploy.ReleaseStep{
		{ResourceID: 3, Kind: "server", Name: "slw-" + r.NodeName, CloudID: "srv-1", Action: "stop and delete", Status: deploy.ReleaseWaiting},
		{ResourceID: 2, Kind: "vni", Role: "management", Name: "slw-" + r.NodeName + "-m", Action: "delete", Status: deploy.ReleaseWaiting},
		{ResourceID: 1, Kind: "reserved_ip", Name: "given", Action: "keep", Status: deploy.ReleaseKept},
	}, c.trouble
}

func (c *fakeCloud) Release(context.Context, deploy.Release) ([]deploy.ReleaseStep, error) {
	c.t.Error("the REST face released something itself")
	return nil, nil
}

func (c *fakeCloud) Offer(context.Context) (deploy.Offer, error) {
	return deploy.Offer{Region: "us-south", Zones: []string{"us-south-1"}, Servers: 3, Quota: 25,
		Profiles: []deploy.OfferProfile{{Name: "bx2d-metal-96x384", CPUs: 96, MemoryGiB: 384, DataDisks: 8, DataDiskGB: 3200, Usable: true}}}, c.trouble
}

func (c *fakeCloud) Audit(context.Context, []deploy.Resource) ([]deploy.Drift, error) {
	return c.drift, c.trouble
}

func (c *fakeCloud) RemoveOrphan(_ context.Context, d deploy.Drift) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.did = append(c.did, "remove "+d.Kind+" "+d.CloudID)
	return c.removal
}

func (c *fakeCloud) Examine(_ context.Context, name string) (deploy.Adopted, error) {
	if name != "old-server" {
		return deploy.Adopted{}, &deploy.ProviderError{Code: deploy.CodeNotFound, Message: "there is no server " + name}
	}
	return deploy.Adopted{
		Machine: deploy.Machine{ServerID: "srv-9", ServerStatus: "running", ManagementIP: "10.0.0.99", MACs: []string{"02:00:00:00:00:99"}},
		Name:    "old-server", Profile: "bx2d-metal-96x384", Zone: "us-south-1",
		Resources: []deploy.AdoptedResource{{Kind: "server", Name: "old-server", CloudID: "srv-9"}},
	}, c.trouble
}

func (c *fakeCloud) Console(_ context.Context, id int64, kind string, force bool) (deploy.Console, error) {
	return deploy.Console{URL: fmt.Sprintf("wss://cloud.test/%d", id), Type: kind, Force: force, ExpiresAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, c.trouble
}

// failed is a node whose deployment failed, with something that it holds.
func (r *rig) failed(name, ip string) machine {
	r.t.Helper()
	m := r.order(name, ip)
	j := journal.New(r.st, nil)
	res, err := j.Intend(r.t.Context(), deploy.Intent{NodeID: m.nodeID, DeploymentID: m.deploymentID, Provider: deploy.ProviderIBMVPC, Kind: "server", Name: "slw-" + name})
	require.NoError(r.t, err)
	require.NoError(r.t, j.Settle(r.t.Context(), res.ID, deploy.ResourcePresent, "srv-"+name, nil, ""))
	require.NoError(r.t, r.writer.Learn(r.t.Context(), lifecycle.NodeFacts{NodeID: m.nodeID, ServerID: "srv-" + name}))
	r.workflow(m.deploymentID, phase.MonitoringStart, phase.FailedRun)
	return m
}

// everything is what must be as before when nothing was to be touched.
func (r *rig) everything() map[string]string {
	r.t.Helper()
	out := map[string]string{}
	for table, columns := range map[string]string{
		"nodes":       "id || name || state || deployment_status || version || coalesce(management_ip,'') || coalesce(server_id,'') || protected",
		"deployments": "id || state || phase || attempt || sequence", "resources": "id || state || held_by || name || coalesce(cloud_id,'')", "deployment_history": "id || phase || status",
	} {
		rows, err := r.st.Read.QueryContext(r.t.Context(), `SELECT `+columns+` FROM `+table+` ORDER BY id`)
		require.NoError(r.t, err)
		for rows.Next() {
			var line string
			require.NoError(r.t, rows.Scan(&line))
			out[table] += line + "\n"
		}
		require.NoError(r.t, rows.Err())
		require.NoError(r.t, rows.Close())
	}
	return out
}

// command posts as an operator.
func (r *rig) command(path, body string, headers ...string) answered {
	r.t.Helper()
	if body != "" {
		headers = append([]string{"Content-Type", jsonType}, headers...)
	}
	return r.call("POST", path, r.operator, body, headers...)
}
