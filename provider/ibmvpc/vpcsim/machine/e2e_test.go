//go:build linux

package machine

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/slipwayhq/slipway/tools/present"
)

// TestInstallation is the whole life of a machine with the scripts that Slipway
// really serves: network boot, installation, restart, SSH.
func TestInstallation(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	s := newSlipway(t, 10)
	r := testRack(t, nil)
	r.PowerOn(s.spec)
	running := waitState(t, r, s.spec.ServerID, StateRunning, StateHalted, StateInstallFailed)
	require.Equal(t, StateRunning, running.State)
	require.Equal(t, 2, running.Boots)

	var got []string
	for _, rep := range s.seen() {
		require.Equal(t, s.spec.IP, rep.From, "the machine calls from its own address")
		if word := rep.Phase + " " + rep.Status; len(got) == 0 || got[len(got)-1] != word {
			got = append(got, word)
		}
	}
	var want []string
	for _, phase := range []string{"foundation_start", "network_config", "storage_discovery", "image_download", "installation", "post_install"} {
		want = append(want, phase+" in_progress", phase+" success")
	}
	require.Equal(t, want, got)
	for _, req := range s.requests {
		require.True(t, strings.HasSuffix(req, " "+s.spec.IP), req)
	}

	post := s.last("post_install", "success")
	out, host, err := s.dial(t, "root", s.client, "cat /proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	require.Equal(t, running.BootID, strings.TrimSpace(out))
	require.NotEqual(t, post.Details["boot_id"], strings.TrimSpace(out), "it restarted since it reported")
	require.Equal(t, post.Details["ssh_host_key"], strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host))))
	require.EqualValues(t, s.port, post.Details["ssh_port"])
	for command, answer := range map[string]string{"hostname": "node-1\n", "true": ""} {
		out, _, err := s.dial(t, "root", s.client, command)
		require.NoError(t, err)
		require.Equal(t, answer, out)
	}
	_, _, err = s.dial(t, "root", s.client, "rm -rf /")
	var exit *ssh.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 127, exit.ExitStatus())

	stranger, err := newHostKey()
	require.NoError(t, err)
	_, _, err = s.dial(t, "root", stranger, "true")
	require.ErrorContains(t, err, "unable to authenticate")
	_, _, err = s.dial(t, "admin", s.client, "true")
	require.ErrorContains(t, err, "unable to authenticate")

	// Off and on again: it is an installed machine, with another boot id.
	r.PowerOff(s.spec.ServerID)
	require.Equal(t, StateOff, r.State(s.spec.ServerID))
	_, _, err = s.dial(t, "root", s.client, "true")
	require.Error(t, err, "no power, no SSH")
	before := len(s.seen())
	r.PowerOn(s.spec)
	second := waitState(t, r, s.spec.ServerID, StateRunning, StateHalted)
	require.Equal(t, StateRunning, second.State)
	require.NotEqual(t, running.BootID, second.BootID)
	_, again, err := s.dial(t, "root", s.client, "true")
	require.NoError(t, err)
	require.Equal(t, host.Marshal(), again.Marshal(), "the host key is on the disk")
	require.Len(t, s.seen(), before, "nothing was installed again")

	// Reinitialized: the provider has put its network boot image back.
	r.PowerOff(s.spec.ServerID)
	spec := s.spec
	spec.Reinitialized = true
	r.PowerOn(spec)
	waitState(t, r, s.spec.ServerID, StateRunning, StateHalted, StateInstallFailed)
	require.Greater(t, len(s.seen()), before, "it was installed again")
}

// TestShells: the same with each shell, and with keys of another user than root,
// found by /etc/passwd.
func TestShells(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	for i, shell := range []string{ShellDash, ShellBusybox} {
		t.Run(shell, func(t *testing.T) {
			present.Command(t, shell, map[string]string{ShellDash: "dash", ShellBusybox: "busybox-static"}[shell])
			s := newSlipway(t, 20+i)
			s.user = "operator"
			r := testRack(t, func(o *Options) { o.Shell = shell })
			r.PowerOn(s.spec)
			require.Equal(t, StateRunning, waitState(t, r, s.spec.ServerID, StateRunning, StateHalted, StateInstallFailed).State)
			_, _, err := s.dial(t, "operator", s.client, "hostname")
			require.NoError(t, err)
			_, _, err = s.dial(t, "root", s.client, "hostname")
			require.Error(t, err)
		})
	}
}

// TestFaults: each fault shows where it should, with scripts that know nothing of it.
func TestFaults(t *testing.T) {
	needRealScripts(t)
	for _, tc := range []struct {
		name  string
		fault Fault
		state State
		check func(*testing.T, *slipway, *Rack)
	}{
		{"script line fails", Fault{Kind: FaultScriptLine, Tool: "ip", Args: "route replace*"}, StateInstallFailed,
			func(t *testing.T, s *slipway, r *Rack) {
				rep := s.last("network_config", "failed")
				require.NotNil(t, rep)
				require.Regexp(t, `^network-config\.sh:`, rep.Message)
			}},
		{"tool missing", Fault{Kind: FaultScriptLine, Tool: "sha256sum", Missing: true}, StateInstallFailed,
			func(t *testing.T, s *slipway, r *Rack) {
				rep := s.last("foundation_start", "failed")
				require.NotNil(t, rep)
				require.Contains(t, rep.Message, "foundation-init.sh:")
			}},
		{"wrong host key", Fault{Kind: FaultWrongHostKey}, StateRunning, func(t *testing.T, s *slipway, r *Rack) {
			_, host, err := s.dial(t, "root", s.client, "true")
			require.NoError(t, err)
			require.NotEqual(t, s.last("post_install", "success").Details["ssh_host_key"],
				strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host))))
		}},
		{"slow", Fault{Kind: FaultSlow, Factor: 2}, StateRunning, func(t *testing.T, s *slipway, r *Rack) {
			home, err := os.ReadFile(filepath.Join(r.machine(s.spec.ServerID).dir, "home/.curlrc"))
			require.NoError(t, err)
			require.Contains(t, string(home), "limit-rate = 524288\n")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSlipway(t, 12)
			tc.fault.Match = "node-*"
			r := testRack(t, func(o *Options) { o.Faults = []Fault{tc.fault} })
			r.PowerOn(s.spec)
			require.Equal(t, tc.state, waitState(t, r, s.spec.ServerID, StateRunning, StateHalted, StateInstallFailed).State)
			tc.check(t, s, r)
		})
	}
}

// TestHangInInstaller: the write never returns, until the power goes.
func TestHangInInstaller(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	s := newSlipway(t, 13)
	r := testRack(t, func(o *Options) { o.Faults = []Fault{{Match: "*", Kind: FaultHangInInstaller}} })
	r.PowerOn(s.spec)
	eventually(t, "the hanging write", func() bool {
		return hasProcess(t, r, s.spec.ServerID, "sleep") && s.last("installation", "in_progress") != nil
	})
	require.Nil(t, s.last("installation", "success"))
	pid := r.Status(s.spec.ServerID).PID
	r.PowerOff(s.spec.ServerID)
	requireGone(t, r.Cage(), pid)
	require.Empty(t, processesOf(t, r.dir), "nothing of the machine is left")
}

func TestNeverBoot(t *testing.T) {
	t.Parallel()
	s := newSlipway(t, 14)
	r := testRack(t, func(o *Options) { o.Faults = []Fault{{Match: "node-1", Kind: FaultNeverBoot}} })
	booted := make(chan struct{})
	r.opts.OnState = func(_ string, st Status) {
		if st.Boots > 0 {
			close(booted)
		}
	}
	r.PowerOn(s.spec)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := r.Wait(ctx, s.spec.ServerID, func(st Status) bool { return st.Boots == 1 })
	require.NoError(t, err)
	r.PowerOff(s.spec.ServerID) // waits for the machine: it has done all it ever does
	require.Empty(t, s.requests)
}

// TestCorruptKernel: what is not what was announced is not started.
func TestCorruptKernel(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*slipway){
		"other bytes than the header says": func(s *slipway) { s.corrupt["vmlinuz"] = "evil" },
		"other bytes than the script says": func(s *slipway) { s.wrongSum["initrd.img"] = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSlipway(t, 15)
			spoil(s)
			r := testRack(t, nil)
			r.PowerOn(s.spec)
			waitState(t, r, s.spec.ServerID, StateHalted)
			require.Contains(t, r.Console(s.spec.ServerID), "CHECKSUM MISMATCH")
			require.Empty(t, s.seen())
		})
	}
}

// TestServerAway: a machine asks for its boot script until somebody answers.
func TestServerAway(t *testing.T) {
	t.Parallel()
	s := newSlipway(t, 16)
	s.scripts = map[string]string{"foundation-init.sh": "exit 3\n"}
	addr := s.Listener.Addr().String()
	s.Close()
	r := testRack(t, nil)
	r.PowerOn(s.spec)
	eventually(t, "a failed request", func() bool { return strings.Contains(r.Console(s.spec.ServerID), "connection refused") })
	ln, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	back := &http.Server{Handler: http.HandlerFunc(s.serve)}
	go func() { _ = back.Serve(ln) }()
	defer back.Close()
	waitState(t, r, s.spec.ServerID, StateInstallFailed)
	require.Contains(t, r.Console(s.spec.ServerID), "ended with status 3")
}

// TestUnwrittenDiskBootsFromTheNetworkAgain: scripts that do nothing and end well.
func TestUnwrittenDiskBootsFromTheNetworkAgain(t *testing.T) {
	t.Parallel()
	s := newSlipway(t, 17)
	s.scripts = map[string]string{"foundation-init.sh": "cat $SLIPWAY_ROOT/proc/sys/kernel/random/boot_id\n"}
	r := testRack(t, nil)
	r.PowerOn(s.spec)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := r.Wait(ctx, s.spec.ServerID, func(st Status) bool { return st.Boots >= 3 })
	require.NoError(t, err)
}

// TestInlineUserData: the text of a script instead of a URL, with a stop script.
func TestInlineUserData(t *testing.T) {
	t.Parallel()
	s := newSlipway(t, 18)
	r := testRack(t, nil)
	s.spec.UserData = "#!ipxe\necho Slipway: hello ${net0/ip}\nshell\n"
	r.PowerOn(s.spec)
	waitState(t, r, s.spec.ServerID, StatePrompt)
	require.Contains(t, r.Console(s.spec.ServerID), "Slipway: hello "+s.spec.IP)
	s.spec.UserData = "#!ipxe\nexit\n"
	r.PowerOn(s.spec) // without PowerOff: a reset
	waitState(t, r, s.spec.ServerID, StateHalted)
	s.spec.UserData = s.URL + "/boot/${net0/mac}/${serial}"
	r.PowerOn(s.spec)
	eventually(t, "the expanded request", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return strings.Contains(strings.Join(s.requests, "\n"), "GET /boot/"+s.spec.MAC+"/"+s.spec.ServerID+" ")
	})
}

func TestScrapAndClose(t *testing.T) {
	t.Parallel()
	s := newSlipway(t, 19)
	s.scripts = map[string]string{"foundation-init.sh": "sleep 1000\n"}
	r := testRack(t, nil)
	r.PowerOff("never heard of")
	r.PowerOn(s.spec)
	waitState(t, r, s.spec.ServerID, StateInstalling)
	dir := r.machine(s.spec.ServerID).dir
	require.DirExists(t, dir)
	require.NoError(t, r.Scrap(s.spec.ServerID))
	require.NoDirExists(t, dir)
	require.Equal(t, StateOff, r.State(s.spec.ServerID))
	require.Empty(t, r.Console(s.spec.ServerID))
	require.NoError(t, r.Close())
	require.NoDirExists(t, r.dir)
	r.PowerOn(s.spec)
	require.Equal(t, StateOff, r.State(s.spec.ServerID), "a closed rack has no power")
}
