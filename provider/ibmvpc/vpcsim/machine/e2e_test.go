package machine

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// realScripts is where the scripts that Slipway serves are kept.
const realScripts = "../../../../pxe/scripts"

// report is what a machine posted.
type report struct {
	Phase, Status, Message string
	Progress               *int
	Details                map[string]any
	Token                  string
	From                   string // the address it came from
}

// slipway is as much of a Slipway server as a machine sees, for one machine.
type slipway struct {
	*httptest.Server
	spec    vpcsim.Spec
	port    int // where the installed system's SSH server shall listen
	user    string
	client  ssh.Signer
	files   []File
	scripts map[string]string // instead of the real ones

	mu       sync.Mutex
	reports  []report
	requests []string          // "METHOD path from"
	corrupt  map[string]string // names of images that are sent with other bytes
	wrongSum map[string]bool   // images whose announced sum is wrong
}

const reportToken = "slr_test"

// newSlipway starts one, with the machine's address in a subnet of its own.
func newSlipway(t *testing.T, host int) *slipway {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	s := &slipway{user: "root", corrupt: map[string]string{}, wrongSum: map[string]bool{}}
	s.client, err = ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	s.files, err = StandIns(t.TempDir(), QuickPace())
	require.NoError(t, err)
	ip := fmt.Sprintf("127.64.203.%d", host)
	s.port = freePort(t, ip)
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	s.spec = vpcsim.Spec{
		ServerID: fmt.Sprintf("0717-%s-%d", t.Name(), host), Name: "node-1", Zone: "us-south-1", Profile: "bx2d-metal-96x384",
		UserData: s.URL + "/boot/d/locator", IP: ip, MAC: "02:00:01:00:00:04", DNSServers: []string{"161.26.0.7"},
		Interfaces: []vpcsim.Interface{{Name: "primary", MAC: "02:00:01:00:00:04", IP: ip, CIDR: "127.64.203.0/24", Gateway: "127.64.203.1"}},
		Disks: []vpcsim.Disk{
			{ID: "disk-0", Name: "boot", SizeGB: 960, InterfaceType: vpcsim.DiskInterfaceSATA, Boot: true},
			{ID: "disk-1", Name: "data-1", SizeGB: 3200, InterfaceType: vpcsim.DiskInterfaceNVMe},
			{ID: "disk-2", Name: "data-2", SizeGB: 3200, InterfaceType: vpcsim.DiskInterfaceNVMe},
		},
	}
	return s
}

func freePort(t *testing.T, ip string) int {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	require.NoError(t, err)
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func (s *slipway) serve(w http.ResponseWriter, r *http.Request) {
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path+" "+from)
	s.mu.Unlock()
	dir, name := filepath.Split(r.URL.Path)
	switch {
	case r.URL.Path == "/boot/d/locator":
		_, _ = io.WriteString(w, s.bootScript())
	case dir == "/boot/images/":
		s.serveImage(w, r, name)
	case dir == "/boot/scripts/":
		s.serveScript(w, r, name)
	case r.URL.Path == "/boot/server/"+s.spec.IP && r.Header.Get("Authorization") == "Bearer "+reportToken:
		_, _ = io.WriteString(w, s.config())
	case r.URL.Path == "/api/status/phase" && r.Method == http.MethodPost:
		s.take(w, r, from)
	default:
		http.NotFound(w, r)
	}
}

func (s *slipway) take(w http.ResponseWriter, r *http.Request, from string) {
	var rep report
	if err := json.NewDecoder(r.Body).Decode(&rep); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+reportToken && rep.Token != reportToken {
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	rep.From = from
	s.mu.Lock()
	s.reports = append(s.reports, rep)
	s.mu.Unlock()
	_, _ = fmt.Fprintf(w, "accepted %s %s\n", rep.Phase, rep.Status)
}

func (s *slipway) serveImage(w http.ResponseWriter, r *http.Request, name string) {
	for _, f := range s.files {
		if f.Name != name {
			continue
		}
		data, err := os.ReadFile(f.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("X-Checksum-Sha256", sum256(string(data)))
		if other, ok := s.corrupt[name]; ok {
			data = []byte(other)
		}
		http.ServeContent(w, r, "", time.Unix(0, 0), strings.NewReader(string(data)))
		return
	}
	http.NotFound(w, r)
}

func (s *slipway) serveScript(w http.ResponseWriter, r *http.Request, name string) {
	if text, ok := s.scripts[name]; ok {
		_, _ = io.WriteString(w, text)
		return
	}
	http.ServeFile(w, r, filepath.Join(realScripts, filepath.Base(name)))
}

func (s *slipway) sum(name string) string {
	for _, f := range s.files {
		if f.Name == name {
			data, err := os.ReadFile(f.Path)
			if err == nil && !s.wrongSum[name] {
				return sum256(string(data))
			}
		}
	}
	return strings.Repeat("0", 64)
}

func (s *slipway) bootScript() string {
	return fmt.Sprintf(`#!ipxe
# sha256 vmlinuz %s
# sha256 initrd.img %s
set base %s
:retry_dhcp
dhcp && goto online ||
sleep 2
goto retry_dhcp
:online
kernel ${base}/boot/images/vmlinuz initrd=initrd.img slipway.url=%s slipway.ip=%s slipway.token=%s console=ttyS0 || goto failed
initrd --name initrd.img ${base}/boot/images/initrd.img || goto failed
boot || goto failed
:failed
sleep 10
goto retry_dhcp
`, s.sum("vmlinuz"), s.sum("initrd.img"), s.URL, s.URL, s.spec.IP, reportToken)
}

// config is the node configuration as shell assignments.
func (s *slipway) config() string {
	var b strings.Builder
	set := func(name, value string) { fmt.Fprintf(&b, "CFG_%s='%s'\n", name, value) }
	b.WriteString("# slipway node configuration 1\n")
	set("NODE_CONFIG_NODE_ID", "node_1")
	set("NODE_CONFIG_NODE_NAME", s.spec.Name)
	set("NODE_CONFIG_MGMT_IP", s.spec.IP)
	set("NETWORK_ADDRESS", s.spec.IP)
	set("NETWORK_NETMASK", "255.255.255.0")
	set("NETWORK_GATEWAY", "127.64.203.1")
	set("NETWORK_DNS_SERVERS_1", "161.26.0.7")
	set("NETWORK_DNS_SERVERS_COUNT", "1")
	set("NETWORK_MAC", s.spec.MAC)
	set("NETWORK_VLANS_1_ID", "100")
	set("NETWORK_VLANS_COUNT", "1")
	set("STORAGE_CONFIG_BOOT_DISK_SIZE", "960000000000")
	set("STORAGE_CONFIG_DATA_DRIVES_1_TYPE", "nvme")
	set("STORAGE_CONFIG_DATA_DRIVES_1_COUNT", "2")
	set("STORAGE_CONFIG_DATA_DRIVES_COUNT", "1")
	n := 0
	for _, f := range s.files {
		if f.Kind == "kernel" || f.Kind == "initrd" {
			continue
		}
		n++
		info, err := os.Stat(f.Path)
		if err != nil {
			panic(err)
		}
		prefix := fmt.Sprintf("ARTIFACTS_%d_", n)
		set(prefix+"NAME", f.Name)
		set(prefix+"URL", s.URL+"/boot/images/"+f.Name)
		set(prefix+"SHA256", s.sum(f.Name))
		set(prefix+"SIZE", fmt.Sprint(info.Size()))
	}
	set("ARTIFACTS_COUNT", fmt.Sprint(n))
	set("INSTALLER_ARTIFACT", InstallerName)
	set("INSTALLER_ARGS_COUNT", "0")
	set("INSTALLER_TIMEOUT", "60")
	set("ACCESS_USER", s.user)
	set("ACCESS_AUTHORIZED_KEYS_1", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.client.PublicKey()))))
	set("ACCESS_AUTHORIZED_KEYS_COUNT", "1")
	set("ACCESS_SSH_PORT", fmt.Sprint(s.port))
	set("REPORT_URL", s.URL+"/api/status/phase")
	set("REPORT_TOKEN", reportToken)
	b.WriteString("# slipway node configuration end\n")
	return b.String()
}

func (s *slipway) seen() []report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]report(nil), s.reports...)
}

// last is the last report of a phase with a status.
func (s *slipway) last(phase, status string) *report {
	for _, r := range s.seen() {
		if r.Phase == phase && r.Status == status {
			return &r
		}
	}
	return nil
}

// dial logs in to the machine and runs one command.
func (s *slipway) dial(t *testing.T, user string, key ssh.Signer, command string) (string, ssh.PublicKey, error) {
	t.Helper()
	var host ssh.PublicKey
	client, err := ssh.Dial("tcp", net.JoinHostPort(s.spec.IP, fmt.Sprint(s.port)), &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: 10 * time.Second,
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error { host = k; return nil },
	})
	if err != nil {
		return "", host, err
	}
	defer client.Close()
	session, err := client.NewSession()
	require.NoError(t, err)
	defer session.Close()
	out, err := session.Output(command)
	return string(out), host, err
}

func testRack(t *testing.T, change func(*Options)) *Rack {
	t.Helper()
	opts := Options{Pace: QuickPace(), Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&opts)
	}
	r, err := NewRack(opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for id := range r.machines {
				t.Logf("console of %s:\n%s", id, r.Console(id))
				if m := r.machine(id); m != nil {
					log, _ := os.ReadFile(filepath.Join(m.dir, "root/var/log/slipway/install.log"))
					t.Logf("install log of %s:\n%s", id, log)
				}
			}
		}
		require.NoError(t, r.Close())
	})
	return r
}

// waitState waits until a machine is in one of the states.
func waitState(t *testing.T, r *Rack, id string, states ...State) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	s, err := r.Wait(ctx, id, func(s Status) bool {
		for _, want := range states {
			if s.State == want {
				return true
			}
		}
		return false
	})
	require.NoError(t, err)
	return s
}

func needRealScripts(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(realScripts, "foundation-init.sh")); err != nil {
		t.Skip("the served scripts are not there: ", err)
	}
}

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

// TestOtherUser: keys of another user than root, found by /etc/passwd.
func TestOtherUser(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	s := newSlipway(t, 11)
	s.user = "operator"
	r := testRack(t, func(o *Options) { o.Shell = ShellDash })
	r.PowerOn(s.spec)
	require.Equal(t, StateRunning, waitState(t, r, s.spec.ServerID, StateRunning, StateHalted, StateInstallFailed).State)
	_, _, err := s.dial(t, "operator", s.client, "hostname")
	require.NoError(t, err)
	_, _, err = s.dial(t, "root", s.client, "hostname")
	require.Error(t, err)
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
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
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
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

// eventually is for what happens in other processes, where no signal reaches us.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 30*time.Second, 20*time.Millisecond, what)
}
