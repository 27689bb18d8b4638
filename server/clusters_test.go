package server_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// controllers are controller VMs whose answers a test sets; without one a
// cluster is formed at once and is well.
type controllers struct {
	mu   sync.Mutex
	form cvm.Decision
	bad  bool
}

func (c *controllers) step() (cvm.Step, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.form.Action != "" {
		return cvm.Step{Decision: c.form}, nil
	}
	return cvm.Step{Decision: cvm.Decision{Action: cvm.ActionDone, Reason: cvm.ReasonFormed, Message: "every member says so", Evidence: []string{"The state of the cluster: start"}}}, nil
}

func (c *controllers) Form(context.Context, cvm.FormRequest) (cvm.Step, error) { return c.step() }
func (c *controllers) Join(context.Context, cvm.JoinRequest) (cvm.Step, error) { return c.step() }
func (c *controllers) Destroy(context.Context, cvm.DestroyRequest) (cvm.Step, error) {
	return c.step()
}

func (c *controllers) Health(_ context.Context, members []cvm.Target, _ netip.Addr) cvm.Report {
	return cvm.Report{Checks: []cvm.Check{{Name: cvm.CheckAnswers, Addr: members[0].Addr, OK: !c.bad, Message: "it answers", Evidence: []string{"CVM: 10.240.0.101 Up"}}}}
}

const clustersPath = "/api/config/clusters"

// member is a node of an order in full.
func member(i int) string {
	return fmt.Sprintf(`{"node_config":{"node_name":"hv%02d","server_profile":"bx2d-metal-96x384"},"network_config":{"management_subnet":"auto","cvm_ip":"10.240.0.%d"}}`, i, 100+i)
}

func clusterOrder(n int, more string) string {
	nodes := make([]string, n)
	for i := range nodes {
		nodes[i] = member(i + 1)
	}
	return `{"cluster_config":{"cluster_name":"lab","cluster_type":"standard","cluster_ip":"10.240.0.50","dns_servers":["10.240.0.2"],"ntp_servers":["ntp.example"]` + more + `,"nodes":[` + strings.Join(nodes, ",") + `]}}`
}

func (r *rig) group(path, body string, headers ...string) answered {
	r.t.Helper()
	return r.call("POST", clustersPath+path, r.operator, body, append([]string{"Content-Type", jsonType}, headers...)...)
}

// barrier brings a deployment to where it waits for the others.
func (r *rig) barrier(node, deployment int64) {
	r.t.Helper()
	require.NoError(r.t, r.writer.Learn(r.t.Context(), lifecycle.NodeFacts{NodeID: node, CVMHostKey: "ssh-ed25519 AAAA"}))
	for _, def := range phase.Catalogue(deploy.ProviderIBMVPC) {
		if def.Key == phase.ClusterFormation {
			return
		}
		_, err := r.writer.Report(r.t.Context(), lifecycle.Report{
			DeploymentID: deployment, Phase: def.Key, Status: phase.Success, Source: deploy.SourceUser, Actor: deploy.System, As: phase.ByOperator,
		})
		require.NoError(r.t, err, def.Key)
	}
}

// formed makes a cluster of n and has it formed.
func (r *rig) formed(n int) (nodes, deployments []int64) {
	r.t.Helper()
	got := r.group("", clusterOrder(n, ""))
	require.Equal(r.t, 202, got.status, got.body)
	c, err := r.groups.ByName(r.t.Context(), "lab")
	require.NoError(r.t, err)
	for _, m := range c.Members() {
		nodes, deployments = append(nodes, m.NodeID), append(deployments, m.DeploymentID)
		r.barrier(m.NodeID, m.DeploymentID)
	}
	for _, d := range deployments {
		stand, err := r.groups.Form(r.t.Context(), d)
		require.NoError(r.t, err)
		require.Equal(r.t, deploy.ClusterDone, stand.Move, stand.Message)
	}
	return nodes, deployments
}

func TestOrderACluster(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		plan := r.group("?dry_run=true", clusterOrder(3, ""))
		require.Equal(t, 200, plan.status, plan.body)
		golden(t, "cluster-plan", plan)
		require.Empty(t, r.get(clustersPath).json(t)["clusters"], "nothing was made")
		require.Empty(t, r.get("/api/config/nodes").json(t)["nodes"])

		got := r.group("", clusterOrder(3, ""), "Idempotency-Key", "k1")
		require.Equal(t, 202, got.status, got.body)
		golden(t, "cluster-order", got)
		same := r.group("", clusterOrder(3, ""), "Idempotency-Key", "k1")
		require.Equal(t, got.json(t)["cluster_id"], same.json(t)["cluster_id"])
		other := r.group("", clusterOrder(1, `,"skip_discovery":true`), "Idempotency-Key", "k1")
		require.Equal(t, 422, other.status)
		require.Equal(t, map[string]string{"idempotency_key": "idempotency_conflict"}, other.fields(t))

		golden(t, "cluster", r.get(got.json(t)["monitoring_endpoint"].(string)))
		for _, by := range []string{"1", "clu_1", "lab"} {
			require.EqualValues(t, 1, r.get(clustersPath + "/" + by).json(t)["id"], by)
		}
		for _, by := range []string{"2", "clu_2", "lab2", "node_1"} {
			missing := r.get(clustersPath + "/" + by)
			require.Equal(t, 404, missing.status, by)
			require.Equal(t, "not_found", missing.json(t)["code"], by)
		}
		line := r.group("/lab/cancel", `{}`, "Accept", "text/plain")
		require.Equal(t, "ok cluster 1 lab canceled: 3 nodes\n", line.body)
		require.Equal(t, 409, r.group("/lab/cancel", `{}`).status, "nothing is under way")
	})
}

func TestClusterRefusals(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	for name, tc := range map[string]struct {
		body string
		bad  map[string]string
	}{
		"nothing":       {`{}`, map[string]string{"cluster_config": "required", "cluster_config.cluster_name": "required", "cluster_config.nodes": "required"}},
		"misspelt":      {`{"cluster_config":{"cluster_vip":"10.0.0.1"},"node_config":{}}`, map[string]string{"cluster_config.cluster_vip": "invalid", "node_config": "invalid"}},
		"two nodes":     {clusterOrder(2, ""), map[string]string{"cluster_config.nodes": "out_of_range"}},
		"type":          {strings.Replace(clusterOrder(3, ""), "standard", "single_node", 1), map[string]string{"cluster_config.cluster_type": "conflict"}},
		"redundancy":    {clusterOrder(3, `,"redundancy_factor":1`), map[string]string{"cluster_config.redundancy_factor": "out_of_range"}},
		"no number":     {clusterOrder(3, `,"redundancy_factor":"two"`), map[string]string{"cluster_config.redundancy_factor": "invalid"}},
		"address":       {strings.Replace(clusterOrder(3, ""), "10.240.0.50", "lab.example", 1), map[string]string{"cluster_config.cluster_ip": "invalid"}},
		"a CVM's":       {strings.Replace(clusterOrder(3, ""), "10.240.0.50", "10.240.0.102", 1), map[string]string{"cluster_config.cluster_ip": "conflict"}},
		"DNS":           {strings.Replace(clusterOrder(3, ""), `["10.240.0.2"]`, `["dns"]`, 1), map[string]string{"cluster_config.dns_servers.0": "invalid"}},
		"twice":         {strings.Replace(clusterOrder(3, ""), "10.240.0.103", "10.240.0.101", 1), map[string]string{"cluster_config.nodes.2.network_config.cvm_ip": "conflict"}},
		"unknown node":  {`{"cluster_config":{"cluster_name":"lab","nodes":["hv77"]}}`, map[string]string{"cluster_config.nodes.0.node_config.node_name": "not_found"}},
		"unknown id":    {`{"cluster_config":{"cluster_name":"lab","nodes":["node_77"]}}`, map[string]string{"cluster_config.nodes.0": "not_found"}},
		"no node":       {`{"cluster_config":{"cluster_name":"lab","nodes":[null]}}`, map[string]string{"cluster_config.nodes.0": "required"}},
		"script":        {`{"cluster_config":{"cluster_name":"lab","nodes":[{"node_config":{"node_name":"a1","provider":"script"}}]}}`, map[string]string{"cluster_config.nodes.0.node_config.provider": "invalid"}},
		"profile":       {`{"cluster_config":{"cluster_name":"lab","nodes":[{"node_config":{"node_name":"a1"}}]}}`, map[string]string{"cluster_config.nodes.0.node_config.server_profile": "required"}},
		"nowhere":       {`{"cluster_config":{"cluster_operation":"join_existing","cluster_name":"lab","nodes":[` + member(1) + `]}}`, map[string]string{"cluster_config.cluster_id": "not_found"}},
		"bad operation": {clusterOrder(1, `,"cluster_operation":"merge"`), map[string]string{"cluster_config.cluster_operation": "invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := r.group("", tc.body)
			require.GreaterOrEqual(t, got.status, 400, got.body)
			fields := got.fields(t)
			for field, code := range tc.bad {
				if code == "required" && name == "nothing" && field != "cluster_config" {
					continue // the object itself is complained of first
				}
				require.Equal(t, code, fields[field], "%s: %s", field, got.body)
			}
		})
	}
	require.Equal(t, 415, r.call("POST", clustersPath, r.operator, "a=b", "Content-Type", formType).status)
	require.Equal(t, 403, r.call("POST", clustersPath, r.viewer, clusterOrder(3, ""), "Content-Type", jsonType).status)
	require.Equal(t, 422, r.group("?dryrun=true", clusterOrder(3, "")).status, "a misspelt question is no order")
	require.Empty(t, r.get(clustersPath).json(t)["clusters"], "nothing was made")
	for path, field := range map[string]string{"?limit=0": "limit", "?limit=201": "limit", "?after=x": "after", "?status=done": "status"} {
		got := r.get(clustersPath + path)
		require.Equal(t, 422, got.status, path)
		require.Contains(t, got.fields(t), field, path)
	}
}

func TestClusterLife(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		nodes, deployments := r.formed(3)
		require.Equal(t, "validating", r.get(clustersPath + "/lab").json(t)["status"])
		checked := r.group("/lab/health", "")
		require.Equal(t, 200, checked.status, checked.body)
		require.Contains(t, checked.body, `"evidence":["CVM: 10.240.0.101 Up"]`)
		golden(t, "cluster-formed", checked)
		for _, d := range deployments {
			for _, k := range []string{phase.ClusterFormation, phase.DNSRegistration, phase.HealthValidation} {
				_, err := r.writer.Report(t.Context(), lifecycle.Report{DeploymentID: d, Phase: k, Status: phase.Success, Source: deploy.SourceUser, Actor: deploy.System, As: phase.ByOperator})
				require.NoError(t, err)
			}
		}
		doc := r.get(clustersPath + "/lab").json(t)
		require.Equal(t, "deployed", doc["status"])
		require.EqualValues(t, 100, doc["progress_percent"])

		// Another node joins; a fifth does not.
		more := r.group("", `{"cluster_config":{"cluster_operation":"join_existing","cluster_name":"lab","nodes":[`+member(4)+`]}}`)
		require.Equal(t, 202, more.status, more.body)
		require.Equal(t, "growing", more.json(t)["status"])
		require.Len(t, more.json(t)["node_ids"], 4)
		require.Equal(t, 422, r.group("", `{"cluster_config":{"cluster_operation":"join_existing","cluster_id":"clu_1","nodes":[`+member(5)+`]}}`).status)

		// It can go on without the new one, not without one that it has.
		refused := r.group("/lab/go-on-without", `{"node":"hv01"}`)
		require.Equal(t, 409, refused.status, refused.body)
		require.Equal(t, map[string]string{"node": "not_found"}, r.group("/lab/go-on-without", `{"node":"hv09"}`).fields(t))
		require.Equal(t, map[string]string{"node": "required"}, r.group("/lab/go-on-without", `{}`).fields(t))
		late := r.group("/lab/go-on-without", `{"node":"hv04","reason":"too slow"}`)
		require.Equal(t, 202, late.status, late.body)
		require.Contains(t, late.body, "too slow")
		require.Equal(t, "deployed", late.json(t)["status"])

		// Nothing forgets a cluster.
		for _, got := range []answered{
			r.call("DELETE", clustersPath+"/lab", r.operator, ""), r.call("DELETE", clustersPath+"/lab?confirm=Lab", r.operator, ""),
			r.group("/lab/cleanup", `{}`), r.group("/lab/cleanup", `{"confirm":"hv01"}`),
		} {
			require.Equal(t, 422, got.status, got.body)
			require.Equal(t, map[string]string{"confirm": "confirmation_mismatch"}, got.fields(t))
			require.Contains(t, got.json(t)["hint"], "confirm=lab")
		}
		require.Equal(t, 404, r.call("DELETE", clustersPath+"/other?confirm=other", r.operator, "").status)
		golden(t, "cluster-cleanup-plan", r.group("/lab/cleanup?dry_run=true", ""))
		require.Equal(t, 200, r.call("DELETE", clustersPath+"/lab?dry_run=true", r.operator, "").status)
		require.Equal(t, "deployed", r.get(clustersPath + "/lab").json(t)["status"], "nothing was done")
		alone := r.call("POST", fmt.Sprintf("/api/cleanup/node/%d", nodes[0]), r.operator, `{"confirm":"hv01"}`, "Content-Type", jsonType)
		require.Equal(t, 409, alone.status, "a member of a formed cluster is not released by itself: %s", alone.body)
		gone := r.call("DELETE", clustersPath+"/lab?confirm=lab", r.operator, "")
		require.Equal(t, 202, gone.status, gone.body)
		golden(t, "cluster-cleanup", gone)
		require.Equal(t, "cleaning_up", r.get(clustersPath + "/lab").json(t)["status"])
		require.Equal(t, 409, r.group("/lab/cleanup", `{"confirm":"lab"}`).status, "it is under way")
	})
}

func TestAFailedMemberIsReplaced(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		require.Equal(t, 202, r.group("", clusterOrder(3, "")).status)
		c, err := r.groups.ByName(t.Context(), "lab")
		require.NoError(t, err)
		m := c.Members()
		r.barrier(m[0].NodeID, m[0].DeploymentID)
		require.Equal(t, 409, r.group("/lab/replace", `{"node":"hv02","by":`+member(7)+`}`).status, "it is on its way")
		r.workflow(m[1].DeploymentID, phase.Pending, phase.Success)
		r.workflow(m[1].DeploymentID, phase.ServerRequested, phase.FailedRun)
		golden(t, "cluster-blocked", r.get(clustersPath+"/lab"))
		require.Equal(t, map[string]string{"by": "required"}, r.group("/lab/replace", `{"node":"hv02"}`).fields(t))
		require.Equal(t, map[string]string{"by.node_config.server_profile": "required"}, r.group("/lab/replace", `{"node":"hv02","by":{"node_config":{"node_name":"hv07"}}}`).fields(t))
		require.Equal(t, 422, r.group("/lab/go-on-without", `{"node":"hv02"}`).status, "three do not go on as two")
		got := r.group("/lab/replace", `{"node":"hv02","by":`+member(7)+`}`)
		require.Equal(t, 202, got.status, got.body)
		doc := got.json(t)
		require.Equal(t, "installing", doc["status"])
		var states []string
		for _, one := range doc["members"].([]any) {
			states = append(states, fmt.Sprint(one.(map[string]any)["node_name"], " ", one.(map[string]any)["state"]))
		}
		require.Equal(t, []string{"hv01 member", "hv02 replaced", "hv07 member", "hv03 member"}, states)
	})
}

func TestClustersArePagedAndChosen(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	for i := range 5 {
		body := fmt.Sprintf(`{"cluster_config":{"cluster_name":"lab%d","nodes":[%s]}}`, i, member(i+1))
		require.Equal(t, 202, r.group("", body).status)
	}
	require.Equal(t, 202, r.group("/lab3/cancel", "").status)
	read := func(query string) (names []string) {
		for after := ""; ; {
			got := r.get(clustersPath + "?limit=2&after=" + after + query)
			require.Equal(t, 200, got.status, got.body)
			doc := got.json(t)
			for _, one := range doc["clusters"].([]any) {
				names = append(names, one.(map[string]any)["name"].(string))
			}
			if doc["next_cursor"] == nil {
				return names
			}
			after = doc["next_cursor"].(string)
		}
	}
	require.Equal(t, []string{"lab4", "lab3", "lab2", "lab1", "lab0"}, read(""))
	require.Equal(t, []string{"lab4", "lab2", "lab1", "lab0"}, read("&status=queued"))
	require.Equal(t, []string{"lab3"}, read("&text=HV04"))
	require.Empty(t, read("&text=lab&status=deployed"))
}

var _ cluster.CVMs = (*controllers)(nil)
