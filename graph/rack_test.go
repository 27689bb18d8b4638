package graph_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A rack machine's network and power come through, bad ones are named where
// they are in the input, and a password has no place.
func TestDeployOnARack(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		power := m{"type": "REDFISH", "url": "https://10.0.9.7", "username": "slipway", "passwordRef": "lab", "bootMode": "UEFI", "offAtRelease": true}
		spec := m{"mac": "02-00-00-00-00-01", "managementIp": "10.0.0.7", "netmask": "24", "gateway": "10.0.0.1", "dnsServers": []string{"10.0.0.2"}, "power": power}
		a := h.ok(operation(t, "Deploy"), m{"input": m{"name": "a1", "spec": m{"rack": spec}}})
		require.Empty(t, errs(a, "deployNode.errors"))
		require.NotNil(t, a.get("deployNode.deployment.id"))
		manual := h.ok(operation(t, "Deploy"), m{"input": m{"name": "a2", "spec": m{"rack": m{"mac": "02-00-00-00-00-02", "managementIp": "10.0.0.8", "power": m{"type": "MANUAL"}}}}})
		require.Empty(t, errs(manual, "deployNode.errors"))

		numbered := h.ok(operation(t, "Deploy"), m{"input": m{"name": "a4", "spec": m{"rack": m{"serial": " 7cx1y23", "managementIp": "10.0.0.10"}}}})
		require.Empty(t, errs(numbered, "deployNode.errors"))
		require.Equal(t, "7CX1Y23", h.ok(`{bareMetalNode(by:{name:"a4"}){serial}}`, nil).get("bareMetalNode.serial"))
		registered := h.ok(`mutation($i:RegisterNodeInput!){registerNode(input:$i){bareMetalNode{serial macAddresses} errors{code field}}}`, m{"i": m{"name": "a5", "serverProfile": "r740", "serial": "8yyy888"}})
		require.Equal(t, m{"serial": "8YYY888", "macAddresses": []any{}}, registered.get("registerNode.bareMetalNode"))

		for name, c := range map[string]struct {
			spec m
			want []string
		}{
			"network": {m{"netmask": "255.0.255.0", "gateway": "10.0.0.9"}, []string{"INVALID spec.rack.netmask", "CONFLICT spec.rack.gateway"}},
			"servers": {m{"dnsServers": []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}}, []string{"OUT_OF_RANGE spec.rack.dnsServers"}},
			"power":   {m{"power": m{"type": "REDFISH", "url": "https://u:p@x", "passwordRef": "../x"}}, []string{"INVALID spec.rack.power.url", "REQUIRED spec.rack.power.username", "INVALID spec.rack.power.passwordRef"}},
			"neither": {m{"mac": nil}, []string{"REQUIRED spec.rack.mac"}},
			"default": {m{"mac": nil, "serial": "Default string"}, []string{"INVALID spec.rack.serial"}},
			"serial":  {m{"mac": nil, "serial": "7CX1Y23"}, []string{"ALREADY_EXISTS spec.rack.serial"}},
			"manual":  {m{"power": m{"type": "MANUAL", "url": "https://x"}}, []string{"INVALID spec.rack.power.type"}},
		} {
			in := m{"mac": "02-00-00-00-00-03", "managementIp": "10.0.0.9"}
			for k, v := range c.spec {
				in[k] = v
			}
			a := h.ok(operation(t, "Deploy"), m{"input": m{"name": "a3", "spec": m{"rack": in}}})
			require.ElementsMatch(t, c.want, errs(a, "deployNode.errors"), name)
		}
		secret := m{"type": "REDFISH", "url": "https://10.0.9.7", "username": "slipway", "password": "hunter2"}
		refused := h.as("operator", operation(t, "Deploy"), m{"input": m{"name": "a3", "spec": m{"rack": m{"mac": "02-00-00-00-00-03", "managementIp": "10.0.0.9", "power": secret}}}})
		require.NotEmpty(t, refused.code(t))
		require.NotContains(t, refused.Raw, "hunter2")
	})
}
