package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/server"
)

const goodOrder = `{"node_config":{"node_name":"web-01","server_profile":"bx2d-metal-96x384","cluster_role":"x","storage_config":{"data_drives":[]}},
"network_config":{"management_subnet":"auto","workload_subnets":["w1"],"cluster_operation":"create_new"},"cluster_config":{"cluster_type":"single"}}`

func (r *rig) post(body string, headers ...string) answered {
	return r.call("POST", "/api/config/nodes", r.operator, body, append([]string{"Content-Type", jsonType}, headers...)...)
}

func TestOrderANode(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		got := r.post(goodOrder, "Idempotency-Key", "k1")
		require.Equal(t, 202, got.status, got.body)
		golden(t, "order", got)
		doc := got.json(t)
		st := r.get(doc["monitoring_endpoint"].(string)).json(t)
		require.Equal(t, "web-01", st["server_name"])
		require.Equal(t, "pending", st["current_phase"])

		same := r.post(goodOrder, "Idempotency-Key", "k1")
		require.Equal(t, 202, same.status)
		require.Equal(t, doc["deployment_id"], same.json(t)["deployment_id"])
		other := r.post(strings.Replace(goodOrder, "web-01", "web-02", 1), "Idempotency-Key", "k1")
		require.Equal(t, 422, other.status)
		require.Equal(t, "idempotency_conflict", other.json(t)["code"])

		before := r.get("/api/config/nodes/1").body
		taken := r.post(goodOrder)
		require.Equal(t, 409, taken.status, taken.body)
		require.Equal(t, "name_in_use", taken.json(t)["code"])
		require.Equal(t, before, r.get("/api/config/nodes/1").body, "nothing of the existing node is touched")
	})
}

// A misspelt member does not refuse an order, as older clients send some that
// say nothing here; whoever sent it hears of it.
func TestOrderWithStrangeMembers(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	got := r.post(`{"node_config":{"node_name":"web-01","server_profile":"p","storage_template":"x","cluster_role":"r"},"network_config":{"mgmt_ip":"10.0.0.9"},"extra":1}`)
	require.Equal(t, 202, got.status, got.body)
	require.Equal(t, "deployment 1 of web-01 was accepted; not known and passed over: extra, node_config.storage_template, network_config.mgmt_ip", got.json(t)["message"])
}

func TestOrderRefusals(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) {
		p.CheckStorage = func(json.RawMessage) []deploy.FieldError {
			return []deploy.FieldError{{Field: "storage_config.boot_disk", Code: deploy.CodeInvalid, Message: "no"}}
		}
	})
	for _, tc := range []struct {
		name, body string
		bad        map[string]string
	}{
		{"nothing", `{}`, map[string]string{"node_config": "required"}},
		{"empty objects", `{"node_config":{}}`, map[string]string{"node_config.node_name": "required", "node_config.server_profile": "required"}},
		{"wrong types", `{"node_config":{"node_name":1,"server_profile":[],"storage_config":"x","labels":[1]},"network_config":[],"cluster_config":{"cluster_type":7}}`, map[string]string{
			"node_config.node_name": "invalid", "node_config.server_profile": "invalid", "node_config.storage_config": "invalid",
			"node_config.labels": "invalid", "network_config": "invalid", "cluster_config.cluster_type": "invalid"}},
		{"bad values", `{"node_config":{"node_name":"Web_01","server_profile":"p","provider":"aws","mac":"x"},"network_config":{"management_ip":"1.2.3","workload_subnets":"x","dns_servers":["x"]}}`, map[string]string{
			"node_config.node_name": "invalid", "node_config.provider": "invalid", "node_config.mac": "invalid", "network_config.management_ip": "invalid",
			"network_config.workload_subnets": "invalid", "network_config.dns_servers": "invalid"}},
		{"digits only", `{"node_config":{"node_name":"123","server_profile":"p"}}`, map[string]string{"node_config.node_name": "invalid"}},
		{"too long", fmt.Sprintf(`{"node_config":{"node_name":%q,"server_profile":%q,"zone":%q},"cluster_config":{"cluster_name":%q}}`,
			strings.Repeat("a", 41), strings.Repeat("p", 150), strings.Repeat("z", 300), strings.Repeat("c", 64)), map[string]string{
			"node_config.node_name": "out_of_range", "node_config.server_profile": "out_of_range", "node_config.zone": "out_of_range", "cluster_config.cluster_name": "out_of_range"}},
		{"too many", `{"node_config":{"node_name":"a1","server_profile":"p"},"network_config":{"workload_subnets":["1","2","3","4","5","6","7","8"]}}`, map[string]string{"network_config.workload_subnets": "out_of_range"}},
		{"not of the account", `{"node_config":{"node_name":"a1","server_profile":"p","image":7,"keys":["k","k"]},"network_config":{"security_groups":["1","2","3","4","5","6"]}}`, map[string]string{
			"node_config.image": "invalid", "node_config.keys": "already_exists", "network_config.security_groups": "out_of_range"}},
		{"not of a rack", `{"node_config":{"node_name":"a1","provider":"rack","mac":"52:54:00:12:34:56","image":"i","keys":["k"]},"network_config":{"management_ip":"10.0.0.9","security_groups":["g"]}}`, map[string]string{
			"node_config.image": "invalid", "node_config.keys": "invalid", "network_config.security_groups": "invalid"}},
		{"NUL", `{"node_config":{"node_name":"a1","server_profile":"p\u0000"}}`, map[string]string{"node_config.server_profile": "invalid"}},
		{"storage", `{"node_config":{"node_name":"a1","server_profile":"p","storage_config":{"boot_disk":{}}}}`, map[string]string{"node_config.storage_config.boot_disk": "invalid"}},
	} {
		got := r.post(tc.body)
		require.Equal(t, 422, got.status, "%s: %s", tc.name, got.body)
		require.Equal(t, tc.bad, got.fields(t), tc.name)
	}
	require.Equal(t, 400, r.post(`{"node_config":`).status)
	require.Equal(t, 400, r.post(`[]`).status)
	require.Equal(t, 413, r.post(`{"x":"`+strings.Repeat("x", 300<<10)+`"}`).status)
	require.Equal(t, 415, r.call("POST", "/api/config/nodes", r.operator, "a=b", "Content-Type", formType).status)
	require.Empty(t, r.get("/api/config/nodes").json(t)["nodes"], "nothing was made")
}

func TestNodesArePaged(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	for i := range 5 {
		require.Equal(t, 202, r.post(strings.Replace(goodOrder, "web-01", fmt.Sprintf("web-%02d", i), 1)).status)
	}
	var names []string
	for after := ""; ; {
		doc := r.get("/api/config/nodes?limit=2&after=" + after).json(t)
		for _, n := range doc["nodes"].([]any) {
			names = append(names, n.(map[string]any)["node_name"].(string))
		}
		if doc["next_cursor"] == nil {
			break
		}
		after = doc["next_cursor"].(string)
	}
	require.Equal(t, []string{"web-04", "web-03", "web-02", "web-01", "web-00"}, names)
}
