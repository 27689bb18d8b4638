package pxe_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/pxe/nodeconfig"
)

const (
	rackIP   = "127.0.0.21"
	rackMAC  = "52:54:00:00:00:21"
	ownQuery = "/boot/config?mac=52-54-00-00-00-21"
)

// rack deploys a rack machine that waits for a slot.
func (r *rig) rack(name, ip, mac string) node {
	r.t.Helper()
	d, err := r.writer.Deploy(r.t.Context(), lifecycle.NewDeployment{Name: name, Actor: deploy.System, Spec: deploy.Spec{
		Provider: deploy.ProviderRack, MAC: mac, ManagementIP: ip, Netmask: "255.255.255.0", Gateway: "127.0.0.254",
		Storage: json.RawMessage(`{"boot_disk":{"serial":"S0"},"data_drives":[]}`),
	}})
	require.NoError(r.t, err)
	return node{id: d.NodeID, deployment: d.DeploymentID}
}

// admitted deploys a rack machine that is expected to boot.
func (r *rig) admitted(name, ip, mac string) node {
	n := r.rack(name, ip, mac)
	r.say(n, phase.Pending, phase.Success, phase.ByWorkflow)
	return n
}

// from asks as the machine with an address, or somebody else with it, does.
func (r *rig) from(ip, method, path string, header ...string) (int, string) {
	r.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.web.URL+path, nil)
	require.NoError(r.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return res.StatusCode, string(body)
}

func (r *rig) bootFrom(ip, path string, header ...string) string {
	r.t.Helper()
	status, body := r.from(ip, "GET", path, header...)
	require.Equal(r.t, 200, status)
	require.True(r.t, strings.HasPrefix(body, "#!ipxe\n"), body)
	return body
}

// footprint counts what a boot may change.
func (r *rig) footprint() [2]int {
	return [2]int{r.count("SELECT count(*) FROM deployment_history"), r.count("SELECT count(*) FROM tokens")}
}

func TestARackMachineBootsFromOrderToDisk(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, settings())
		n := r.rack("rack-01", rackIP, rackMAC)
		path := ownQuery + "&mgmt_ip=" + rackIP

		wait := r.bootFrom(rackIP, path)
		require.Contains(t, wait, "chain --replace "+r.web.URL+"/boot/config?mac=52-54-00-00-00-21&mgmt_ip="+rackIP, "queued: it asks again, saying the same")
		require.NotContains(t, wait, "slipway.token")

		r.say(n, phase.Pending, phase.Success, phase.ByWorkflow)
		before := r.footprint()
		status, body := r.from(rackIP, "HEAD", path)
		require.Equal(t, 200, status)
		require.Empty(t, body)
		require.Equal(t, before, r.footprint(), "HEAD has no effect")

		first := r.bootFrom(rackIP, path)
		require.Contains(t, first, "node rack-01")
		require.Contains(t, first, "slipway.ip="+rackIP+" ")
		tok := token(t, first)
		p, err := r.access.Authenticate(t.Context(), tok)
		require.NoError(t, err)
		require.Equal(t, []any{n.deployment, 1}, []any{p.DeploymentID, p.Attempt})
		again := token(t, r.bootFrom(rackIP, path))
		require.NotEqual(t, tok, again)
		_, err = r.access.Authenticate(t.Context(), tok)
		require.NoError(t, err, "the older one is good until the newer one is used")

		status, _, doc := r.call("GET", "/boot/server/"+rackIP, again)
		require.Equal(t, 200, status, doc)
		var c nodeconfig.Config
		require.NoError(t, json.Unmarshal([]byte(doc), &c))
		require.NoError(t, c.Validate())
		require.Equal(t, []string{rackIP, "255.255.255.0", "127.0.0.254", rackMAC}, []string{c.Network.Address, c.Network.Netmask, c.Network.Gateway, c.Network.MAC})

		r.say(n, phase.PostInstall, phase.Success, phase.ByMachine)
		before = r.footprint()
		for range 3 {
			disk := r.bootFrom(rackIP, path)
			require.True(t, strings.HasSuffix(disk, "\nexit 1\n"), "UEFI firmware goes on to the disk after a failure only")
			require.Contains(t, disk, "iseq ${platform} efi && goto next ||\nsanboot")
			require.NotContains(t, disk, "kernel")
		}
		require.Equal(t, before, r.footprint(), "an installed machine is never installed again, and leaves no trace")
	})
}

func TestARackMachineThatRestartsInTheMiddle(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	r.admitted("rack-01", rackIP, rackMAC)
	for attempt := 1; attempt <= 3; attempt++ {
		script := r.bootFrom(rackIP, ownQuery)
		require.Contains(t, script, fmt.Sprintf("attempt %d", attempt))
		p, err := r.access.Authenticate(t.Context(), token(t, script))
		require.NoError(t, err)
		require.Equal(t, attempt, p.Attempt)
		status, _, body := r.call("GET", "/boot/server/"+rackIP, token(t, script))
		require.Equal(t, 200, status, body)
	}
	script := r.bootFrom(rackIP, ownQuery)
	require.NotContains(t, script, "kernel")
	require.Contains(t, script, "restarted")
	require.Equal(t, 1, r.count("SELECT count(*) FROM deployments WHERE state = 'failed' AND failure_code = 'reboot_loop'"))
	require.Contains(t, r.bootFrom(rackIP, ownQuery), "booting from the disk", "a failed deployment leaves it its disk")
}

// Whoever lacks one part of the proof gets no token and changes nothing.
func TestARackMachineMustProveItself(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	r.admitted("rack-01", rackIP, rackMAC)
	r.admitted("rack-02", "127.0.0.22", "52:54:00:00:00:22")
	cloud := r.order("web-01", "127.0.0.23", nil)
	r.admit(cloud)
	before := r.footprint()
	for name, c := range map[string]struct {
		from, path, says string
		header           []string
	}{
		"another address":                  {"127.0.0.29", ownQuery, "not the node's management address", nil},
		"another node's address":           {"127.0.0.22", ownQuery, "not the node's management address", nil},
		"a forwarded address":              {"127.0.0.29", ownQuery, "not the node's management address", []string{"X-Forwarded-For", rackIP, "Forwarded", "for=" + rackIP, "X-Real-Ip", rackIP}},
		"no MAC":                           {rackIP, "/boot/config", "does not give the MAC address", nil},
		"its address only":                 {rackIP, "/boot/config?mgmt_ip=" + rackIP, "does not give the MAC address", nil},
		"its id only":                      {rackIP, "/boot/config?node_id=1", "does not give the MAC address", nil},
		"another's MAC":                    {rackIP, "/boot/config?mac=52-54-00-00-00-22", "not the node's management address", nil},
		"another's MAC beside its address": {rackIP, "/boot/config?mgmt_ip=" + rackIP + "&mac=52-54-00-00-00-22", "node rack-02", nil},
		"a MAC that nobody has":            {rackIP, "/boot/config?mgmt_ip=" + rackIP + "&mac=52-54-00-00-00-99", "does not give the MAC address", nil},
		"no MAC at all in the MAC":         {rackIP, "/boot/config?mgmt_ip=" + rackIP + "&mac=zz", "does not give the MAC address", nil},
		"another's address beside":         {rackIP, ownQuery + "&mgmt_ip=127.0.0.22", "names another node as well", nil},
		"another's id beside":              {rackIP, ownQuery + "&node_id=2", "node rack-02", nil},
		"a server of the cloud":            {"127.0.0.23", "/boot/config?mac=02-00-00-00-00-03", "installs nothing", nil},
	} {
		script := r.bootFrom(c.from, c.path, c.header...)
		require.Contains(t, script, c.says, name)
		require.Contains(t, script, "nothing is changed on this machine", name)
		require.NotContains(t, script, "slipway.token", name)
		require.NotContains(t, script, "kernel", name)
		require.Equal(t, before, r.footprint(), name)
	}
	require.Contains(t, r.bootFrom(rackIP, ownQuery+"&mgmt_ip="), "slipway.token=", "a setting that firmware left empty is not said")
}

func TestARackMachineWithoutAnythingToInstallStops(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	_, err := r.writer.RegisterNode(t.Context(), lifecycle.NewNode{Name: "rack-09", ManagementIP: rackIP, MACs: []string{rackMAC}, Actor: deploy.System})
	require.NoError(t, err)
	before := r.footprint()
	script := r.bootFrom(rackIP, ownQuery)
	require.Contains(t, script, "node rack-09 (node_1), never deployed")
	require.Contains(t, script, "deploy the node, then restart the machine")
	require.NotContains(t, script, "slipway.token")
	require.Equal(t, before, r.footprint())
}

// A rack machine without a kernel to load is told so, and asks at the same
// address again.
func TestARackMachineAsksAgainWithWhatItSaid(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	r.admitted("rack-01", rackIP, rackMAC)
	require.NoError(t, r.files.Remove("vmlinuz"))
	script := r.bootFrom(rackIP, ownQuery+"&node_id=node_1&x=%24%7Bboot%7D")
	require.Contains(t, script, "artifact vmlinuz is not in the catalogue")
	require.Contains(t, script, "chain --replace "+r.web.URL+"/boot/config?mac=52-54-00-00-00-21&node_id=1 ")
	require.NotContains(t, script, "${boot")
	require.Equal(t, 1, r.count("SELECT count(*) FROM deployment_history WHERE phase = 'boot_blocked'"))
}

// Where the spec is silent, the settings' network that holds the address fills in.
func TestTheNetworkOfARackMachine(t *testing.T) {
	set := settings()
	set.DNSServers = []string{"127.0.0.2"}
	set.Networks = []deploy.Subnet{{Prefix: netip.MustParsePrefix("127.0.0.0/26"), Gateway: netip.MustParseAddr("127.0.0.62"), DNSServers: []string{"127.0.0.61"}}}
	for name, c := range map[string]struct {
		change func(*deploy.Spec)
		want   nodeconfig.Network
	}{
		"the settings'": {nil, nodeconfig.Network{Netmask: "255.255.255.192", Gateway: "127.0.0.62", DNSServers: []string{"127.0.0.61"}}},
		"its own": {func(s *deploy.Spec) { s.Netmask, s.Gateway, s.DNSServers = "24", "127.0.0.1", []string{"127.0.0.9"} },
			nodeconfig.Network{Netmask: "255.255.255.0", Gateway: "127.0.0.1", DNSServers: []string{"127.0.0.9"}}},
		"none": {func(s *deploy.Spec) { s.ManagementIP = "127.0.1.21" }, nodeconfig.Network{}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, storetest.SQLite(t), set)
			spec := deploy.Spec{Provider: deploy.ProviderRack, MAC: rackMAC, ManagementIP: rackIP}
			if c.change != nil {
				c.change(&spec)
			}
			d, err := r.writer.Deploy(t.Context(), lifecycle.NewDeployment{Name: "rack-01", Spec: spec, Actor: deploy.System})
			require.NoError(t, err)
			r.say(node{deployment: d.DeploymentID}, phase.Pending, phase.Success, phase.ByWorkflow)
			tok := token(t, r.bootFrom(spec.ManagementIP, ownQuery))
			status, _, body := r.call("GET", "/boot/server/"+spec.ManagementIP, tok)
			if c.want.Netmask == "" {
				require.Equal(t, 503, status)
				require.Contains(t, body, "network.netmask: is required")
				return
			}
			require.Equal(t, 200, status, body)
			var doc nodeconfig.Config
			require.NoError(t, json.Unmarshal([]byte(body), &doc))
			require.Equal(t, []any{c.want.Netmask, c.want.Gateway, c.want.DNSServers}, []any{doc.Network.Netmask, doc.Network.Gateway, doc.Network.DNSServers})
		})
	}
}

// Every URL in a rack machine's scripts is served.
func TestEveryURLOfARackMachinesScriptsIsServed(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	n := r.rack("rack-01", rackIP, rackMAC)
	scripts := r.bootFrom(rackIP, ownQuery)
	r.say(n, phase.Pending, phase.Success, phase.ByWorkflow)
	scripts += strings.ReplaceAll(r.bootFrom(rackIP, ownQuery), "${base}", r.web.URL)
	found := map[string]bool{}
	for _, u := range urls.FindAllString(scripts, -1) {
		path, ok := strings.CutPrefix(u, r.web.URL)
		require.True(t, ok, "%s is not ours", u)
		if path == "" {
			continue
		}
		status, body := r.from(rackIP, "GET", path)
		require.Equal(t, 200, status, path)
		require.NotEmpty(t, body)
		found[path] = true
	}
	require.Equal(t, map[string]bool{"/boot/config?mac=52-54-00-00-00-21": true, "/boot/images/vmlinuz": true, "/boot/images/initrd.img": true}, found)
}

// The scripts as a rack machine gets them.
func TestGoldenScriptsOfARackMachine(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	secret := regexp.MustCompile(`slr_[A-Za-z0-9_-]+`)
	keep := func(name, script string) {
		t.Helper()
		golden(t, name, secret.ReplaceAllString(strings.ReplaceAll(script, r.web.URL, "http://slipway.example:8080"), "slr_example"))
	}
	n := r.rack("rack-01", rackIP, rackMAC)
	keep("rack-wait.ipxe", r.bootFrom(rackIP, ownQuery))
	r.say(n, phase.Pending, phase.Success, phase.ByWorkflow)
	keep("rack-unproven.ipxe", r.bootFrom("127.0.0.29", ownQuery))
	keep("rack-unknown.ipxe", r.bootFrom("127.0.0.29", "/boot/config?mac=52-54-00-00-00-99"))
	keep("rack-install.ipxe", r.bootFrom(rackIP, ownQuery))
	r.say(n, phase.Failed, phase.FailedRun, phase.ByWorkflow)
	keep("rack-disk.ipxe", r.bootFrom(rackIP, ownQuery))
}
