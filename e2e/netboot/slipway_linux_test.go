package netboot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/machine"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/qemu"
)

// limit is the time that one machine has to be deployed. More of them share the
// processors.
const limit = 8 * time.Minute

// slipway is a server in our namespace.
type slipway struct {
	dir string
	log *output
	api *client.Client
}

func (s *slipway) command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), os.Getenv(programEnv), append(args, "--data-dir="+s.dir)...).Output()
	require.NoError(t, err, "slipway %s", strings.Join(args, " "))
	return strings.TrimSpace(string(out))
}

// serve registers the artifacts and starts the server.
func serve(t *testing.T, flags ...string) *slipway {
	t.Helper()
	s := &slipway{dir: t.TempDir(), log: shown(t, "slipway")}
	files, err := qemu.StandIns(t.Context(), filepath.Join(s.dir, "standins"), os.Getenv(installEnv), machine.QuickPace(), sshPort)
	require.NoError(t, err)
	for _, f := range files {
		s.command(t, "artifacts", "add", f.Name, f.Path, "--kind="+f.Kind, "--version="+f.Version, "--in-place")
	}
	start(t, s.log, os.Getenv(programEnv), append([]string{
		"serve", "--data-dir=" + s.dir, "--listen=:8080", "--pxe-interface=br0", "--proxydhcp=on",
		"--kernel-args=console=ttyS0", "--ssh-port=" + strconv.Itoa(sshPort), "--probe-every=1s", "--heartbeat=5s",
	}, flags...)...)
	base := "http://" + ourAddress + ":8080"
	require.Eventually(t, func() bool { return exec.Command("curl", "-fs", "-o", "/dev/null", base+"/readyz").Run() == nil }, 3*time.Minute, 200*time.Millisecond, "the server is not ready")
	s.api, err = client.New(base, s.command(t, "token", "create", "tester"))
	require.NoError(t, err)
	return s
}

// order deploys machines and gives their deployments' ids.
func (s *slipway) order(t *testing.T, machines ...*box) []string {
	t.Helper()
	mask, together := "24", len(machines)
	in := client.DeployNodesInput{MaxParallel: &together}
	for _, m := range machines {
		storage := json.RawMessage(fmt.Sprintf(`{"boot_disk":{"serial":%q},"data_drives":[{"serial":%q}]}`, m.bootDisk(), m.dataDisk()))
		in.Nodes = append(in.Nodes, client.DeployNodeInput{
			Name: m.name(), Spec: client.DeploySpec{Rack: &client.RackSpec{Mac: m.mac(), ManagementIp: m.address(), Netmask: &mask, Storage: &storage}},
		})
	}
	list, err := s.api.Deploy(t.Context(), in)
	require.NoError(t, err)
	var ids []string
	for _, d := range list {
		require.NoError(t, d.Err)
		ids = append(ids, d.ID)
	}
	return ids
}

// follow watches deployments until all are as is says, and logs how they go.
func (s *slipway) follow(t *testing.T, what string, is func(*client.State) bool, ids ...string) []*client.State {
	t.Helper()
	patience := limit * time.Duration(1+len(ids)) / 2
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	last, now := make([]string, len(ids)), make([]*client.State, len(ids))
	for {
		done := 0
		for i, id := range ids {
			var err error
			now[i], err = s.api.Deployment(ctx, id)
			require.NoError(t, err, "last: %s", last)
			if text := fmt.Sprintf("%s %s", now[i].State, now[i].PhaseKey); text != last[i] {
				t.Logf("%4.0f s  %s %s", time.Since(began).Seconds(), id, text)
				last[i] = text
			}
			if is(now[i]) {
				done++
				continue
			}
			if state := now[i].State; state == "FAILED" || state == "CANCELED" {
				t.Fatalf("%s is %s: %+v", id, state, now[i].Failure)
			}
		}
		if done == len(ids) {
			return now
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("not %s within %s; last: %s", what, patience, last)
		}
	}
}

// deployed follows deployments to their end.
func (s *slipway) deployed(t *testing.T, ids ...string) {
	t.Helper()
	s.follow(t, "deployed", func(d *client.State) bool { return d.State == "SUCCEEDED" }, ids...)
}
