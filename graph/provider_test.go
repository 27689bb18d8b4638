package graph_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/graph"
)

const validate = `query($input:DeployNodeInput!){validateDeployment(input:$input){ok ahead estimatedDuration checks{key label severity passed message hint field} errors{code message field}}}`

// line gives the check with a key as "PASSED" or its severity.
func line(a answer, key string) any {
	for _, c := range a.get("validateDeployment.checks").([]any) {
		if dig(c, "key") == key {
			if dig(c, "passed") == true {
				return "PASSED"
			}
			return dig(c, "severity")
		}
	}
	return nil
}

func TestValidateDeployment(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		asked := 0
		h.cloud.plan = func(o deploy.Order) ([]deploy.Check, error) {
			asked++
			if o.NodeName == "alpha" {
				require.Equal(t, []deploy.VLAN{{ID: 7, Subnet: "blue", Float: true}}, o.Spec.VLANs)
				require.Equal(t, "10.0.0.8", o.Spec.AHVIP)
				require.Equal(t, "10.0.0.9", o.Spec.CVMIP)
			}
			return []deploy.Check{
				{Key: "quota", Label: "Quota", Severity: deploy.CheckError, Passed: true, Message: "3 of 25"},
				{Key: "addresses", Label: "Addresses", Severity: deploy.CheckWarning, Message: "the range is nearly used up", Hint: "widen it", Field: "spec.ahv_ip"},
			}, nil
		}
		in := vpc("alpha")
		in["spec"] = m{"ibmVpc": m{"serverProfile": "bx2d-metal-96x384", "vlans": []m{{"id": 7, "subnet": "blue", "float": true}}, "network": m{"ahvIp": "10.0.0.8", "cvmIp": "10.0.0.9"}}}
		a := h.ok(validate, m{"input": in})
		require.Equal(t, true, a.get("validateDeployment.ok"), "a warning does not stop it")
		require.Equal(t, []any{}, a.get("validateDeployment.errors"))
		require.EqualValues(t, 0, a.get("validateDeployment.ahead"))
		require.Nil(t, a.get("validateDeployment.estimatedDuration"))
		require.Equal(t, "PASSED", line(a, "quota"))
		require.Equal(t, "WARNING", line(a, "addresses"))
		for _, c := range a.get("validateDeployment.checks").([]any) {
			if dig(c, "key") == "addresses" {
				require.Equal(t, []any{"spec", "ibmVpc", "network", "ahvIp"}, dig(c, "field"))
				require.Equal(t, "widen it", dig(c, "hint"))
			}
		}
		for _, table := range []string{"nodes", "deployments", "deployment_history", "resources"} {
			require.Zero(t, h.count(table), "a dry run writes nothing into %s", table)
		}

		// Bad fields are named, and the provider is not asked.
		asked = 0
		a = h.ok(validate, m{"input": m{"name": "Bad Name", "spec": m{"ibmVpc": m{"serverProfile": "", "network": m{"dnsServers": []string{"1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"}}}}}})
		require.Equal(t, false, a.get("validateDeployment.ok"))
		require.ElementsMatch(t, []string{"INVALID name", "REQUIRED spec.ibmVpc.serverProfile", "OUT_OF_RANGE spec.ibmVpc.network.dnsServers"}, errs(a, "validateDeployment.errors"))
		require.Zero(t, asked)
		a = h.ok(validate, m{"input": m{"name": "a1", "spec": m{}}})
		require.Equal(t, []string{"INVALID spec"}, errs(a, "validateDeployment.errors"))
		require.Equal(t, false, a.get("validateDeployment.ok"))

		// Names that are taken, the queue, a cloud that is away.
		h.order("taken")
		a = h.ok(validate, m{"input": vpc("taken")})
		require.Equal(t, "ERROR", line(a, "name"))
		require.Equal(t, false, a.get("validateDeployment.ok"))
		require.EqualValues(t, 1, a.get("validateDeployment.ahead"), "there is one slot")
		h.cloud.plan = nil
		a = h.ok(validate, m{"input": vpc("other")})
		require.Equal(t, "ERROR", line(a, "provider"))
		require.Equal(t, "FORBIDDEN", h.as("viewer", validate, m{"input": in}).code(t))
	})
}

func TestProviderOffer(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const doc = `query($p:Provider!){providerOffer(provider:$p){region zones profiles{name family cpus memoryGib dataDisks dataDiskGb usable why} subnets{id name zone cidr availableAddresses}
			securityGroups{id} sshKeys{id} images{id name status} dnsZones{id} servers quota asOf}}`
		require.Equal(t, "UPSTREAM_UNAVAILABLE", h.as("viewer", doc, m{"p": "IBM_VPC"}).code(t))
		h.cloud.offer = func() (deploy.Offer, error) {
			return deploy.Offer{
				Region: "us-south", Zones: []string{"us-south-1"}, Servers: 3,
				Profiles: []deploy.OfferProfile{{Name: "bx2-metal-96x384", Family: "balanced", CPUs: 96, MemoryGiB: 384, Why: "it has no local disks"}},
				Subnets:  []deploy.OfferSubnet{{ID: "0717-s", Name: "mgmt", Zone: "us-south-1", CIDR: "10.240.0.0/24", Available: 200}},
				Images:   []deploy.OfferNamed{{ID: "r006-i", Name: "ipxe", Status: "available"}},
			}, nil
		}
		a := h.as("viewer", doc, m{"p": "IBM_VPC"})
		require.Empty(t, a.Errors)
		require.Equal(t, []any{"us-south-1"}, a.get("providerOffer.zones"))
		require.Equal(t, m{"name": "bx2-metal-96x384", "family": "balanced", "cpus": 96.0, "memoryGib": 384.0, "dataDisks": 0.0, "dataDiskGb": 0.0, "usable": false, "why": "it has no local disks"}, a.get("providerOffer.profiles.0"))
		require.Equal(t, m{"id": "0717-s", "name": "mgmt", "zone": "us-south-1", "cidr": "10.240.0.0/24", "availableAddresses": 200.0}, a.get("providerOffer.subnets.0"))
		require.Equal(t, "available", a.get("providerOffer.images.0.status"))
		require.Equal(t, []any{}, a.get("providerOffer.dnsZones"))
		require.Nil(t, a.get("providerOffer.quota"))
		require.EqualValues(t, 3, a.get("providerOffer.servers"))
		require.NotNil(t, a.get("providerOffer.asOf"))
		require.Equal(t, "NOT_FOUND", h.as("viewer", doc, m{"p": "RACK"}).code(t), "it is not set up")
	})
}

func (h *house) resource(nodeID, deploymentID int64, kind, name, state string) {
	h.t.Helper()
	_, err := h.st.Write.ExecContext(h.t.Context(), `INSERT INTO resources (node_id, created_by, held_by, provider, kind, role, name, generation, state, cloud_id, last_error, created_at, updated_at)
		VALUES ($1, $2, $2, 'ibm_vpc', $3, '', $4, 1, $5, $6, '', $7, $7)`, nodeID, deploymentID, kind, name, state, "id-"+name, "2026-11-22 10:00:00+00:00")
	require.NoError(h.t, err)
}

func TestResourcesOfNodes(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a, b := h.order("a"), h.order("b")
		h.resource(a.NodeID, a.DeploymentID, "vni", "v1", deploy.ResourcePresent)
		h.resource(a.NodeID, a.DeploymentID, "server", "s1", deploy.ResourceGone)
		h.resource(b.NodeID, b.DeploymentID, "vni", "v2", deploy.ResourceDoubtful)
		const doc = `{bareMetalNodes(first:50){nodes{name ahvIp cvmIp protected resources{id kind role name cloudId state provider createdByNumber heldByNumber lastError createdAt updatedAt}}}}`
		before := h.queries.Load()
		got := h.ok(doc, nil)
		statements := h.queries.Load() - before
		require.Equal(t, m{"id": "res_1", "kind": "vni", "role": nil, "name": "v1", "cloudId": "id-v1", "state": "PRESENT", "provider": "IBM_VPC", "createdByNumber": 1.0, "heldByNumber": 1.0,
			"lastError": nil, "createdAt": "2026-11-22T10:00:00Z", "updatedAt": "2026-11-22T10:00:00Z"}, got.get("bareMetalNodes.nodes.0.resources.0"))
		require.Equal(t, "GONE", got.get("bareMetalNodes.nodes.0.resources.1.state"), "what is gone of the present deployment is shown")
		require.Equal(t, "DOUBTFUL", got.get("bareMetalNodes.nodes.1.resources.0.state"))
		require.Nil(t, got.get("bareMetalNodes.nodes.1.ahvIp"))
		for i := range 5 {
			d := h.order(fmt.Sprintf("n-%d", i))
			h.resource(d.NodeID, d.DeploymentID, "vni", fmt.Sprintf("w%d", i), deploy.ResourceIntent)
		}
		before = h.queries.Load()
		h.ok(doc, nil)
		require.Equal(t, statements, h.queries.Load()-before)

		// What an earlier deployment had and is gone is history.
		_, err := h.st.Write.ExecContext(t.Context(), `UPDATE nodes SET current_deployment_id = NULL WHERE id = $1`, a.NodeID)
		require.NoError(t, err)
		got = h.ok(doc, nil)
		require.Len(t, got.get("bareMetalNodes.nodes.0.resources"), 1)
	})
}

func TestDrift(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const report = `query{driftReport(provider:IBM_VPC){problem kind name cloudId zone status createdAt resourceId bareMetalNode{name} message}}`
		const remove = `mutation($input:RemoveOrphanInput!){x:removeOrphan(input:$input){done message orphan{kind name cloudId} errors{code message field retryable}}}`
		require.Equal(t, "FORBIDDEN", h.as("viewer", report, nil).code(t))
		require.Equal(t, "UPSTREAM_UNAVAILABLE", h.as("operator", report, nil).code(t))
		d := h.order("alpha")
		h.resource(d.NodeID, d.DeploymentID, "vni", "v1", deploy.ResourcePresent)
		made := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		h.cloud.audit = func() ([]deploy.Drift, error) {
			return []deploy.Drift{
				{Problem: deploy.DriftOrphan, Kind: "server", Name: "slw-x", CloudID: "0717-x", Zone: "us-south-1", Status: "running", CreatedAt: &made, Message: "nobody holds it"},
				{Problem: deploy.DriftOrphan, Kind: "vni", Name: "twin", CloudID: "a", Message: "nobody holds it"},
				{Problem: deploy.DriftOrphan, Kind: "vni", Name: "twin", CloudID: "b", Message: "nobody holds it"},
				{Problem: deploy.DriftMissing, Kind: "vni", Name: "v1", ResourceID: 1, NodeID: d.NodeID, Message: "it is not there"},
			}, nil
		}
		a := h.ok(report, nil)
		require.Len(t, a.get("driftReport"), 4)
		require.Equal(t, m{"problem": "MISSING", "kind": "vni", "name": "v1", "cloudId": nil, "zone": nil, "status": nil, "createdAt": nil, "resourceId": "res_1",
			"bareMetalNode": m{"name": "alpha"}, "message": "it is not there"}, a.get("driftReport.0"))
		require.Equal(t, "2026-11-01T00:00:00Z", a.get("driftReport.1.createdAt"))
		require.Nil(t, a.get("driftReport.1.bareMetalNode"))

		input := m{"provider": "IBM_VPC", "kind": "server", "cloudId": "0717-x"}
		for _, role := range []string{"viewer", "operator"} {
			require.Equal(t, "FORBIDDEN", h.as(role, remove, m{"input": input}).code(t))
		}
		do := func(in m) answer {
			a := h.as("admin", remove, m{"input": in})
			require.Empty(t, a.Errors, a.Raw)
			return a
		}
		removed := 0
		h.cloud.remove = func(d deploy.Drift) error {
			removed++
			if removed == 1 {
				return &deploy.ProviderError{Code: deploy.CodeConflict, Message: "it is stopping", Temporary: true}
			}
			return nil
		}
		a = do(input)
		require.Empty(t, errs(a, "x.errors"))
		require.Equal(t, false, a.get("x.done"))
		require.Equal(t, "it is stopping", a.get("x.message"))
		a = do(input)
		require.Equal(t, true, a.get("x.done"))
		require.Equal(t, m{"kind": "server", "name": "slw-x", "cloudId": "0717-x"}, a.get("x.orphan"))
		for want, in := range map[string]m{
			"NOT_FOUND":          {"kind": "vni", "name": "v1"}, // a row holds it
			"CONFLICT":           {"kind": "vni", "name": "twin"},
			"REQUIRED cloudId":   {"kind": "vni"},
			"REQUIRED kind":      {"kind": "", "name": "twin"},
			"NOT_FOUND provider": {"provider": "RACK", "kind": "server", "name": "x"},
		} {
			if in["provider"] == nil {
				in["provider"] = "IBM_VPC"
			}
			a = do(in)
			require.Equal(t, []string{want}, errs(a, "x.errors"))
			require.Nil(t, a.get("x.orphan"))
		}
		require.Equal(t, 2, removed)
	})
}

func TestAdopt(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const doc = `mutation($input:AdoptServerInput!){x:adoptServer(input:$input){bareMetalNode{name state protected protectNote managementIp serverProfile labels{key value} currentDeployment{kind number state phase allowedActions}}
			found{serverId name serverStatus serverProfile zone managementIp macAddresses resources{kind role name cloudId}} errors{code message field}}}`
		in := m{"name": "old-one", "server": " legacy-7 ", "labels": []m{{"key": "row", "value": "7"}}}
		for _, role := range []string{"viewer", "operator"} {
			require.Equal(t, "FORBIDDEN", h.as(role, doc, m{"input": in}).code(t))
		}
		do := func(more m) answer {
			all := m{}
			for k, v := range in {
				all[k] = v
			}
			for k, v := range more {
				all[k] = v
			}
			a := h.as("admin", doc, m{"input": all})
			require.Empty(t, a.Errors, a.Raw)
			return a
		}
		require.Equal(t, []string{"UPSTREAM_UNAVAILABLE"}, errs(do(nil), "x.errors"))
		h.cloud.examine = func(server string) (deploy.Adopted, error) {
			if server != "legacy-7" {
				return deploy.Adopted{}, &deploy.ProviderError{Code: deploy.CodeNotFound, Message: "there is no such server"}
			}
			return deploy.Adopted{
				Machine: deploy.Machine{ServerID: "0717-7", ServerStatus: "running", ManagementIP: "10.0.0.7", MACs: []string{"02:00:00:00:00:07"}},
				Name:    "legacy-7", Profile: "bx2d-metal-96x384", Zone: "us-south-1",
				Resources: []deploy.AdoptedResource{{Kind: "server", Name: "legacy-7", CloudID: "0717-7"}, {Kind: "vni", Role: "management", Name: "legacy-vni", CloudID: "0717-v"}},
			}, nil
		}
		found := do(m{"dryRun": true})
		require.Nil(t, found.get("x.bareMetalNode"))
		require.Equal(t, "0717-7", found.get("x.found.serverId"))
		require.Equal(t, m{"kind": "vni", "role": "management", "name": "legacy-vni", "cloudId": "0717-v"}, found.get("x.found.resources.1"))
		require.Zero(t, h.count("nodes"))

		require.Equal(t, []string{"INVALID name"}, errs(do(m{"name": "Old One"}), "x.errors"))
		require.Equal(t, []string{"REQUIRED server"}, errs(do(m{"server": " "}), "x.errors"))
		require.Equal(t, []string{"NOT_FOUND"}, errs(do(m{"server": "other"}), "x.errors"))
		require.Equal(t, []string{"OUT_OF_RANGE clusterName"}, errs(do(m{"clusterName": strings.Repeat("c", 64)}), "x.errors"))
		require.Equal(t, []string{"NOT_FOUND provider"}, errs(do(m{"provider": "RACK"}), "x.errors"))
		require.Zero(t, h.count("nodes"))

		a := do(nil)
		require.Empty(t, errs(a, "x.errors"))
		require.Equal(t, m{"name": "old-one", "state": "SUCCEEDED", "protected": true, "protectNote": "adopted; not made by Slipway", "managementIp": "10.0.0.7", "serverProfile": "bx2d-metal-96x384",
			"labels": []any{m{"key": "row", "value": "7"}}, "currentDeployment": m{"kind": "ADOPT", "number": 1.0, "state": "SUCCEEDED", "phase": "DEPLOYED", "allowedActions": []any{}}}, a.get("x.bareMetalNode"))
		require.Equal(t, 2, h.count("resources"))
		require.Equal(t, []string{"ALREADY_EXISTS"}, errs(do(m{"name": "again"}), "x.errors"))
	})
}

func TestConsole(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const doc = `mutation($input:OpenConsoleInput!){x:openConsole(input:$input){console{url type expiresAt forced} errors{code message field retryable}}}`
		d := h.order("alpha")
		require.Equal(t, "FORBIDDEN", h.as("viewer", doc, m{"input": m{"id": nodeOf(d)}}).code(t))
		require.Equal(t, []string{"UPSTREAM_UNAVAILABLE"}, errs(h.ok(doc, m{"input": m{"id": nodeOf(d)}}), "x.errors"))
		h.cloud.console = func(id int64, kind string, force bool) (deploy.Console, error) {
			if !force {
				return deploy.Console{}, &deploy.ProviderError{Code: deploy.CodeConflict, Message: "somebody has it open", Hint: "force it"}
			}
			return deploy.Console{URL: "wss://console.test/?token=once", Type: kind, ExpiresAt: time.Date(2026, 11, 22, 10, 5, 0, 0, time.UTC), Force: true}, nil
		}
		require.Equal(t, []string{"CONFLICT"}, errs(h.ok(doc, m{"input": m{"id": nodeOf(d)}}), "x.errors"))
		a := h.ok(doc, m{"input": m{"id": nodeOf(d), "type": "VNC", "force": true}})
		require.Equal(t, m{"url": "wss://console.test/?token=once", "type": "VNC", "expiresAt": "2026-11-22T10:05:00Z", "forced": true}, a.get("x.console"))
		require.NotContains(t, h.log.String(), "token=once", "the address is a secret")
		require.Equal(t, []string{"NOT_FOUND id"}, errs(h.ok(doc, m{"input": m{"id": global(d)}}), "x.errors"))
		require.Equal(t, []string{"NOT_FOUND"}, errs(h.ok(doc, m{"input": m{"id": "node_9999"}}), "x.errors"))
	})
}

// A server without any provider still answers, and says so.
func TestNoOperations(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.without()
		d := h.order("alpha")
		h.finish(d)
		for _, doc := range []string{
			`query{providerOffer(provider:IBM_VPC){region}}`, `query{driftReport(provider:IBM_VPC){name}}`,
			`query{validateDeployment(input:{name:"b",spec:{ibmVpc:{serverProfile:"p"}}}){ok}}`,
		} {
			require.Equal(t, "WRONG_STATE", h.as("admin", doc, nil).code(t))
		}
		for _, doc := range []string{
			`mutation{x:cleanupDeployment(input:{id:"` + global(d) + `",dryRun:true}){errors{code}}}`,
			`mutation{x:openConsole(input:{id:"` + nodeOf(d) + `"}){errors{code}}}`,
			`mutation{x:adoptServer(input:{name:"b",server:"s"}){errors{code}}}`,
			`mutation{x:adoptServer(input:{name:"b",server:"s",dryRun:true}){errors{code}}}`,
			`mutation{x:removeOrphan(input:{provider:IBM_VPC,kind:"server",name:"s"}){errors{code}}}`,
		} {
			a := h.as("admin", doc, nil)
			require.Empty(t, a.Errors)
			require.Equal(t, []string{"WRONG_STATE"}, errs(a, "x.errors"), doc)
		}
		require.Equal(t, []any{"CLEANUP", "REINITIALIZE"}, h.actions(d))
	})
}

// without makes the API anew, without anything that needs a provider.
func (h *house) without() {
	d := h.deps
	d.Operations = nil
	h.handler = graph.NewHandler(d)
}
