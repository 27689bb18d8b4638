package herd

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

const testIP = "127.64.210.10"

// slipway is as much of a server as one machine sees.
type slipway struct {
	*httptest.Server
	login ssh.Signer
	port  int
	cvm   string // address of the controller VM; "" without one

	mu      sync.Mutex
	reports []map[string]any
	waits   int // questions for a download slot that are answered with 429
	asked   int
	done    chan struct{} // one for each installation
}

func newSlipway(t *testing.T) *slipway {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	s := &slipway{waits: 1, done: make(chan struct{}, 8)}
	s.login, err = ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	free, err := net.Listen("tcp", testIP+":0")
	require.NoError(t, err)
	s.port = free.Addr().(*net.TCPAddr).Port
	require.NoError(t, free.Close())
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

func (s *slipway) serve(w http.ResponseWriter, r *http.Request) {
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	if from != testIP {
		http.Error(w, "who are you", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch path := r.URL.Path; {
	case path == "/boot/d/x":
		fmt.Fprintf(w, "#!ipxe\n# sha256 vmlinuz %s\n# sha256 initrd.img %s\nset base %s\nkernel ${base}/boot/images/vmlinuz initrd=initrd.img slipway.url=%s slipway.ip=%s slipway.token=slr_t || goto failed\n"+
			"initrd --name initrd.img ${base}/boot/images/initrd.img || goto failed\nboot || goto failed\n", sum("vmlinuz"), sum("initrd.img"), s.URL, s.URL, testIP)
	case strings.HasPrefix(path, "/boot/images/"), strings.HasPrefix(path, "/boot/scripts/"):
		_, _ = io.WriteString(w, path[strings.LastIndexByte(path, '/')+1:])
	case r.Header.Get("Authorization") != "Bearer slr_t":
		http.Error(w, "no", http.StatusUnauthorized)
	case path == "/boot/server/"+testIP:
		_ = json.NewEncoder(w).Encode(map[string]any{
			"node_config": map[string]any{"cvm_ip": s.cvm},
			"artifacts":   []any{map[string]any{"name": "a.img", "url": s.URL + "/boot/images/a.img", "sha256": sum("a.img"), "size": 5}},
			"access":      map[string]any{"user": "root", "ssh_port": s.port, "authorized_keys": []string{string(ssh.MarshalAuthorizedKey(s.login.PublicKey()))}},
		})
	case path == "/boot/downloads":
		if s.asked++; s.asked <= s.waits {
			w.WriteHeader(http.StatusTooManyRequests)
		}
	case path == "/api/status/phase":
		var report map[string]any
		if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.reports = append(s.reports, report)
		if report["phase"] == "post_install" && report["status"] == "success" {
			s.done <- struct{}{}
		}
	default:
		http.NotFound(w, r)
	}
}

// said are the reports so far, with the details of the last one.
func (s *slipway) said() (words []string, details map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.reports {
		word := fmt.Sprint(r["phase"], " ", r["status"])
		if len(words) == 0 || words[len(words)-1] != word {
			words = append(words, word)
		}
		details, _ = r["details"].(map[string]any)
	}
	return words, details
}

// bootID logs in and reads it; the machine may still be restarting.
func (s *slipway) bootID(t *testing.T) (string, ssh.PublicKey) {
	t.Helper()
	var host ssh.PublicKey
	config := &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(s.login)}, Timeout: 10 * time.Second,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error { host = key; return nil }}
	var client *ssh.Client
	require.Eventually(t, func() (up bool) {
		var err error
		client, err = ssh.Dial("tcp", fmt.Sprintf("%s:%d", testIP, s.port), config)
		return err == nil
	}, 2*time.Minute, 10*time.Millisecond)
	defer client.Close()
	session, err := client.NewSession()
	require.NoError(t, err)
	out, err := session.Output("cat /proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	return strings.TrimSpace(string(out)), host
}

func TestLifeOfAMachine(t *testing.T) {
	s := newSlipway(t)
	h := New(Options{Retry: time.Millisecond})
	t.Cleanup(h.Close)
	spec := vpcsim.Spec{ServerID: "srv", Name: "node-1", IP: testIP, UserData: s.URL + "/boot/d/x"}
	h.PowerOn(spec)
	<-s.done
	first, host := s.bootID(t)
	words, details := s.said()
	var want []string
	for _, phase := range []string{"foundation_start", "network_config", "storage_discovery", "image_download", "installation", "post_install"} {
		want = append(want, phase+" in_progress", phase+" success")
	}
	require.Equal(t, want, words)
	require.Equal(t, 2, s.asked, "it waited for its download slot")
	require.NotEqual(t, details["boot_id"], first, "it restarted after it reported")
	require.Equal(t, details["ssh_host_key"], strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host))))

	h.PowerOff("srv")
	_, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", testIP, s.port), time.Second)
	require.Error(t, err, "no power, no SSH")
	h.PowerOn(spec)
	second, again := s.bootID(t)
	require.NotEqual(t, first, second)
	require.Equal(t, host.Marshal(), again.Marshal())
	words, _ = s.said()
	require.Len(t, words, len(want), "nothing was installed again")

	h.PowerOff("srv")
	spec.Reinitialized = true
	h.PowerOn(spec)
	<-s.done
	_, third := s.bootID(t)
	require.NotEqual(t, host.Marshal(), third.Marshal(), "another system, another key")
	require.NoError(t, h.Scrap("srv"))
	require.Empty(t, h.machines)
}

// A machine that is installed with an address for a controller VM runs one,
// with its power, until it is installed anew or thrown away.
func TestControllerVM(t *testing.T) {
	site, err := cvmsim.New(cvmsim.Options{})
	require.NoError(t, err)
	t.Cleanup(site.Close)
	s := newSlipway(t)
	s.cvm = "127.64.210.110"
	h := New(Options{Retry: time.Millisecond, CVMs: site})
	t.Cleanup(h.Close)
	spec := vpcsim.Spec{ServerID: "srv", Name: "node-1", IP: testIP, UserData: s.URL + "/boot/d/x"}
	is := func(on bool) func() bool {
		return func() bool {
			state := site.State()
			return len(state) == 1 && state[0].On == on && state[0].Name == "node-1"
		}
	}
	h.PowerOn(spec)
	<-s.done
	_, details := s.said()
	first := details["cvm_ssh_host_key"]
	require.Regexp(t, "^ssh-ed25519 AAAA", first)
	require.Eventually(t, is(true), 2*time.Minute, 10*time.Millisecond)
	h.PowerOff("srv")
	require.True(t, is(false)())
	h.PowerOn(spec)
	require.Eventually(t, is(true), 2*time.Minute, 10*time.Millisecond)
	h.PowerOff("srv")
	spec.Reinitialized = true
	h.PowerOn(spec)
	<-s.done
	require.Eventually(t, is(true), 2*time.Minute, 10*time.Millisecond)
	_, details = s.said()
	require.NotEqual(t, first, details["cvm_ssh_host_key"])
	require.NoError(t, h.Scrap("srv"))
	require.Empty(t, site.State())
}

// A port of the machine's own that is in use when it comes up is waited for.
func TestTheSSHPortIsWaitedFor(t *testing.T) {
	s := newSlipway(t)
	taken, err := net.Listen("tcp", fmt.Sprintf("%s:%d", testIP, s.port))
	require.NoError(t, err)
	h := New(Options{Retry: time.Millisecond})
	t.Cleanup(h.Close)
	h.PowerOn(vpcsim.Spec{ServerID: "srv", Name: "node-1", IP: testIP, UserData: s.URL + "/boot/d/x"})
	<-s.done
	require.NoError(t, taken.Close())
	s.bootID(t)
}

func TestAScriptThatStops(t *testing.T) {
	b := parse("#!ipxe\necho no\n:wait\nsleep 15\nchain --replace http://x/boot/d/x || goto wait\n")
	require.Equal(t, bootScript{args: map[string]string{}, sums: map[string]string{}, chains: true, pause: 15 * time.Second}, b)
	require.Empty(t, parse("#!ipxe\necho stop\nexit\n").kernel)
}
