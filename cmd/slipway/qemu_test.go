package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/qemu"
	"github.com/slipwayhq/slipway/tools/present"
)

// virtualProfile has few disks: each is one more that firmware looks at.
const virtualProfile = "mx3d-metal-16x128"

// installEnvironment is its directory; it is built unless it is up to date.
func installEnvironment(t *testing.T) string {
	t.Helper()
	for name, debian := range map[string]string{"cpio": "cpio", "depmod": "kmod", "busybox": "busybox-static", "apt-get": "apt"} {
		present.Command(t, name, debian)
	}
	dir, err := filepath.Abs("../../.cache/installer")
	require.NoError(t, err)
	if out, err := exec.CommandContext(t.Context(), "../../installer/build.sh", dir).CombinedOutput(); err != nil {
		present.Missing(t, fmt.Sprintf("the install environment cannot be built: %v\n%s", err, out))
	}
	return dir
}

// virtualShow is a demonstration with virtual machines, and one node ordered.
func virtualShow(t *testing.T, limit time.Duration, name string) (*show, *qemu.Rack) {
	t.Helper()
	if testing.Short() {
		t.Skip("a virtual machine takes a minute or two")
	}
	present.Command(t, qemu.Program, "qemu-system-x86")
	present.Command(t, "syslinux", "syslinux")
	present.Command(t, "mcopy", "mtools")
	present.Command(t, "mke2fs", "e2fsprogs")
	environment := installEnvironment(t)
	rack, err := qemu.New(qemu.Options{Dir: t.TempDir(), SSHPort: demoSSHPort})
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, id := range rack.Servers() {
				console := rack.Console(id)
				t.Logf("console of %s:\n%s", id, console[max(0, len(console)-8000):])
			}
		}
	})
	s := startShow(t, limit, demoOptions{Virtual: rack, Environment: environment})
	list, err := s.api.Deploy(s.ctx, client.DeployNodesInput{Nodes: []client.DeployNodeInput{
		{Name: name, Spec: client.DeploySpec{IbmVpc: &client.IbmVpcSpec{ServerProfile: virtualProfile}}},
	}})
	require.NoError(t, err)
	s.ordered(list)
	return s, rack
}

// TestVirtualMachineFromOrderToDeployed: SeaBIOS, iPXE, a real kernel, the
// install environment and the served scripts under its busybox, a restart into
// what was installed, and a login there. Nothing on the way is ours but what we
// serve.
func TestVirtualMachineFromOrderToDeployed(t *testing.T) {
	s, rack := virtualShow(t, 2*showLimit, "virtual-1")
	began := time.Now()
	s.until("it is deployed", func() bool {
		require.False(t, s.is(phase.StateFail, "virtual-1"), s.told())
		return s.is(phase.Succeeded, "virtual-1")
	})
	t.Logf("deployed after %s", time.Since(began).Round(time.Second))
	checkRuns(t, s.status("virtual-1"))
	checkHistory(t, "virtual-1", s.history("virtual-1"), s.events[s.ids["virtual-1"]])
	sv := s.server("virtual-1")
	require.True(t, rack.On(sv.ID))
	console := rack.Console(sv.ID)
	for _, said := range []string{
		"iPXE",
		"Slipway: node virtual-1",
		"slipway-installer: eth0 has " + sv.IP + "/24",
		"slipway-installer: installed; restarting",
		"SYSLINUX",
		"system: virtual-1 is up",
	} {
		require.Contains(t, console, said)
	}
	require.NotContains(t, console, "slr_", "a token is on the console")
}

// TestVirtualMachineThatLosesPower: a machine that is cut off in the middle of
// its install fails when the phase's time is over, and not before; a retry
// brings it up again.
func TestVirtualMachineThatLosesPower(t *testing.T) {
	if os.Getenv("SLIPWAY_SOAK") == "" {
		t.Skip("takes three minutes of two processors: make soak runs it (SLIPWAY_SOAK=1)")
	}
	s, rack := virtualShow(t, 2*showLimit, "virtual-2")
	s.until("it installs", func() bool { return s.last("virtual-2").Phase == phase.Installation })
	sv := s.server("virtual-2")
	rack.PowerOff(sv.ID)
	require.False(t, rack.On(sv.ID))
	s.quiet = 0
	s.until("nothing was said for a while", func() bool { return s.quiet >= 3 })
	require.False(t, s.is(phase.StateFail, "virtual-2"), "it fails by its deadline only")

	s.clock.Advance(61 * time.Minute)
	s.until("its deadline has acted", func() bool { return s.is(phase.StateFail, "virtual-2") })
	st := s.mustFail(t, "virtual-2", failure{
		phase: phase.Installation, run: "timed_out", code: "deadline_passed", hint: "Read the log's last lines",
		message: `^installation did not end within 1h0m0s \(try 1 of 1\)`,
	})
	require.True(t, st.TimedOut)

	began := time.Now()
	_, err := s.api.Retry(s.ctx, fmt.Sprintf("dep_%d", s.ids["virtual-2"]), "")
	require.NoError(t, err)
	failures := func() (n int) {
		for _, e := range s.events[s.ids["virtual-2"]] {
			if e.State == phase.StateFail {
				n++
			}
		}
		return n
	}
	s.until("it is deployed", func() bool {
		require.Equal(t, 1, failures(), s.told())
		return s.is(phase.Succeeded, "virtual-2")
	})
	t.Logf("deployed %s after the retry", time.Since(began).Round(time.Second))
	require.Equal(t, "succeeded", *s.status("virtual-2").State)
}
