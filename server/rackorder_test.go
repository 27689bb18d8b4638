package server_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const rackOrder = `{"node_config":{"node_name":"rack-01","provider":"rack","mac":"52-54-00-00-00-01","power":{"type":"redfish","url":"https://10.0.9.7","username":"slipway","password_ref":"lab"}},
	"network_config":{"management_ip":"10.0.8.7","netmask":"255.255.255.0","gateway":"10.0.8.1"}}`

// A rack machine's network and power are read strictly, bad fields are named
// as they are written, and a password is refused without being repeated.
func TestOrderOfARackMachine(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		for name, c := range map[string]struct {
			from, to string
			want     []string
		}{
			"netmask":       {"255.255.255.0", "255.0.255.0", []string{"network_config.netmask"}},
			"gateway":       {"10.0.8.1", "10.0.9.1", []string{"network_config.gateway"}},
			"url":           {"https://10.0.9.7", "https://u:p@10.0.9.7", []string{"node_config.power.url"}},
			"no secret":     {`,"password_ref":"lab"`, ``, []string{"node_config.power.password_ref"}},
			"a password":    {`"password_ref":"lab"`, `"password":"hunter2"`, []string{"node_config.power.password"}},
			"misspelt":      {`"username"`, `"user"`, []string{"node_config.power"}},
			"wrong type":    {`"username":"slipway"`, `"username":7`, []string{"node_config.power"}},
			"no object":     {`{"type":"redfish","url":"https://10.0.9.7","username":"slipway","password_ref":"lab"}`, `"redfish"`, []string{"node_config.power"}},
			"several":       {`"username":"slipway","password_ref":"lab"`, `"system_id":"1"`, []string{"node_config.power.username", "node_config.power.password_ref"}},
			"serial":        {`"mac":"52-54-00-00-00-01"`, `"serial":"To be filled by O.E.M."`, []string{"node_config.serial"}},
			"neither":       {`"mac":"52-54-00-00-00-01",`, ``, []string{"node_config.mac"}},
			"another cloud": {`"provider":"rack"`, `"provider":"ibm_vpc","server_profile":"p"`, []string{"node_config.power", "network_config.netmask", "network_config.gateway"}},
		} {
			got := r.call("POST", "/api/config/nodes", r.operator, strings.Replace(rackOrder, c.from, c.to, 1), "Content-Type", jsonType)
			require.Equal(t, 422, got.status, "%s: %s", name, got.body)
			for _, field := range c.want {
				require.Contains(t, got.body, `"`+field+`"`, name)
			}
			require.NotContains(t, got.body, "hunter2", name)
		}
		require.Empty(t, r.get("/api/config/nodes").json(t)["nodes"], "nothing was made")
		got := r.call("POST", "/api/config/nodes", r.operator, rackOrder, "Content-Type", jsonType)
		require.Equal(t, 202, got.status, got.body)
		numbered := `{"node_config":{"node_name":"rack-02","provider":"rack","serial":"7cx1y23"},"network_config":{"management_ip":"10.0.8.8"}}`
		got = r.call("POST", "/api/config/nodes", r.operator, numbered, "Content-Type", jsonType)
		require.Equal(t, 202, got.status, got.body)
		got = r.call("POST", "/api/config/nodes", r.operator, strings.NewReplacer("rack-02", "rack-03", "10.0.8.8", "10.0.8.9").Replace(numbered), "Content-Type", jsonType)
		require.Equal(t, 409, got.status, got.body)
		require.Contains(t, got.body, `"field":"node_config.serial"`)
	})
}
