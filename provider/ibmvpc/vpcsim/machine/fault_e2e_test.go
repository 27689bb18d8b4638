//go:build linux

package machine

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ends runs a machine with faults to its end.
func ends(t *testing.T, host int, faults ...Fault) (*slipway, *Rack, Status) {
	t.Helper()
	s := newSlipway(t, host)
	r := testRack(t, func(o *Options) { o.Faults = faults })
	r.PowerOn(s.spec)
	return s, r, waitState(t, r, s.spec.ServerID, StateRunning, StateHalted, StateInstallFailed)
}

func (s *slipway) count(phase, status string) (n int) {
	for _, rep := range s.seen() {
		if rep.Phase == phase && rep.Status == status {
			n++
		}
	}
	return n
}

// gets counts the requests for an image.
func (s *slipway) gets(name string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, req := range s.requests {
		if strings.HasPrefix(req, "GET /boot/images/"+name+" ") {
			n++
		}
	}
	return n
}

// TestBootsTwice: in the middle of the installer the machine starts again, from
// the network, once; then it is installed.
func TestBootsTwice(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	s, r, end := ends(t, 40, Fault{Match: "*", Kind: FaultBootsTwice})
	require.Equal(t, StateRunning, end.State)
	require.Equal(t, 3, end.Boots, "into the environment twice, then into the system")
	require.Equal(t, 2, s.count("foundation_start", "success"))
	require.Equal(t, 1, s.count("installation", "success"))
	require.Zero(t, s.count("installation", "failed"), "a machine that restarts says nothing")
	require.Contains(t, r.Console(s.spec.ServerID), "*** Reset")
	require.Empty(t, processesOf(t, r.dir), "nothing of the first boot is left")
}

func TestReportsTwice(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	s, _, end := ends(t, 41, Fault{Match: "*", Kind: FaultReportsTwice})
	require.Equal(t, StateRunning, end.State)
	seen := s.seen()
	require.Zero(t, len(seen)%2)
	for i := 0; i < len(seen); i += 2 {
		require.Equal(t, seen[i], seen[i+1])
	}
}

func TestClockSkew(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	for i, skew := range []int{7200, -7200} {
		s, _, end := ends(t, 42+i, Fault{Match: "*", Kind: FaultClockSkew, Skew: skew})
		require.Equal(t, StateRunning, end.State)
		require.NotEmpty(t, s.seen())
		for _, rep := range s.seen() {
			require.WithinDuration(t, time.Now().Add(time.Duration(skew)*time.Second), rep.OccurredAt, 15*time.Minute)
		}
	}
}

func TestDiskFails(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	s, _, end := ends(t, 44, Fault{Match: "*", Kind: FaultDiskFails, Disk: "boot"})
	require.Equal(t, StateInstallFailed, end.State)
	rep := s.last("installation", "failed")
	require.NotNil(t, rep)
	require.Contains(t, rep.Message, "cannot write hypervisor.img", "the controller VM's disk is fine")
	s, _, end = ends(t, 45, Fault{Match: "*", Kind: FaultDiskFails, Disk: "data"})
	require.Equal(t, StateInstallFailed, end.State)
	require.Contains(t, s.last("installation", "failed").Message, "cannot write cvm.img")
}

// TestDownloadBreaks: what is cut is resumed, what is wrong is fetched once
// more; what stays wrong fails with both sums.
func TestDownloadBreaks(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	s, _, end := ends(t, 46, Fault{Match: "*", Kind: FaultDownloadCut, Artifact: HypervisorName, Times: 2})
	require.Equal(t, StateRunning, end.State)
	require.Equal(t, 3, s.gets(HypervisorName))
	require.Equal(t, 1, s.gets(CVMName))

	s, _, end = ends(t, 47, Fault{Match: "*", Kind: FaultWrongBytes, Artifact: CVMName})
	require.Equal(t, StateRunning, end.State)
	require.Equal(t, 2, s.gets(CVMName))

	s, _, end = ends(t, 48, Fault{Match: "*", Kind: FaultWrongBytes, Times: 9})
	require.Equal(t, StateInstallFailed, end.State)
	require.Regexp(t, `sha256 is [0-9a-f]{64}, expected [0-9a-f]{64} \(downloaded twice`, s.last("image_download", "failed").Message)
}

// TestReinitializationKeepsDataDisks: the provider writes the boot disk, and
// that only.
func TestReinitializationKeepsDataDisks(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	s, r, end := ends(t, 49)
	require.Equal(t, StateRunning, end.State)
	m := r.machine(s.spec.ServerID)
	disks := inventory(s.spec)
	root, err := os.OpenRoot(m.dir + "/root")
	require.NoError(t, err)
	defer root.Close()
	require.Equal(t, recordSystem, readBootRecord(root, disks))
	mark := []byte("somebody's data")
	data := ""
	for _, d := range disks {
		if !d.boot && !d.removable {
			data = d.name // the last one, which the installer does not use
		}
	}
	f, err := root.OpenFile("dev/"+data, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(mark, 1<<20)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	r.PowerOff(s.spec.ServerID)
	require.Equal(t, StateOff, r.State(s.spec.ServerID))
	require.Empty(t, processesOf(t, r.dir), "its processes ended with the power")
	spec := s.spec
	spec.Reinitialized = true
	firstBoot := end.BootID
	r.PowerOn(spec)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := r.Wait(ctx, s.spec.ServerID, func(st Status) bool { return st.State == StateInstalling || st.State == StateNetworkBoot })
	require.NoError(t, err)
	require.NotEqual(t, firstBoot, st.BootID, "a new boot")
	require.Equal(t, recordIPXE, readBootRecord(root, disks))
	f, err = root.Open("dev/" + data)
	require.NoError(t, err)
	got := make([]byte, len(mark))
	_, err = f.ReadAt(got, 1<<20)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, mark, got)
	require.Equal(t, StateRunning, waitState(t, r, s.spec.ServerID, StateRunning, StateHalted, StateInstallFailed).State)
}

func TestFaultsByRuleAndSeed(t *testing.T) {
	r := testRack(t, nil)
	id, err := r.AddFault(json.RawMessage(`{"match":"node-*","fault":"clock_skew","skew_seconds":-60}`))
	require.NoError(t, err)
	require.Equal(t, -60, r.faultsFor("node-1")[0].Skew)
	require.Len(t, r.FaultRules(), 1)
	require.Contains(t, string(r.FaultRules()[0]), id)
	for _, bad := range []string{`[]`, `{"match":"*","fault":"explode"}`, `{"match":"*","fault":"disk_fails","disk":"middle"}`, `{"match":"*","fault":"wrong_bytes","artifact":"a b"}`,
		`{"match":"*","fault":"boots_twice","times":-1}`, `{"match":"*","fault":"random","rate":2}`, `{"match":"*","fault":"random","kinds":["random"]}`, `{"match":"*","fault":"random","kinds":["x"]}`} {
		_, err := r.AddFault(json.RawMessage(bad))
		require.Error(t, err, bad)
	}
	r.ClearFaults("another")
	require.Len(t, r.FaultRules(), 1)
	r.ClearFaults(id)
	require.Empty(t, r.faultsFor("node-1"))

	fates := func(seed string) (out []FaultKind) {
		r.ClearFaults()
		_, err := r.AddFault(json.RawMessage(`{"match":"*","fault":"random","rate":0.5,"seed":` + seed + `}`))
		require.NoError(t, err)
		for i := range 40 {
			if fs := r.faultsFor("node-" + string(rune('a'+i))); len(fs) > 0 {
				out = append(out, fs[0].Kind)
			} else {
				out = append(out, "")
			}
		}
		return out
	}
	first := fates("1")
	require.Equal(t, first, fates("1"))
	require.NotEqual(t, first, fates("2"))
	for _, kind := range append([]FaultKind{""}, randomKinds...) {
		require.Contains(t, first, kind)
	}
}
