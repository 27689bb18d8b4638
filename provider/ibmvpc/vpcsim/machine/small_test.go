package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

func TestParseFaults(t *testing.T) {
	got, err := ParseFaults([]byte(`[{"match":"node-*","fault":"never_boot"},
		{"match":"*","fault":"script_line_fails","tool":"curl","missing":true},
		{"match":"b","fault":"slow","factor":3},{"match":"b","fault":"cvm_die","stage":"configure","times":1}]`))
	require.NoError(t, err)
	require.Len(t, got, 4)
	fs := faultsFor(got, "node-1")
	require.True(t, fs.has(FaultNeverBoot))
	require.True(t, fs.has(FaultScriptLine))
	require.False(t, fs.has(FaultSlow))
	one, err := ParseFaults([]byte(` {"match":"a","fault":"script_line_fails"}`))
	require.NoError(t, err)
	require.Equal(t, Fault{Match: "a", Kind: FaultScriptLine, Tool: "ip", Exit: 1, Factor: 10, Times: 1, Skew: 3600}, faultsFor(one, "a")[0])

	again, err := json.Marshal(got)
	require.NoError(t, err)
	same, err := ParseFaults(again)
	require.NoError(t, err)
	require.Equal(t, got, same)

	for _, bad := range []string{
		``, `nonsense`, `[{"match":"*"}]`, `[{"fault":"slow"}]`, `[{"match":"[","fault":"slow"}]`,
		`[{"match":"*","fault":"explode"}]`, `[{"match":"*","fault":"slow","speed":1}]`, `[] []`,
		`[{"match":"*","fault":"script_line_fails","tool":"../ip"}]`,
		`[{"match":"*","fault":"script_line_fails","exit":256}]`,
		`[{"match":"*","fault":"script_line_fails","args":"a) reboot;; b"}]`,
		`[{"match":"*","fault":"slow","factor":0.5}]`,
		`[{"match":"*","fault":"cvm_explode"}]`, `[{"match":"*","fault":"cvm_"}]`, `[{"fault":"cvm_down"}]`,
		`[{"match":"*","fault":"cvm_die","stage":"lunch"}]`, `[{"match":"*","fault":"cvm_down","stage":"configure"}]`,
		`[{"match":"*","fault":"cvm_slow","steps":-1}]`, `[{"match":"*","fault":"random","kinds":["cvm_down"]}]`,
	} {
		_, err := ParseFaults([]byte(bad))
		require.Error(t, err, bad)
	}
}

func TestConsole(t *testing.T) {
	var log bytes.Buffer
	c := &console{log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), max: 64}
	for _, s := range []string{"first li", "ne\nsecond\n", "bad \xff byte\n"} {
		n, err := c.Write([]byte(s))
		require.NoError(t, err)
		require.Equal(t, len(s), n)
	}
	require.Equal(t, "first line\nsecond\nbad \uFFFD byte\n", c.tail())
	require.Contains(t, log.String(), `line="first line"`)
	for range 100 {
		_, _ = c.Write([]byte("0123456789\n"))
	}
	require.LessOrEqual(t, len(c.tail()), 64)
	require.True(t, strings.HasPrefix(c.tail(), "0123456789\n"), "it begins with a whole line")
	require.LessOrEqual(t, len(c.text), 2*64)
	log.Reset()
	_, _ = c.Write(bytes.Repeat([]byte("x"), 3*maxLine))
	require.Equal(t, 2, strings.Count(log.String(), "msg=console"), "a line without end is cut")
}

func TestInventory(t *testing.T) {
	spec := vpcsim.Spec{ServerID: "srv", Disks: []vpcsim.Disk{
		{ID: "d0", SizeGB: 960, InterfaceType: vpcsim.DiskInterfaceSATA, Boot: true},
		{ID: "d1", SizeGB: 3200, InterfaceType: vpcsim.DiskInterfaceNVMe},
		{ID: "d2", SizeGB: 3200, InterfaceType: vpcsim.DiskInterfaceNVMe},
	}}
	disks := inventory(spec)
	require.Equal(t, disks, inventory(spec), "the same at every boot")
	names, serials := map[string]bool{}, map[string]bool{}
	for _, d := range disks {
		names[d.name], serials[d.serial] = true, true
		if d.boot {
			require.Equal(t, "sdb", d.name, "the BMC's virtual drive has the first name")
			require.EqualValues(t, 960e9, d.size)
			require.Regexp(t, `^naa\.[0-9a-f]{16}$`, d.wwid)
		}
	}
	require.Len(t, serials, 4)
	require.Equal(t, map[string]bool{"sda": true, "sdb": true, "nvme0n1": true, "nvme1n1": true}, names)

	firsts := map[string]bool{}
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		all := inventory(vpcsim.Spec{ServerID: id, Disks: []vpcsim.Disk{
			{ID: "d0", InterfaceType: vpcsim.DiskInterfaceNVMe, Boot: true}, {ID: "d1", InterfaceType: vpcsim.DiskInterfaceNVMe},
		}})
		for _, d := range all {
			if d.boot {
				firsts[d.name] = true
			}
		}
	}
	require.Len(t, firsts, 2, "the boot disk has no name one could guess")
	require.Equal(t, []string{"a", "z", "aa", "az", "ba"}, []string{letters(0), letters(25), letters(26), letters(51), letters(52)})
}

// TestBootRecordOfHostileDisks: what scripts leave in dev is never followed.
func TestBootRecordOfHostileDisks(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	system := make([]byte, sector)
	copy(system[sector-2:], bootSignature)
	require.NoError(t, os.WriteFile(outside, system, 0o644))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	disks := []disk{{name: "sda", size: 4096, boot: true}}
	own := func(string) error { return nil }

	require.NoError(t, makeDisks(root, disks, false, own))
	require.Equal(t, recordIPXE, readBootRecord(root, disks))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dev/sda"), system, 0o644))
	require.Equal(t, recordSystem, readBootRecord(root, disks))
	require.NoError(t, makeDisks(root, disks, false, own))
	require.Equal(t, recordSystem, readBootRecord(root, disks), "a restart keeps the disk")
	require.NoError(t, makeDisks(root, disks, true, own))
	require.Equal(t, recordIPXE, readBootRecord(root, disks), "a reinitialization does not")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dev/sda"), make([]byte, 4096), 0o644))
	require.Equal(t, recordNone, readBootRecord(root, disks), "wiped")

	require.NoError(t, os.Remove(filepath.Join(dir, "dev/sda")))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "dev/sda")))
	require.Equal(t, recordNone, readBootRecord(root, disks), "a link that leads out")
	require.NoError(t, os.Remove(filepath.Join(dir, "dev/sda")))
	require.NoError(t, exec.Command("mkfifo", filepath.Join(dir, "dev/sda")).Run())
	require.Equal(t, recordNone, readBootRecord(root, disks), "a FIFO does not block the firmware")
}

func TestStandInsAreDeterministic(t *testing.T) {
	a, err := StandIns(t.TempDir(), QuickPace())
	require.NoError(t, err)
	b, err := StandIns(t.TempDir(), QuickPace())
	require.NoError(t, err)
	require.Len(t, a, 5)
	for i := range a {
		one, err := os.ReadFile(a[i].Path)
		require.NoError(t, err)
		two, err := os.ReadFile(b[i].Path)
		require.NoError(t, err)
		require.Equal(t, one, two, a[i].Name)
		require.NotContains(t, string(one), "@", "no placeholder is left")
		if a[i].Kind != "installer" {
			require.True(t, bytes.HasPrefix(one, []byte("Slipway stand-in for a ")))
		}
	}
}

func TestPaces(t *testing.T) {
	slow := DemoPace().slower(4)
	require.Equal(t, 4*DemoPace().Firmware, slow.Firmware)
	require.Equal(t, DemoPace().LinkRate/4, slow.LinkRate)
	require.NotZero(t, QuickPace().slower(4).LinkRate)
	ctx, cancel := context.WithCancel(context.Background())
	require.NoError(t, systemClock{}.Sleep(ctx, time.Microsecond))
	cancel()
	require.ErrorIs(t, systemClock{}.Sleep(ctx, time.Hour), context.Canceled)
	require.ErrorIs(t, systemClock{}.Sleep(ctx, 0), context.Canceled)
}

func TestUptime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.Equal(t, " 03:04:05 up 7 min,  0 users,  load average: 0.00, 0.00, 0.00\n", uptime(now, now.Add(-7*time.Minute)))
	require.Contains(t, uptime(now, now.Add(-25*time.Hour)), "up 1 days,  1:00,")
}

// TestStandInIP runs the stand-in of ip the way network scripts do.
func TestStandInIP(t *testing.T) {
	dir := t.TempDir()
	box, err := findTools(ShellDefault, true)
	require.NoError(t, err)
	b := bin{dir: filepath.Join(dir, "bin"), root: filepath.Join(dir, "root"), tools: box}
	require.NoError(t, os.MkdirAll(b.root, 0o755))
	root, err := os.OpenRoot(b.root)
	require.NoError(t, err)
	defer root.Close()
	require.NoError(t, (&layout{root: root, uid: -1}).build(testSpec, inventory(testSpec), "a=b", "boot-id"))
	require.NoError(t, b.build(faults{Fault{Kind: FaultScriptLine, Args: "route replace*"}.withDefaults()}))
	ip := func(args ...string) (string, error) {
		cmd := exec.Command(filepath.Join(b.dir, "ip"), args...)
		cmd.Env = []string{"PATH=" + b.dir}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := ip("-o", "-4", "addr", "show", "dev", "ens1f0")
	require.NoError(t, err)
	require.Contains(t, out, "inet 127.64.0.4/24 ", "what DHCP gave")
	_, err = ip("link", "show", "dev", "ens1f0.100")
	require.Error(t, err)
	_, err = ip("link", "add", "link", "ens1f0", "name", "ens1f0.100", "type", "vlan", "id", "100")
	require.NoError(t, err)
	_, err = ip("link", "show", "dev", "ens1f0.100")
	require.NoError(t, err)
	_, err = ip("addr", "add", "10.0.0.1/24", "dev", "ens1f0.100")
	require.NoError(t, err)
	out, err = ip("-o", "-4", "addr", "show", "dev", "ens1f0.100")
	require.NoError(t, err)
	require.Contains(t, out, "inet 10.0.0.1/24 ")
	require.NotContains(t, out, "127.64.0.4")
	out, err = ip("route", "replace", "default", "via", "10.0.0.9")
	require.Error(t, err, "the fault is on these arguments only")
	require.Contains(t, out, "simulated fault")
	calls, err := os.ReadFile(filepath.Join(b.root, "var/log/commands.log"))
	require.NoError(t, err)
	require.Contains(t, string(calls), "ip link add link ens1f0 name ens1f0.100 type vlan id 100\n")
}
