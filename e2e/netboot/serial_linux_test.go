package netboot_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
)

// TestSerialNumber: a machine of which the serial number and the address are
// known, and no MAC address, boots, is installed, and is known by its MAC
// address when it comes back.
func TestSerialNumber(t *testing.T) {
	soak(t)
	if !inside(t) {
		return
	}
	m := &box{number: 8, firmware: uefi("-smbios", "type=1,serial=7cx 1y/23")}
	network(t, m)
	s := serve(t, "--pxe-allow-unknown")
	mask := "24"
	storage := json.RawMessage(fmt.Sprintf(`{"boot_disk":{"serial":%q},"data_drives":[{"serial":%q}]}`, m.bootDisk(), m.dataDisk()))
	list, err := s.api.Deploy(t.Context(), client.DeployNodesInput{Nodes: []client.DeployNodeInput{
		{Name: m.name(), Spec: client.DeploySpec{Rack: &client.RackSpec{Serial: "7CX 1Y/23", ManagementIp: m.address(), Netmask: &mask, Storage: &storage}}},
	}})
	require.NoError(t, err)
	require.NoError(t, list[0].Err)
	m.on(t)
	t.Cleanup(func() { t.Log(m.times()) })
	s.deployed(t, list[0].ID)
	installed(t, m)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ourAddress+":8080/api/status/history?server_ip="+m.address(), nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+s.command(t, "token", "create", "reader", "--role=viewer"))
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	history, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Contains(t, string(history), "its MAC address is "+m.mac()+", learnt by its serial number 7CX 1Y/23")
}
