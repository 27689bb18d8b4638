package pxe_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/admission"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/pxe"
	"github.com/slipwayhq/slipway/pxe/artifact"
	"github.com/slipwayhq/slipway/pxe/nodeconfig"
	"github.com/slipwayhq/slipway/pxe/scripts"
)

// rig is the boot service on real parts.
type rig struct {
	t      testing.TB
	st     *store.Store
	writer *lifecycle.Writer
	access *access.Service
	files  *artifact.Catalogue
	met    *access.Strangers
	web    *httptest.Server
}

func settings() pxe.Settings {
	return pxe.Settings{
		Kernel: "vmlinuz", Initrd: "initrd.img", KernelArgs: []string{"console=ttyS0"}, Installer: "installer.sh",
		Access:    nodeconfig.Access{User: "root", AuthorizedKeys: []string{"ssh-ed25519 AAAA slipway"}, SSHPort: 22},
		Resources: nodeconfig.Resources{CVMMemoryGB: 32, CVMVCPUs: 16},
		Storage:   map[string]nodeconfig.Storage{"": {BootDisk: nodeconfig.Disk{Type: nodeconfig.DiskSSD}}},
		Heartbeat: 10,
	}
}

func newRig(t testing.TB, st *store.Store, set pxe.Settings) *rig {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{t: t, st: st, access: access.New(st), writer: lifecycle.New(st, lifecycle.Options{})}
	done := make(chan struct{})
	go func() { r.writer.Run(ctx); close(done) }()
	r.met = access.NewStrangers(r.writer.Stranger, nil, nil)
	dir := t.TempDir()
	var err error
	r.files, err = artifact.Open(filepath.Join(dir, "catalogue"))
	require.NoError(t, err)
	for name, kind := range map[string]artifact.Kind{"vmlinuz": artifact.KindKernel, "initrd.img": artifact.KindInitrd, "installer.sh": artifact.KindInstaller, "hypervisor.img": artifact.KindHypervisor} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte("content of "+name), 0o600))
		_, err := r.files.Register(ctx, name, "1", kind, path)
		require.NoError(t, err)
	}
	h, err := pxe.New(pxe.Parts{
		Settings: set, Lifecycle: r.writer, Secrets: r.access, Machines: query.NewMachines(st.Ent()), Artifacts: r.files,
		Scripts: scripts.Set{}, Strangers: r.met, Admission: admission.New(st, r.writer, admission.Options{Slots: 1}), Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	r.web = httptest.NewServer(r.authenticated(h))
	t.Cleanup(func() {
		r.web.Close()
		cancel()
		<-done
		require.NoError(t, r.files.Close())
	})
	return r
}

// authenticated does what the server does before it hands a request over.
func (r *rig) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if secret, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok {
			p, err := r.access.Authenticate(req.Context(), secret)
			if err == nil {
				req = req.WithContext(access.NewContext(req.Context(), p))
			}
		}
		next.ServeHTTP(w, req)
	})
}

// node is an ordered node that waits for its boot.
type node struct {
	id, deployment int64
	locator        string
}

func (r *rig) order(name, ip string, change func(*deploy.Spec)) node {
	r.t.Helper()
	ctx := r.t.Context()
	spec := deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}
	if change != nil {
		change(&spec)
	}
	d, err := r.writer.Deploy(ctx, lifecycle.NewDeployment{Name: name, Spec: spec, Actor: deploy.System})
	require.NoError(r.t, err)
	require.NoError(r.t, r.writer.Learn(ctx, lifecycle.NodeFacts{NodeID: d.NodeID, ManagementIP: ip, MACs: []string{fmt.Sprintf("02:00:00:00:00:%02d", d.NodeID)}}))
	require.NoError(r.t, r.st.InTx(ctx, func(tx *sql.Tx) error {
		for role, addr := range map[string]string{"management": ip, "cvm": "10.240.0.101", "ahv": "10.240.0.51"} {
			details := fmt.Sprintf(`{"address":%q,"cidr":"10.240.0.0/24","gateway":"10.240.0.1","dns_servers":["161.26.0.7"]}`, addr)
			err := r.st.EntTx(tx).Resource.Create().SetNodeID(d.NodeID).SetCreatedBy(d.DeploymentID).SetHeldBy(d.DeploymentID).SetProvider("ibm_vpc").
				SetKind("reserved_ip").SetRole(role).SetName(name + "-" + role).SetState(deploy.ResourcePresent).SetDetails([]byte(details)).Exec(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	}))
	locator, err := r.access.CreateLocator(ctx, d.NodeID, d.DeploymentID)
	require.NoError(r.t, err)
	return node{d.NodeID, d.DeploymentID, locator}
}

func (r *rig) admit(n node) {
	r.t.Helper()
	for _, k := range []string{phase.Pending, phase.ServerRequested} {
		r.say(n, k, phase.Success, phase.ByWorkflow)
	}
}

func (r *rig) say(n node, key string, s phase.Status, as phase.Reporter) {
	r.t.Helper()
	_, err := r.writer.Report(r.t.Context(), lifecycle.Report{DeploymentID: n.deployment, Phase: key, Status: s, As: as, Source: deploy.SourceOrchestrator, Actor: deploy.System})
	require.NoError(r.t, err)
}

func (r *rig) call(method, path, token string) (int, http.Header, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.web.URL+path, nil)
	require.NoError(r.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return res.StatusCode, res.Header, string(body)
}

// boot fetches a boot script, which is 200 whatever it says.
func (r *rig) boot(path string) string {
	r.t.Helper()
	status, header, body := r.call("GET", path, "")
	require.Equal(r.t, 200, status)
	require.Equal(r.t, "text/plain; charset=utf-8", header.Get("Content-Type"))
	require.Equal(r.t, "no-store", header.Get("Cache-Control"))
	require.True(r.t, strings.HasPrefix(body, "#!ipxe\n"), body)
	return body
}

var tokenWord = regexp.MustCompile(`slipway\.token=(\S+)`)

func token(t testing.TB, script string) string {
	t.Helper()
	m := tokenWord.FindStringSubmatch(script)
	require.Len(t, m, 2, script)
	return m[1]
}

func (r *rig) count(query string) int {
	r.t.Helper()
	var n int
	require.NoError(r.t, r.st.Read.QueryRowContext(r.t.Context(), query).Scan(&n))
	return n
}

func TestBootFromOrderToEnd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, settings())
		n := r.order("web-01", "10.240.0.10", nil)
		path := "/boot/d/" + n.locator

		wait := r.boot(path)
		require.Contains(t, wait, "chain --replace "+r.web.URL+path, "queued: it asks again")
		require.NotContains(t, wait, "slipway.token")

		r.admit(n)
		events := r.count("SELECT count(*) FROM deployment_history")
		status, _, body := r.call("HEAD", path, "")
		require.Equal(t, 200, status)
		require.Empty(t, body)
		require.Equal(t, events, r.count("SELECT count(*) FROM deployment_history"), "HEAD has no effect")
		require.Zero(t, r.count("SELECT count(*) FROM tokens WHERE kind = 'report'"))

		first := r.boot(path)
		require.Contains(t, first, "node web-01")
		require.Contains(t, first, "slipway.ip=10.240.0.10")
		kernel, err := r.files.Get("vmlinuz")
		require.NoError(t, err)
		require.Contains(t, first, "# sha256 vmlinuz "+kernel.SHA256)
		again := r.boot(path)
		require.NotEqual(t, token(t, first), token(t, again))
		for _, tok := range []string{token(t, first), token(t, again)} {
			p, err := r.access.Authenticate(t.Context(), tok)
			require.NoError(t, err)
			require.Equal(t, n.deployment, p.DeploymentID)
		}

		r.say(n, phase.Failed, phase.FailedRun, phase.ByWorkflow)
		stop := r.boot(path)
		require.Contains(t, stop, "nothing to install")
		require.NotContains(t, stop, "slipway.token")
		require.NotContains(t, stop, "kernel")
	})
}

func TestABootAfterTheInstallStops(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	n := r.order("web-01", "10.240.0.10", nil)
	r.admit(n)
	tok := token(t, r.boot("/boot/d/"+n.locator))
	status, _, _ := r.call("GET", "/boot/server/10.240.0.10", tok)
	require.Equal(t, 200, status)
	r.say(n, phase.PostInstall, phase.Success, phase.ByMachine)
	stop := r.boot("/boot/d/" + n.locator)
	require.Contains(t, stop, "it is not repeated")
	require.NotContains(t, stop, "kernel")
}

func TestABootInTheMiddleOpensTheNextAttemptAndTooManyFail(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	n := r.order("web-01", "10.240.0.10", nil)
	r.admit(n)
	for attempt := 1; attempt <= 3; attempt++ {
		script := r.boot("/boot/d/" + n.locator)
		require.Contains(t, script, fmt.Sprintf("attempt %d", attempt))
		p, err := r.access.Authenticate(t.Context(), token(t, script))
		require.NoError(t, err)
		require.Equal(t, attempt, p.Attempt)
		status, _, _ := r.call("GET", "/boot/server/10.240.0.10", token(t, script))
		require.Equal(t, 200, status)
	}
	script := r.boot("/boot/d/" + n.locator)
	require.NotContains(t, script, "kernel")
	require.Contains(t, script, "restarted")
}

func TestAnUnknownLocatorStopsAndIsNoted(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	for _, l := range []string{"x", strings.Repeat("A", 43), strings.Repeat("x", 5000), "%24%7Bnet0%2Fmac%7D"} {
		script := r.boot("/boot/d/" + l)
		require.Contains(t, script, "not known")
		require.NotContains(t, script, "${net0")
	}
	require.Equal(t, int64(4), r.met.Counts()["unauthenticated"])
}

func TestAMissingKernelIsToldToMachineAndPeople(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	n := r.order("web-01", "10.240.0.10", nil)
	r.admit(n)
	require.NoError(t, r.files.Remove("vmlinuz"))
	for range 3 {
		script := r.boot("/boot/d/" + n.locator)
		require.Contains(t, script, "artifact vmlinuz is not in the catalogue")
		require.Contains(t, script, "chain --replace", "it asks again by itself")
	}
	require.Equal(t, 1, r.count("SELECT count(*) FROM deployment_history WHERE phase = 'boot_blocked' AND outcome = 'step'"), "said once")
}

func TestATroubledDatabaseMakesTheMachineAskAgain(t *testing.T) {
	st := storetest.SQLite(t)
	r := newRig(t, st, settings())
	n := r.order("web-01", "10.240.0.10", nil)
	require.NoError(t, st.Read.Close())
	require.Contains(t, r.boot("/boot/d/"+n.locator), "chain --replace")
	require.Contains(t, r.boot("/boot/config?mgmt_ip=10.240.0.10"), "chain --replace")
	status, header, body := r.call("GET", "/boot/server/10.240.0.10", "")
	require.Equal(t, 401, status, body)
	require.NotEmpty(t, header.Get("WWW-Authenticate"))
}

func TestOldURLsNameTheMachineAndChangeNothing(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	n := r.order("web-01", "10.240.0.10", nil)
	r.admit(n)
	rack := r.order("rack-01", "10.240.0.20", func(s *deploy.Spec) {
		s.Provider, s.MAC, s.ManagementIP, s.ServerProfile = deploy.ProviderRack, "02:00:00:00:00:09", "10.240.0.20", ""
	})
	r.say(rack, phase.Failed, phase.FailedRun, phase.ByWorkflow)
	events, tokens := r.count("SELECT count(*) FROM deployment_history"), r.count("SELECT count(*) FROM tokens")
	for path, want := range map[string]string{
		"?mgmt_ip=10.240.0.10":       "node web-01",
		"?node_id=1":                 "node web-01",
		"?node_id=node_1":            "node web-01",
		"?mac=02-00-00-00-00-01":     "node web-01",
		"?mgmt_ip=10.240.0.20":       "booting from the disk",
		"?mgmt_ip=10.9.9.9":          "unknown machine, mgmt_ip 10.9.9.9",
		"?node_id=99":                "unknown machine, node_id 99",
		"?node_id=x&mgmt_ip=y&mac=z": "unknown machine, node_id x, mgmt_ip y, mac z",
		"":                           "unknown machine, address 127.0.0.1",
		"?mgmt_ip=%24%7Bnet0%2Fip%7D&node_id=%0Aboot": "unknown machine",
	} {
		script := r.boot("/boot/config" + path)
		require.Contains(t, script, want, path)
		require.NotContains(t, script, "slipway.token", path)
		require.NotContains(t, script, "kernel", path)
		require.NotContains(t, script, "${net0", path)
		require.NotContains(t, script, "\nboot", path)
	}
	require.Equal(t, events, r.count("SELECT count(*) FROM deployment_history"))
	require.Equal(t, tokens, r.count("SELECT count(*) FROM tokens"))
}

func TestConfigurationIsForTheMachineItselfOnly(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	n, other := r.order("web-01", "10.240.0.10", nil), r.order("web-02", "10.240.0.11", nil)
	r.admit(n)
	r.admit(other)
	tok := token(t, r.boot("/boot/d/"+n.locator))
	operator, _, err := r.access.CreateToken(t.Context(), access.NewToken{Name: "op", Role: access.RoleAdmin})
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		path, token, code string
		status            int
	}{
		"no token":         {"/boot/server/10.240.0.10", "", "unauthenticated", 401},
		"wrong token":      {"/boot/server/10.240.0.10", "slr_x", "unauthenticated", 401},
		"an admin":         {"/boot/server/10.240.0.10", operator, "forbidden", 403},
		"another's":        {"/boot/server/10.240.0.11", tok, "forbidden", 403},
		"not an address":   {"/boot/server/web-01", tok, "invalid", 422},
		"unknown address":  {"/boot/server/10.9.9.9", tok, "forbidden", 403},
		"its own, by IPv6": {"/boot/server/::ffff:10.240.0.10", tok, "", 200},
	} {
		status, _, body := r.call("GET", tc.path, tc.token)
		require.Equal(t, tc.status, status, "%s: %s", name, body)
		if tc.code != "" {
			require.Contains(t, body, `"code":"`+tc.code+`"`, name)
			_, _, line := r.call("GET", tc.path+"?format=sh", tc.token)
			require.Regexp(t, `^error `+tc.code+`: [^\n]+\n$`, line, name)
		}
	}
	r.say(n, phase.Failed, phase.FailedRun, phase.ByWorkflow)
	status, _, body := r.call("GET", "/boot/server/10.240.0.10", tok)
	require.Contains(t, []int{401, 409}, status, body)
}

func TestConfigurationDocument(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	n := r.order("web-01", "10.240.0.10", func(s *deploy.Spec) {
		s.Storage = json.RawMessage(`{"boot_disk":{"serial":"S0"},"data_drives":[{"type":"nvme","count":8}]}`)
	})
	r.admit(n)
	tok := token(t, r.boot("/boot/d/"+n.locator))
	events := r.count("SELECT count(*) FROM deployment_history")
	status, _, body := r.call("HEAD", "/boot/server/10.240.0.10", tok)
	require.Equal(t, 200, status)
	require.Empty(t, body)
	require.Equal(t, events, r.count("SELECT count(*) FROM deployment_history"), "HEAD has no effect")

	status, header, body := r.call("GET", "/boot/server/10.240.0.10", tok)
	require.Equal(t, 200, status, body)
	require.Equal(t, "no-store", header.Get("Cache-Control"))
	var c nodeconfig.Config
	require.NoError(t, json.Unmarshal([]byte(body), &c))
	require.NoError(t, c.Validate())
	require.Equal(t, nodeconfig.Node{NodeID: "node_1", NodeName: "web-01", MgmtIP: "10.240.0.10", AHVIP: "10.240.0.51", CVMIP: "10.240.0.101"}, c.NodeConfig)
	require.Equal(t, "255.255.255.0", c.Network.Netmask)
	require.Equal(t, "10.240.0.1", c.Network.Gateway)
	require.Equal(t, []string{"161.26.0.7"}, c.Network.DNSServers)
	require.Equal(t, "02:00:00:00:00:01", c.Network.MAC)
	require.Equal(t, tok, c.Report.Token)
	require.Equal(t, 10, c.Report.Heartbeat)
	require.Equal(t, "S0", c.Storage.BootDisk.Serial)
	require.Equal(t, "installer.sh", c.Installer.Artifact)
	require.Len(t, c.Artifacts, 2)
	require.Equal(t, 1, r.count("SELECT count(*) FROM deployment_history WHERE phase = 'config_download' AND status = 'in_progress'"))

	status, header, body = r.call("GET", "/boot/server/10.240.0.10?format=sh", tok)
	require.Equal(t, 200, status)
	require.Contains(t, header.Get("Content-Type"), "text/plain")
	require.Contains(t, body, "CFG_NODE_CONFIG_NODE_NAME='web-01'\n")
	require.Contains(t, body, "CFG_ARTIFACTS_COUNT=2\n")
}

// A member is told its cluster as the books have it, whether or not its order
// says anything of one.
func TestConfigurationOfAClustersMember(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	n := r.order("web-01", "10.240.0.10", func(s *deploy.Spec) { s.ClusterOperation = "create_new" })
	other := r.order("web-02", "10.240.0.11", nil)
	r.order("web-03", "10.240.0.12", nil)
	require.NoError(t, r.st.InTx(t.Context(), func(tx *sql.Tx) error {
		c := r.st.EntTx(tx)
		prod, err := c.Cluster.Create().SetIdentity("x").SetName("Prod_1").SetType("multi_node").SetRedundancyFactor(2).SetVip("10.240.0.200").
			SetRequestedByKind("token").SetRequestedBy("t").Save(t.Context())
		for i, id := range []int64{other.id, n.id} {
			err = errors.Join(err, c.ClusterMember.Create().SetClusterID(prod.ID).SetNodeID(id).SetPosition(i+1).SetState("member").Exec(t.Context()))
		}
		return err
	}))
	r.admit(n)
	status, _, body := r.call("GET", "/boot/server/10.240.0.10", token(t, r.boot("/boot/d/"+n.locator)))
	require.Equal(t, 200, status, body)
	var c nodeconfig.Config
	require.NoError(t, json.Unmarshal([]byte(body), &c))
	require.Equal(t, nodeconfig.Cluster{
		Name: "Prod_1", Type: "multi_node", Operation: "create_new", VIP: "10.240.0.200", RedundancyFactor: 2,
		Nodes: []nodeconfig.ClusterNode{{NodeName: "web-02", MgmtIP: "10.240.0.11", CVMIP: "10.240.0.101"}, {NodeName: "web-01", MgmtIP: "10.240.0.10", CVMIP: "10.240.0.101"}},
	}, c.Cluster)
}

func TestAConfigurationThatIsNotCompleteIsNotServed(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	n := r.order("web-01", "10.240.0.10", func(s *deploy.Spec) { s.Installer = "own.sh" })
	r.admit(n)
	tok := token(t, r.boot("/boot/d/"+n.locator))
	status, header, body := r.call("GET", "/boot/server/10.240.0.10", tok)
	require.Equal(t, 503, status)
	require.NotEmpty(t, header.Get("Retry-After"))
	require.Contains(t, body, "own.sh is not in the catalogue")
	require.Zero(t, r.count("SELECT count(*) FROM deployment_history WHERE phase = 'config_download' AND status = 'in_progress'"))
}

var urls = regexp.MustCompile(`https?://[^\s"']+`)

// Every URL that a boot script or a configuration names is served: those of
// this service here, the report's path is the server's own.
func TestEveryAdvertisedURLIsServed(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	n := r.order("web-01", "10.240.0.10", nil)
	waiting := r.boot("/boot/d/" + n.locator)
	r.admit(n)
	install := strings.ReplaceAll(r.boot("/boot/d/"+n.locator), "${base}", r.web.URL)
	tok := token(t, install)
	_, _, doc := r.call("GET", "/boot/server/10.240.0.10", tok)
	_, _, sh := r.call("GET", "/boot/server/10.240.0.10?format=sh", tok)
	seen := map[string]bool{}
	for _, text := range []string{waiting, install, doc, sh} {
		for _, u := range urls.FindAllString(text, -1) {
			path, ok := strings.CutPrefix(u, r.web.URL)
			require.True(t, ok, "%s is not ours", u)
			if path == "" || path == "/api/status/phase" {
				continue
			}
			status, header, body := r.call("GET", path, "")
			require.Equal(t, 200, status, path)
			if !strings.HasPrefix(path, "/boot/d/") {
				require.NotEmpty(t, body)
				require.Contains(t, install+doc, header.Get("X-Checksum-Sha256"), "the announced sum is the sum of %s", path)
			}
			seen[path] = true
		}
	}
	for _, want := range []string{"/boot/images/vmlinuz", "/boot/images/initrd.img", "/boot/images/installer.sh", "/boot/images/hypervisor.img", "/boot/scripts/report.sh", "/boot/scripts/foundation-init.sh"} {
		require.True(t, seen[want], want)
	}
}

func TestBaseURLAndHost(t *testing.T) {
	set := settings()
	set.BaseURL = "https://slipway.example/prefix"
	r := newRig(t, storetest.SQLite(t), set)
	n := r.order("web-01", "10.240.0.10", nil)
	r.admit(n)
	require.Contains(t, r.boot("/boot/d/"+n.locator), "slipway.url=https://slipway.example/prefix ")
	for _, bad := range []string{"slipway.example", "http://", "http://x/", "http://${x}", "ftp://x", "http://a b", "http://u@h"} {
		set.BaseURL = bad
		_, err := pxe.New(pxe.Parts{Settings: set})
		require.Error(t, err, bad)
	}
	// A Host header that is no host never gets into a script.
	own := newRig(t, storetest.SQLite(t), settings())
	m := own.order("web-01", "10.240.0.10", nil)
	own.admit(m)
	req, err := http.NewRequestWithContext(t.Context(), "GET", own.web.URL+"/boot/d/"+m.locator, nil)
	require.NoError(t, err)
	req.Host = "evil&x=y"
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NotContains(t, string(body), "evil")
}

func TestOtherMethodsAndPaths(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	for path, want := range map[string]int{
		"/boot/images/none": 404, "/boot/images/..%2f..%2fetc%2fpasswd": 404, "/boot/scripts/none.sh": 404, "/boot/": 404, "/boot/d/": 404,
	} {
		status, _, _ := r.call("GET", path, "")
		require.Equal(t, want, status, path)
	}
	status, _, _ := r.call("POST", "/boot/config", "")
	require.Equal(t, 405, status)
}
