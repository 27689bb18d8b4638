package pxe_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// numbered deploys a rack machine that is known by its serial number alone, and
// is expected to boot.
func (r *rig) numbered(name, ip, serial string) node {
	r.t.Helper()
	d, err := r.writer.Deploy(r.t.Context(), lifecycle.NewDeployment{Name: name, Actor: deploy.System, Spec: deploy.Spec{
		Provider: deploy.ProviderRack, Serial: serial, ManagementIP: ip, Netmask: "255.255.255.0", Gateway: "127.0.0.254",
		Storage: json.RawMessage(`{"boot_disk":{"serial":"S0"},"data_drives":[]}`),
	}})
	require.NoError(r.t, err)
	n := node{id: d.NodeID, deployment: d.DeploymentID}
	r.say(n, phase.Pending, phase.Success, phase.ByWorkflow)
	return n
}

func (r *rig) macOf(n node) string {
	r.t.Helper()
	m, err := query.NewMachines(r.st.Ent()).Machine(r.t.Context(), n.deployment)
	require.NoError(r.t, err)
	return m.MAC
}

// A machine that is registered by its serial number shows that number, its
// address and a MAC address once; from then on it is that MAC address.
func TestASerialNumberBringsTheMACAddress(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, settings())
		n := r.numbered("rack-01", rackIP, "7cx1y23 ")
		other := r.admitted("rack-02", "127.0.0.22", "52:54:00:00:00:22")
		const own = "/boot/config?serial=7CX1Y23&mac=52-54-00-00-00-21&mgmt_ip=" + rackIP

		before := r.footprint()
		for name, c := range map[string]struct{ from, path, says string }{
			"another address":         {"127.0.0.29", own, "not the node's management address"},
			"no serial number":        {rackIP, "/boot/config?mac=52-54-00-00-00-21&mgmt_ip=" + rackIP, "does not give the serial number"},
			"another serial number":   {rackIP, "/boot/config?mac=52-54-00-00-00-21&mgmt_ip=" + rackIP + "&serial=9ZZZ999", "does not give the serial number"},
			"a firmware's default":    {rackIP, "/boot/config?mac=52-54-00-00-00-21&mgmt_ip=" + rackIP + "&serial=Default+string", "does not give the serial number"},
			"no MAC address":          {rackIP, "/boot/config?serial=7CX1Y23", "does not give the MAC address of its boot interface"},
			"another node's MAC":      {rackIP, "/boot/config?serial=7CX1Y23&mac=52-54-00-00-00-22", "not the node's management address"},
			"another address as well": {rackIP, "/boot/config?serial=7CX1Y23&mac=52-54-00-00-00-21&mgmt_ip=127.0.0.22", "names another node as well"},
			"nobody's serial number":  {rackIP, "/boot/config?serial=9ZZZ999&mac=52-54-00-00-00-21", "unknown machine"},
		} {
			script := r.bootFrom(c.from, c.path)
			require.Contains(t, script, c.says, name)
			require.NotContains(t, script, "slipway.token", name)
			require.Equal(t, before, r.footprint(), name)
			require.Empty(t, r.macOf(n), name)
		}

		require.Contains(t, r.bootFrom(rackIP, "/boot/config?serial=7cx1y23&mac=52-54-00-00-00-21"), "slipway.token=", "in whatever case")
		require.Equal(t, rackMAC, r.macOf(n))
		require.Equal(t, 1, r.count("SELECT count(*) FROM deployment_history WHERE message LIKE '%its MAC address is 52:54:00:00:00:21, learnt by its serial number 7CX1Y23%'"))

		require.Contains(t, r.bootFrom(rackIP, "/boot/config?serial=7CX1Y23&mac=52-54-00-00-00-31"), "does not give the MAC address that the node is registered with",
			"a second interface, or a second machine with the same number")
		require.Contains(t, r.bootFrom(rackIP, "/boot/config?serial=9ZZZ999&mac=52-54-00-00-00-21"), "names another node as well")
		require.Contains(t, r.bootFrom(rackIP, ownQuery), "slipway.token=", "now it is known by its MAC address")
		require.Contains(t, r.bootFrom("127.0.0.22", "/boot/config?serial=ABC1234&mac=52-54-00-00-00-22"), "slipway.token=", "a serial number of which nothing is known is no contradiction")
		require.Equal(t, "52:54:00:00:00:22", r.macOf(other))
	})
}

// What it says is repeated when it has to ask again.
func TestASerialNumberIsRepeated(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	_, err := r.writer.Deploy(t.Context(), lifecycle.NewDeployment{Name: "rack-01", Actor: deploy.System, Spec: deploy.Spec{
		Provider: deploy.ProviderRack, Serial: "VMware-56 4d/a=b", ManagementIP: rackIP, Netmask: "24",
	}})
	require.NoError(t, err)
	wait := r.bootFrom(rackIP, "/boot/config?serial=vmware-56%204d/a=b&mac=52-54-00-00-00-21")
	require.Contains(t, wait, "/boot/config?mac=52-54-00-00-00-21&serial=VMWARE-56+4D%2FA%3DB")
}

// Nobody is given a serial number, or learns a MAC address, that is another's.
func TestASerialNumberIsUnique(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, settings())
		r.numbered("rack-01", rackIP, "7CX1Y23")
		spec := deploy.Spec{Provider: deploy.ProviderRack, Serial: "7cx1y23", ManagementIP: "127.0.0.22"}
		_, err := r.writer.Deploy(t.Context(), lifecycle.NewDeployment{Name: "rack-02", Actor: deploy.System, Spec: spec})
		require.True(t, deploy.HasCode(err, deploy.CodeAlreadyExists), err)
		id, err := r.writer.RegisterNode(t.Context(), lifecycle.NewNode{Name: "rack-03", Serial: "abc1234", Actor: deploy.System})
		require.NoError(t, err)
		require.Contains(t, r.bootFrom("127.0.0.23", "/boot/config?serial=ABC1234"), "node rack-03", "registered only")
		_, err = r.writer.RegisterNode(t.Context(), lifecycle.NewNode{Name: "rack-04", Serial: "ABC1234", Actor: deploy.System})
		require.True(t, deploy.HasCode(err, deploy.CodeAlreadyExists), err)
		spec.ManagementIP = "127.0.0.23"
		_, err = r.writer.Deploy(t.Context(), lifecycle.NewDeployment{NodeID: id, Name: "rack-03", Actor: deploy.System, Spec: spec})
		require.True(t, deploy.HasCode(err, deploy.CodeAlreadyExists), err)
		spec.Serial = ""
		spec.MAC = "52:54:00:00:00:23"
		_, err = r.writer.Deploy(t.Context(), lifecycle.NewDeployment{NodeID: id, Name: "rack-03", Actor: deploy.System, Spec: spec})
		require.NoError(t, err)
	})
}
