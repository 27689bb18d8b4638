package scripts

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/pxe/nodeconfig"
	"github.com/slipwayhq/slipway/tools/present"
)

// environment is a kind of install environment: a shell and its tools.
type environment struct {
	name    string
	busybox bool
	curl    bool
}

var (
	dash        = environment{name: "dash", curl: true}
	busybox     = environment{name: "busybox", busybox: true, curl: true}
	busyboxOnly = environment{name: "busybox-without-curl", busybox: true}
	dashWget    = environment{name: "dash-with-busybox-wget"}
	both        = []environment{dash, busybox}
)

// tools is everything the scripts may call. What is not here does not exist for them.
var tools = strings.Fields("awk cat chmod chown cp date grep head id ln mkdir mkfifo mv od readlink rm rmdir sed setsid sha256sum sleep tail timeout tr wc")

// machine is a temporary install environment.
type machine struct {
	env  environment
	root string // SLIPWAY_ROOT
	bin  string // its PATH
	sh   []string
	vars map[string]string
}

// all says whether a test runs in all of its environments.
func all() bool { return os.Getenv("SLIPWAY_SOAK") != "" }

// each runs a test in environments, side by side. Of more than two, SLIPWAY_SOAK=1
// takes all; otherwise it is two that have both shells and both clients.
func each(t *testing.T, envs []environment, f func(t *testing.T, env environment)) {
	t.Helper()
	if len(envs) > 2 && !all() && slices.Contains(envs, dash) && slices.Contains(envs, busyboxOnly) {
		envs = []environment{dash, busyboxOnly}
	}
	everywhere(t, envs, f)
}

// inTurn runs the i-th case of a table in one of the environments, which is the
// next one's for the next case; SLIPWAY_SOAK=1 in all of them.
func inTurn(t *testing.T, i int, envs []environment, f func(t *testing.T, env environment)) {
	t.Helper()
	if !all() {
		i %= len(envs)
		envs = envs[i : i+1]
	}
	everywhere(t, envs, f)
}

// everywhere runs a test in every environment, side by side.
func everywhere(t *testing.T, envs []environment, f func(t *testing.T, env environment)) {
	t.Helper()
	for _, env := range envs {
		t.Run(env.name, func(t *testing.T) {
			t.Parallel()
			f(t, env)
		})
	}
}

// packages are Debian's where they are not called like the command.
var packages = map[string]string{"busybox": "busybox-static", "ssh-keygen": "openssh-client", "ip": "iproute2", "lsblk": "util-linux", "mount": "mount"}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	return present.Command(t, name, cmp.Or(packages[name], name))
}

func newMachine(t *testing.T, env environment) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{env: env, root: filepath.Join(dir, "root"), bin: filepath.Join(dir, "bin"), vars: map[string]string{}}
	if err := os.MkdirAll(m.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	m.write(t, "etc/slipway-installer", "")
	bb := ""
	if env.busybox || !env.curl {
		bb = lookPath(t, "busybox")
	}
	list := append([]string(nil), tools...)
	if !env.curl {
		list = append(list, "wget", "nc")
	}
	for _, name := range list {
		target := bb
		if !env.busybox && name != "wget" && name != "nc" {
			target = lookPath(t, name)
		}
		m.link(t, target, name)
	}
	m.link(t, lookPath(t, "ssh-keygen"), "ssh-keygen")
	if env.curl {
		m.link(t, lookPath(t, "curl"), "curl")
	}
	if env.busybox {
		m.sh = []string{bb, "sh"}
		m.link(t, bb, "sh")
	} else {
		m.sh = []string{lookPath(t, "dash")}
		m.link(t, m.sh[0], "sh")
	}
	// ip only writes down what it was asked; it says that the address is not there.
	m.tool(t, "ip", `printf '%s\n' "$*" >>"$SLIPWAY_ROOT/ip.log"
case "$*" in "link show"*) exit 1 ;; esac
`)
	m.vars = map[string]string{
		"PATH": m.bin, "SLIPWAY_ROOT": m.root, "HOME": dir,
		"SLIPWAY_BACKOFF": "0.02 0.05", "SLIPWAY_PATIENCE": "0", "SLIPWAY_FINAL_PATIENCE": "2",
		"SLIPWAY_HEARTBEAT": "30", "SLIPWAY_PROGRESS_INTERVAL": "30", "SLIPWAY_CONFIG_PATIENCE": "10", "SLIPWAY_KILL_GRACE": "2",
	}
	return m
}

func (m *machine) link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(m.bin, name)); err != nil {
		t.Fatal(err)
	}
}

// tool puts a script of ours in the place of a command. It must not call
// commands by their bare name that busybox would take for its applets.
func (m *machine) tool(t *testing.T, name, script string) {
	t.Helper()
	path := filepath.Join(m.bin, name)
	_ = os.Remove(path)
	if err := os.WriteFile(path, []byte("#!"+strings.Join(m.sh, " ")+"\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) write(t *testing.T, path, content string) {
	t.Helper()
	path = filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(m.root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// disk adds a disk to /sys/block and a node for it to /dev.
func (m *machine) disk(t *testing.T, name string, bytes int64, attributes map[string]string) {
	t.Helper()
	base := "sys/block/" + name + "/"
	m.write(t, base+"size", fmt.Sprintln(bytes/512))
	m.write(t, base+"removable", "0\n")
	m.write(t, base+"queue/rotational", "0\n")
	m.write(t, base+"device/model", "Fake disk        \n")
	for k, v := range attributes {
		m.write(t, base+k, v+"\n")
	}
	m.write(t, "dev/"+strings.ReplaceAll(name, "!", "/"), "")
}

// typical gives the machine the hardware of the typical configuration, and what
// must not be taken for a disk of it.
func (m *machine) typical(t *testing.T) {
	t.Helper()
	m.write(t, "proc/cmdline", "initrd=initrd console=ttyS0 slipway.url="+m.vars["SLIPWAY_URL"]+" slipway.ip="+testIP+" slipway.token="+testToken+"\n")
	delete(m.vars, "SLIPWAY_URL")
	m.write(t, "proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n")
	m.disk(t, "nvme0n1", 3_200_000_000_000, map[string]string{"device/serial": "  S1DATA-A ", "wwid": "eui.0025385A"})
	m.disk(t, "nvme1n1", 480_000_000_000, map[string]string{"device/serial": "S0BOOT", "device/wwid": "eui.00253800"})
	m.disk(t, "nvme2n1", 3_200_000_000_000, map[string]string{"device/serial": "S1DATA-B", "wwid": "eui.0025385B"})
	m.disk(t, "sda", 4_000_000_000_000, map[string]string{"queue/rotational": "1", "device/wwid": "naa.5000C500A1B2C3D4", "device/model": "Spinning \"rust\"", "device/vpd_pg80": "\x00\x80\x00\x04ZZ80"})
	m.disk(t, "sdb", 64<<20, map[string]string{"removable": "1", "device/serial": "VIRTUAL"})
	m.write(t, "sys/block/loop0/size", "2048\n")
	m.write(t, "sys/block/ram0/size", "8192\n")
	m.write(t, "sys/class/net/lo/address", "00:00:00:00:00:00\n")
	m.write(t, "sys/class/net/ens1f0/address", "02:00:01:00:00:0a\n")
	m.write(t, "sys/class/net/ens1f0/device/vendor", "0x1dd8\n")
	m.write(t, "sys/class/net/ens2f0/address", "02:00:01:00:00:0b\n")
	m.write(t, "sys/class/net/ens2f0/device/vendor", "0x1dd8\n")
}

// testCVMKey is the controller VM's host key of the typical deployment.
const testCVMKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPfVpZuHbVgI9nCvVZ8KB6KN2kIvVCT/y8UOxUiyOAkM"

// installerScript is the typical deployment's installer: it checks what it was
// given and leaves an installed system behind.
const installerScript = `set -eu
printf '%s controller-vm\n' '` + testCVMKey + `' >"$SLIPWAY_CVM_KEY_FILE"
echo "installer args: $*"
printf '%s\n' "$@" >"$SLIPWAY_ROOT/installer-args"
env >"$SLIPWAY_ROOT/installer-env" 2>/dev/null || export -p >"$SLIPWAY_ROOT/installer-env"
printf 'image' >"$SLIPWAY_BOOT_DISK"
for disk in $SLIPWAY_DATA_DISKS; do printf 'data' >"$disk"; done
cat "$SLIPWAY_ARTIFACT_DIR/hypervisor.img" >/dev/null
mkdir -p "$SLIPWAY_ROOT/target/root" "$SLIPWAY_ROOT/target/etc"
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$SLIPWAY_ROOT/target/etc/passwd"
`

// typicalConfig is a configuration that fits machine.typical.
func (d *slipwayd) typicalConfig(t *testing.T) {
	t.Helper()
	d.images["installer.sh"] = []byte(installerScript)
	d.images["hypervisor.img"] = bytes.Repeat([]byte("0123456789abcdef"), 16<<10)
	d.config = nodeconfig.Config{
		NodeConfig: nodeconfig.Node{NodeID: "node_7", NodeName: "metal-1", MgmtIP: testIP},
		Network: nodeconfig.Network{
			Address: testIP, Netmask: "255.255.255.0", Gateway: "10.240.0.1", DNSServers: []string{"161.26.0.7", "161.26.0.8"},
			Domain: "example.cloud", MAC: "02:00:01:00:00:0A", MTU: 9000, VLANs: []nodeconfig.VLAN{{ID: 100, Address: "10.241.0.10", Netmask: "23"}, {ID: 200}},
		},
		Storage: nodeconfig.Storage{
			BootDisk: nodeconfig.Disk{Serial: "S0BOOT"},
			DataDrives: []nodeconfig.Disk{
				{Type: nodeconfig.DiskNVMe, MinSize: 3_000_000_000_000, Count: 2},
				{WWN: "0x5000c500a1b2c3d4", Type: nodeconfig.DiskHDD, Size: 4_000_000_000_000},
			},
		},
		Installer: nodeconfig.Installer{Artifact: "installer.sh", Args: []string{"--name", "it's $HOME `id`\n\"two\""}, Timeout: 60},
		Access:    nodeconfig.Access{User: "root", AuthorizedKeys: []string{"ssh-ed25519 AAAAC3Nza $(id) slipway", "ssh-ed25519 AAAAC3Nzb other"}, SSHPort: 2222},
		Report:    nodeconfig.Report{URL: d.url + "/api/status/phase", Token: testToken},
	}
	d.artifacts()
	if err := d.config.Validate(); err != nil {
		t.Fatal(err)
	}
}

// artifacts describes the images and scripts as they are now.
func (d *slipwayd) artifacts() {
	d.config.Artifacts = nil
	for _, name := range []string{"installer.sh", "hypervisor.img"} {
		d.config.Artifacts = append(d.config.Artifacts, nodeconfig.Artifact{
			Name: name, URL: d.url + "/boot/images/" + name, SHA256: hexSum(d.images[name]), Size: int64(len(d.images[name])),
		})
	}
	d.config.Scripts = map[string]nodeconfig.Script{}
	for name, content := range d.scripts {
		d.config.Scripts[name] = nodeconfig.Script{URL: d.url + "/boot/scripts/" + name, SHA256: hexSum(content)}
	}
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// typicalRun gives a server and a machine that fit each other.
func typicalRun(t *testing.T, env environment) (*slipwayd, *machine) {
	t.Helper()
	d := newSlipwayd(t)
	d.typicalConfig(t)
	m := newMachine(t, env)
	m.vars["SLIPWAY_URL"] = d.url
	m.typical(t)
	return d, m
}

// result is how a script ended.
type result struct {
	code           int
	stdout, stderr string
}

// command prepares a script of the served set.
func (m *machine) command(t *testing.T, content []byte, name string, args ...string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(filepath.Dir(m.bin), "boot", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// Another process may be reading it, so it is not written again for nothing.
	if there, err := os.ReadFile(path); err != nil || !bytes.Equal(there, content) {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(m.sh[0], slices.Concat(m.sh[1:], []string{path}, args)...)
	cmd.Dir = filepath.Dir(path)
	for k, v := range m.vars {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	// A script that leaves a child with our pipe behind must fail the test, not hang it.
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s%s", err, stdout.String(), stderr.String())
	}
	return result{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// run runs a served script to its end.
func (m *machine) run(t *testing.T, name string, args ...string) result {
	t.Helper()
	s, ok := Get(name)
	if !ok {
		t.Fatalf("no script %s", name)
	}
	return finish(t, m.command(t, s.Content, name, args...))
}

// install runs foundation-init.sh as the server has it.
func (m *machine) install(t *testing.T, d *slipwayd) result {
	t.Helper()
	return finish(t, m.command(t, d.scripts[FoundationInit], FoundationInit))
}

// explain adds what a failed test wants to know.
func (m *machine) explain(t *testing.T, d *slipwayd, r result) {
	t.Helper()
	log, _ := os.ReadFile(filepath.Join(m.root, "var/log/slipway/install.log"))
	t.Logf("exit %d\nstdout:\n%s\nstderr:\n%s\nreports:\n%s\nlog:\n%s", r.code, r.stdout, r.stderr, d.lines(), log)
}
