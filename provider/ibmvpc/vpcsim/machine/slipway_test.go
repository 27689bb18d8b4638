//go:build linux

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
	"github.com/slipwayhq/slipway/tools/present"
)

// realScripts is where the scripts that Slipway serves are kept.
const realScripts = "../../../../pxe/scripts"

// report is what a machine posted.
type report struct {
	Phase, Status, Message string
	Progress               *int
	Details                map[string]any
	Token                  string
	OccurredAt             time.Time `json:"occurred_at"`
	From                   string    // the address it came from
}

// slipway is as much of a Slipway server as a machine sees, for one machine.
type slipway struct {
	*httptest.Server
	spec    vpcsim.Spec
	port    int // where the installed system's SSH server shall listen
	user    string
	cvm     string // address of the controller VM; "" without one
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
	set("NODE_CONFIG_CVM_IP", s.cvm)
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
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: patience,
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

// patience bounds every wait: the machine may be busy.
const patience = 4 * time.Minute

// waitState waits until a machine is in one of the states.
func waitState(t *testing.T, r *Rack, id string, states ...State) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
		present.Missing(t, "the served scripts are not there: "+err.Error())
	}
}

// eventually is for what happens in other processes, where no signal reaches us.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, 20*time.Millisecond, what)
}
