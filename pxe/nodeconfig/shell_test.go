package nodeconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipwayhq/slipway/tools/present"
)

// shells are the two that install environments really have.
var shells = map[string][]string{
	"dash":    {"dash"},
	"busybox": {"busybox", "sh"},
}

func needShell(t *testing.T, argv []string) {
	t.Helper()
	present.Command(t, argv[0], packages[argv[0]])
}

// packages are Debian's, by command.
var packages = map[string]string{"dash": "dash", "busybox": "busybox-static"}

// example is a full document that validates.
func example() Config {
	return Config{
		NodeConfig: Node{NodeID: "node_7", NodeName: "metal-1", MgmtIP: "10.240.0.10", AHVIP: "10.240.0.51", CVMIP: "10.240.0.101"},
		Network: Network{
			Address: "10.240.0.10", Netmask: "255.255.255.0", Gateway: "10.240.0.1",
			DNSServers: []string{"161.26.0.7", "161.26.0.8"}, Domain: "example.cloud", MAC: "02:00:01:00:00:0a", MTU: 9000,
			VLANs: []VLAN{{ID: 100, Address: "10.241.0.10", Netmask: "24"}, {ID: 200}},
		},
		Storage: Storage{
			BootDisk:   Disk{Serial: "S0BOOT"},
			DataDrives: []Disk{{Type: DiskNVMe, MinSize: 3_000_000_000_000, Count: 8}, {WWN: "naa.5000c500a1b2c3d4"}},
		},
		Resources: Resources{CVMMemoryGB: 32, CVMVCPUs: 16},
		Cluster:   Cluster{Name: "alpha", Type: "multi_node", Operation: "create_new", VIP: "10.240.0.200", RedundancyFactor: 2, Nodes: []ClusterNode{{NodeName: "metal-1", MgmtIP: "10.240.0.10", CVMIP: "10.240.0.101"}}},
		Artifacts: []Artifact{
			{Name: "installer.sh", URL: "http://10.240.0.5:8080/boot/images/installer.sh", SHA256: strings.Repeat("a1", 32), Size: 1200},
			{Name: "hypervisor.img", URL: "http://10.240.0.5:8080/boot/images/hypervisor.img", SHA256: strings.Repeat("b2", 32), Size: 5_000_000_000},
		},
		Installer: Installer{Artifact: "installer.sh", Args: []string{"--profile", "it's $HOME `id`"}, Timeout: 1800},
		Access:    Access{User: "root", AuthorizedKeys: []string{"ssh-ed25519 AAAAC3Nza slipway"}, SSHPort: 22},
		Scripts:   map[string]Script{"report.sh": {URL: "http://10.240.0.5:8080/boot/scripts/report.sh", SHA256: strings.Repeat("c3", 32)}},
		Report:    Report{URL: "http://10.240.0.5:8080/api/status/phase", Token: "slr_example", Heartbeat: 30},
	}
}

func TestShellGolden(t *testing.T) {
	got, err := example().Shell()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "example.sh", got)
}

func TestJSONGolden(t *testing.T) {
	got, err := example().JSON()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "example.json", got)
	var back Config
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example(), back); diff != "" {
		t.Errorf("the document changes when it is read back:\n%s", diff)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (UPDATE_GOLDEN=1 rewrites it):\n%s", path, diff)
	}
}

func TestEmptyListsKeepTheirCount(t *testing.T) {
	got, err := Config{}.Shell()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"CFG_ARTIFACTS_COUNT=0\n", "CFG_NETWORK_VLANS_COUNT=0\n", "CFG_NETWORK_DNS_SERVERS_COUNT=0\n",
		"CFG_STORAGE_CONFIG_DATA_DRIVES_COUNT=0\n", "CFG_INSTALLER_ARGS_COUNT=0\n", "CFG_ACCESS_AUTHORIZED_KEYS_COUNT=0\n",
	} {
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("no line %q in\n%s", want, got)
		}
	}
	if doc, err := (Config{}).JSON(); err != nil || bytes.Contains(doc, []byte("null")) {
		t.Errorf("null in the empty document (%v):\n%s", err, doc)
	}
}

func TestShellRefuses(t *testing.T) {
	c := example()
	c.Cluster.Name = "a\x00b"
	if _, err := c.Shell(); !errors.Is(err, ErrNUL) {
		t.Errorf("NUL byte: got %v, want ErrNUL", err)
	}
	c = example()
	c.Scripts["report_sh"] = c.Scripts["report.sh"]
	if _, err := c.Shell(); err == nil || !strings.Contains(err.Error(), "CFG_SCRIPTS_REPORT_SH_URL") {
		t.Errorf("two members of one name: got %v", err)
	}
}

func TestFlattenScalars(t *testing.T) {
	got, err := flatten([]byte(`{"a":true,"b":false,"c":null,"d":[1.5,[2]],"e-f":{"g":"x'y"},"h":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := ShellHeader + "\nCFG_A=1\nCFG_B=0\nCFG_D_1=1.5\nCFG_D_2_1=2\nCFG_D_2_COUNT=1\nCFG_D_COUNT=2\nCFG_E_F_G='x'\\''y'\nCFG_H_COUNT=0\n" + ShellFooter + "\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

// evaluate sources the rendering in a real shell and returns the variables'
// values, as that shell sees them.
func evaluate(t interface{ Fatalf(string, ...any) }, dir string, argv []string, rendering []byte, names []string) []string {
	script := "set -eu\n. ./config.sh\n"
	for _, n := range names {
		script += fmt.Sprintf("printf '%%s\\000' \"$%s\"\n", n)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.sh"), rendering, 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	cmd := exec.Command(argv[0], append(argv[1:len(argv):len(argv)], "-c", script)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/nonexistent"} // nothing could be run even if something were expanded
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s\n%s", argv, err, stderr.Bytes(), rendering)
	}
	if stderr.Len() > 0 {
		t.Fatalf("%v printed: %s", argv, stderr.Bytes())
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// nasty draws strings that break careless quoting.
func nasty() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[ -~\n\t\r'"$`+"`"+`\\;&|<>(){}!*?#~=]{0,40}`),
		rapid.SampledFrom([]string{"'", "''", "\n", "\n'\n", "$(id)", "`id`", "${HOME}", `\`, `\'`, "'; exit 9; '", "\x81\x82", "ünï – 漢字 🚀", "\u2028", "a\\\nb", "-n", "%s", "\x7f\x01"}),
		rapid.Map(rapid.String(), func(s string) string { return strings.ReplaceAll(s, "\x00", "") }),
	)
}

// jsonText is s as it survives JSON, which replaces what is not UTF-8.
func jsonText(t *rapid.T, s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back string
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestShellEvaluatesToTheSameStrings(t *testing.T) {
	for name, argv := range shells {
		t.Run(name, func(t *testing.T) {
			needShell(t, argv)
			dir := t.TempDir()
			rapid.Check(t, func(t *rapid.T) {
				var c Config
				c.NodeConfig.NodeName = nasty().Draw(t, "node name")
				c.Network.Domain = nasty().Draw(t, "domain")
				c.Installer.Args = rapid.SliceOfN(nasty(), 1, 4).Draw(t, "args")
				c.Installer.Timeout = rapid.IntRange(-5, 99999).Draw(t, "timeout")
				c.Storage.BootDisk.Size = rapid.Int64Range(1, 1<<62).Draw(t, "size")
				rendering, err := c.Shell()
				if err != nil {
					t.Fatal(err)
				}
				names := []string{"CFG_NODE_CONFIG_NODE_NAME", "CFG_NETWORK_DOMAIN", "CFG_INSTALLER_TIMEOUT", "CFG_STORAGE_CONFIG_BOOT_DISK_SIZE", "CFG_INSTALLER_ARGS_COUNT"}
				want := []string{jsonText(t, c.NodeConfig.NodeName), jsonText(t, c.Network.Domain), fmt.Sprint(c.Installer.Timeout), fmt.Sprint(c.Storage.BootDisk.Size), fmt.Sprint(len(c.Installer.Args))}
				for i, a := range c.Installer.Args {
					names = append(names, fmt.Sprintf("CFG_INSTALLER_ARGS_%d", i+1))
					want = append(want, jsonText(t, a))
				}
				if diff := cmp.Diff(want, evaluate(t, dir, argv, rendering, names)); diff != "" {
					t.Fatal(diff)
				}
			})
		})
	}
}

// FuzzShell feeds any string and any key, and really evaluates the outcome.
func FuzzShell(f *testing.F) {
	for _, s := range []string{"", "plain", "it's", "$(touch x)", "`id`", "a\nb", "'\\''", "\x81", "ü\u202e", "\x00"} {
		f.Add(s, "report.sh")
	}
	f.Add("x", "-k e'y$(id)\n")
	f.Fuzz(func(t *testing.T, s, key string) {
		doc, err := json.Marshal(map[string]any{"v": s, "m": map[string]string{key: s}})
		if err != nil {
			t.Skip("not JSON")
		}
		rendering, err := flatten(doc)
		if strings.ContainsRune(s, 0) {
			if !errors.Is(err, ErrNUL) {
				t.Fatalf("NUL byte: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var back string
		quoted, _ := json.Marshal(s)
		if err := json.Unmarshal(quoted, &back); err != nil {
			t.Fatal(err)
		}
		var decodedKey string
		quotedKey, _ := json.Marshal(key)
		if err := json.Unmarshal(quotedKey, &decodedKey); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for _, argv := range shells {
			if _, err := exec.LookPath(argv[0]); err != nil && os.Getenv(present.Complete) != "1" {
				continue
			}
			got := evaluate(t, dir, argv, rendering, []string{"CFG_V", "CFG_M_" + shellName(decodedKey)})
			if got[0] != back || got[1] != back {
				t.Fatalf("%v: %q became %q", argv, back, got)
			}
		}
	})
}
