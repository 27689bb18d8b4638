package pxe_test

import (
	"database/sql"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/pxe/nodeconfig"
)

// The VLANs of the order are in the document, with the addresses that are held
// for them; one for which none is held is there without.
func TestConfigurationTellsTheVLANs(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	n := r.order("web-01", "10.240.0.10", func(s *deploy.Spec) {
		s.Storage = json.RawMessage(`{"boot_disk":{"serial":"S0"},"data_drives":[]}`)
		s.VLANs = []deploy.VLAN{{ID: 100, Subnet: "a"}, {ID: 200, Subnet: "b", Float: true}}
	})
	require.NoError(t, r.st.InTx(t.Context(), func(tx *sql.Tx) error {
		return r.st.EntTx(tx).Resource.Create().SetNodeID(n.id).SetCreatedBy(n.deployment).SetHeldBy(n.deployment).SetProvider("ibm_vpc").
			SetKind("reserved_ip").SetRole("vlan-100").SetName("v100").SetState(deploy.ResourcePresent).
			SetDetails([]byte(`{"address":"10.240.8.5","cidr":"10.240.8.0/25","gateway":"10.240.8.1"}`)).Exec(t.Context())
	}))
	r.admit(n)
	tok := token(t, r.boot("/boot/d/"+n.locator))
	status, _, body := r.call("GET", "/boot/server/10.240.0.10", tok)
	require.Equal(t, 200, status, body)
	var c nodeconfig.Config
	require.NoError(t, json.Unmarshal([]byte(body), &c))
	require.NoError(t, c.Validate())
	require.Equal(t, []nodeconfig.VLAN{{ID: 100, Address: "10.240.8.5", Netmask: "255.255.255.128"}, {ID: 200}}, c.Network.VLANs)
	require.Equal(t, "10.240.0.10", c.Network.Address)

	_, _, shell := r.call("GET", "/boot/server/10.240.0.10?format=sh", tok)
	for _, line := range []string{"CFG_NETWORK_VLANS_COUNT=2\n", "CFG_NETWORK_VLANS_1_ID=100\n", "CFG_NETWORK_VLANS_1_ADDRESS='10.240.8.5'\n", "CFG_NETWORK_VLANS_2_ID=200\n",
		"CFG_NODE_CONFIG_AHV_IP='10.240.0.51'\n", "CFG_NODE_CONFIG_CVM_IP='10.240.0.101'\n"} {
		require.Contains(t, shell, line)
	}
	require.NotContains(t, shell, "CFG_NETWORK_VLANS_2_ADDRESS")
}
