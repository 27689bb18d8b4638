package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/machine"
)

// said is who says what of a phase.
type said struct{ status, source, actor string }

// owners is who must have reported each phase of a stand-alone node on IBM VPC;
// "$" stands for the node's name.
var owners = map[phase.Key][]said{
	phase.Pending:          {{"waiting", "user", "tester"}, {"success", "orchestrator", "slipway"}},
	phase.ServerRequested:  {{"in_progress", "orchestrator", "slipway"}, {"success", "cloud_api", "slipway"}},
	phase.MonitoringStart:  {{"success", "orchestrator", "slipway"}}, // ended by the boot request
	phase.IPXEBoot:         {{"in_progress", "boot_service", "boot"}, {"success", "orchestrator", "slipway"}},
	phase.ConfigDownload:   {{"in_progress", "boot_service", "boot"}, {"success", "orchestrator", "slipway"}},
	phase.FoundationStart:  {{"in_progress", "installer_script", "$"}, {"success", "installer_script", "$"}},
	phase.NetworkConfig:    {{"in_progress", "installer_script", "$"}, {"success", "installer_script", "$"}},
	phase.StorageDiscovery: {{"in_progress", "installer_script", "$"}, {"success", "installer_script", "$"}},
	phase.ImageDownload:    {{"in_progress", "installer_script", "$"}, {"success", "installer_script", "$"}},
	phase.Installation:     {{"in_progress", "installer_script", "$"}, {"success", "installer_script", "$"}},
	phase.PostInstall:      {{"in_progress", "installer_script", "$"}, {"success", "installer_script", "$"}},
	phase.ClusterFormation: {{"skipped", "orchestrator", "slipway"}},
	phase.DNSRegistration:  {{"in_progress", "orchestrator", "slipway"}, {"success", "cloud_api", "slipway"}},
	phase.HealthValidation: {{"in_progress", "orchestrator", "slipway"}, {"success", "orchestrator", "slipway"}},
	phase.Deployed:         {{"success", "orchestrator", "slipway"}},
}

// also is what may be reported of a phase, and need not be.
var also = map[phase.Key][]said{
	phase.ServerRequested: {byItsBoot},
	phase.MonitoringStart: {{"in_progress", "cloud_api", "slipway"}}, // seen only if the machine is slow to boot
}

// byItsBoot ends the order of a server that boots before the answer to its order
// is on disk, on a busy machine; what the cloud says comes after it then, as a
// step.
var byItsBoot = said{"success", "orchestrator", "slipway"}

func TestDemoFromOrderToDeployed(t *testing.T) {
	s := startShow(t, showLimit, demoOptions{})
	names := []string{"demo-1", "demo-2", "demo-3"}
	s.deploy(map[string]string{"demo-1": "", "demo-2": "", "demo-3": ""})
	s.until("all are deployed", func() bool { return s.is(phase.Succeeded, names...) })

	state := s.sim.Simulator.State()
	for what, n := range map[string]int{
		"servers created": state.ServersCreated, "servers": state.LiveServers, "power-ons": state.PowerOns,
		"interfaces created": state.VNIsCreated, "interfaces": state.VNIs,
	} {
		require.Equal(t, 3, n, what)
	}
	require.Equal(t, []int{9, 9}, []int{state.ReservedIPsCreated, state.ReservedIPs}, "addresses of machine, hypervisor and controller VM")
	require.Equal(t, 12, state.DNSRecordsCreated)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			checkRuns(t, s.status(name))
			rows := s.history(name)
			checkHistory(t, name, rows, s.events[s.ids[name]])
			sv := s.server(name)
			checkNames(t, state, name, sv.IP)
			checkConsole(t, s, sv.ID)
			checkMachine(t, s, sv, rows)
			checkControllerVM(t, s, state, name)
		})
	}
}

// checkRuns: every phase of the table has one run, in order.
func checkRuns(t *testing.T, st query.NodeStatus) {
	t.Helper()
	var want, got []string
	for _, d := range phase.Catalogue(deploy.ProviderIBMVPC) {
		status := "success"
		if d.Key == phase.ClusterFormation {
			status = "skipped"
		}
		want = append(want, d.Key+" "+status)
	}
	for _, p := range st.Phases {
		got = append(got, p.Phase+" "+p.Status)
		require.NotNil(t, p.FinishedAt, p.Phase)
		require.Equal(t, 1, p.Attempt, p.Phase)
	}
	require.Equal(t, want, got)
	require.Equal(t, "succeeded", *st.State)
	require.Equal(t, phase.Deployed, st.CurrentPhase)
	require.InDelta(t, 100, st.ProgressPercent, 0)
	require.Nil(t, st.Failure)
	require.False(t, st.TimedOut)
}

// checkHistory: no gap, everybody says their own, and the stream said the same.
func checkHistory(t *testing.T, name string, rows []query.HistoryRow, events []*feed.Event) {
	t.Helper()
	require.Len(t, events, len(rows))
	seen := map[phase.Key][]said{}
	last := 0
	for i, r := range rows {
		require.Equal(t, i+1, r.Sequence)
		require.Equal(t, r.EventID, events[i].ID)
		if r.Outcome == "step" && (r.Phase == phase.ServerRequested || r.Phase == phase.MonitoringStart) {
			require.Equal(t, "cloud_api", r.Source, "%+v", r)
			continue
		}
		require.Equal(t, "accepted", r.Outcome, "%+v", r)
		actor := r.Actor
		if actor == name {
			actor = "$"
		}
		one := said{r.Status, r.Source, actor}
		require.Contains(t, append(owners[r.Phase], also[r.Phase]...), one, "%s: event %d", r.Phase, r.Sequence)
		seen[r.Phase] = append(seen[r.Phase], one)
		def, _ := phase.Lookup(r.Phase)
		require.GreaterOrEqual(t, def.Ordinal, last, "event %d goes back to %s", r.Sequence, r.Phase)
		last = def.Ordinal
	}
	for key, must := range owners {
		for _, one := range must {
			if key == phase.ServerRequested && one.status == "success" && slices.Contains(seen[key], byItsBoot) {
				continue
			}
			require.Contains(t, seen[key], one, "%s", key)
		}
	}
}

// checkNames: both records point at each other.
func checkNames(t *testing.T, state vpcsim.State, name, ip string) {
	t.Helper()
	host := name + ".demo.slipway.test"
	a := slices.IndexFunc(state.Records, func(r vpcsim.RecordState) bool { return r.Type == "A" && r.Name == host && r.Data == ip })
	require.GreaterOrEqual(t, a, 0, "no A record of %s in %v", host, state.Records)
	b := netip.MustParseAddr(ip).As4()
	reverse := fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", b[3], b[2], b[1], b[0])
	ptr := slices.IndexFunc(state.Records, func(r vpcsim.RecordState) bool {
		return r.Type == "PTR" && r.Data == host && (r.Name == reverse || r.Name == ip)
	})
	require.GreaterOrEqual(t, ptr, 0, "no PTR record of %s in %v", ip, state.Records)
}

// checkControllerVM: it runs at the node's address for one, has the name that
// people reach Prism by, shows the host key that the machine reported, and lets
// this Slipway in.
func checkControllerVM(t *testing.T, s *show, state vpcsim.State, name string) {
	t.Helper()
	var ip, key string
	require.NoError(t, s.app.Store.Read.QueryRowContext(s.ctx, `SELECT cvm_ip, cvm_host_key FROM nodes WHERE name = $1`, name).Scan(&ip, &key))
	checkNames(t, state, deploy.CVMHost(name), ip)
	access, err := health.LoadOrCreateKey(filepath.Join(s.dir, "ssh", "id_ed25519"))
	require.NoError(t, err)
	client := cvm.Client{Key: access.Signer}
	target := cvm.Target{Addr: netip.MustParseAddr(ip), Port: demoSSHPort, PrismPort: demoPrismPort, HostKey: key}
	require.Eventually(t, func() bool {
		st, err := client.Status(s.ctx, target)
		return err == nil && st.Verdict == cvm.VerdictUnconfigured
	}, 2*time.Minute, 50*time.Millisecond, "%s belongs to no cluster", name)
}

// checkConsole: kernel and ramdisk were compared with what was announced.
func checkConsole(t *testing.T, s *show, serverID string) {
	t.Helper()
	catalogue, err := openArtifacts(dataFlags{DataDir: s.dir})
	require.NoError(t, err)
	defer catalogue.Close()
	console := s.sim.Rack.Console(serverID)
	for _, name := range []string{machine.KernelName, machine.InitrdName} {
		a, err := catalogue.Get(name)
		require.NoError(t, err)
		require.Contains(t, console, fmt.Sprintf("%s: sha256 is %s, compared with the boot script and the X-Checksum-Sha256 header", name, a.SHA256))
	}
}

// checkMachine: the system that was logged in to is the one that runs now, on
// a machine that has restarted since it was installed.
func checkMachine(t *testing.T, s *show, sv vpcsim.ServerState, rows []query.HistoryRow) {
	t.Helper()
	now := s.sim.Rack.Status(sv.ID)
	require.Equal(t, machine.StateRunning, now.State)
	require.Equal(t, 2, now.Boots)
	at := func(key, status string) query.HistoryRow {
		i := slices.IndexFunc(rows, func(r query.HistoryRow) bool { return r.Phase == key && r.Status == status })
		require.GreaterOrEqual(t, i, 0)
		return rows[i]
	}
	require.Equal(t, fmt.Sprintf("logged in to %s; boot id %s", sv.IP, now.BootID), at(phase.HealthValidation, "success").Message)
	installed := string(at(phase.PostInstall, "success").Details)
	require.Contains(t, installed, "ssh-ed25519 ")
	require.Contains(t, installed, "boot_id")
	require.NotContains(t, installed, now.BootID)
	require.True(t, strings.HasPrefix(sv.UserData, s.app.URL+"/boot/d/"), sv.UserData)
}
