package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/machine"
	"github.com/slipwayhq/slipway/pxe/artifact"
	"github.com/slipwayhq/slipway/pxe/scripts"
)

// damagedInstaller is an artifact whose file is not what was registered.
const damagedInstaller = "damaged.sh"

// damage registers the installer under another name and then changes a byte of
// the catalogue's copy, as a bad disk would: its size stays the same.
func damage(ctx context.Context, dir string) error {
	usual, err := os.ReadFile(filepath.Join(dir, "standins", machine.InstallerName))
	if err != nil {
		return err
	}
	path := filepath.Join(dir, damagedInstaller)
	if err := os.WriteFile(path, append(usual, "# another one\n"...), 0o600); err != nil {
		return err
	}
	catalogue, err := openArtifacts(dataFlags{DataDir: dir})
	if err != nil {
		return err
	}
	defer catalogue.Close()
	a, err := catalogue.Register(ctx, damagedInstaller, "1", artifact.KindInstaller, path)
	if err != nil {
		return err
	}
	stored := filepath.Join(dir, "artifacts", a.File)
	content, err := os.ReadFile(stored)
	if err != nil {
		return err
	}
	return os.WriteFile(stored, bytes.Replace(content, []byte("another"), []byte("anOther"), 1), 0o600)
}

// failure is how a deployment must have failed.
type failure struct {
	phase, run, code, message, hint string // message is a regular expression
}

// TestDemosThatFail has one node for each thing that can go wrong, all at the
// same time, and two that nothing is wrong with.
func TestDemosThatFail(t *testing.T) {
	s := startShow(t, showLimit, demoOptions{
		Faults: []machine.Fault{
			{Match: "slw-other-key-*", Kind: machine.FaultWrongHostKey},
			{Match: "slw-bad-line-*", Kind: machine.FaultScriptLine, Tool: "ip", Exit: 4},
			{Match: "slw-dark-*", Kind: machine.FaultNeverBoot},
			{Match: "slw-hangs-*", Kind: machine.FaultHangInInstaller},
		},
		Prepare: damage,
		Install: func(f *installFlags) { f.Heartbeat = time.Second },
	})
	s.deploy(map[string]string{"bad-sum": damagedInstaller, "other-key": "", "bad-line": "", "dark": "", "hangs": "", "fine-1": "", "fine-2": ""})
	s.until("the others have ended", func() bool {
		return s.is(phase.StateFail, "bad-sum", "other-key", "bad-line") && s.is(phase.Succeeded, "fine-1", "fine-2") &&
			s.last("dark").ServerStatus == "running" && s.last("hangs").Phase == phase.Installation
	})

	t.Run("an image with a wrong sha256", func(t *testing.T) {
		s.mustFail(t, "bad-sum", failure{
			phase: phase.ImageDownload, run: "failed", code: "reported_failure", hint: "Compare the artifact's checksum",
			message: `^foundation-init\.sh:\d+: .*damaged\.sh.*sha256 is [0-9a-f]{64}.*expected [0-9a-f]{64}`,
		})
	})
	t.Run("another host key", func(t *testing.T) {
		s.mustFail(t, "other-key", failure{
			phase: phase.HealthValidation, run: "failed", code: "wrong_host", hint: "Another machine answers",
			message: `^127\.64\.\d+\.\d+:2222 showed another host key than the machine reported$`,
		})
	})
	t.Run("a line of a script", func(t *testing.T) {
		st := s.mustFail(t, "bad-line", failure{
			phase: phase.NetworkConfig, run: "failed", code: "reported_failure", hint: "Compare the node's address",
			message: `^network-config\.sh:\d+: a command failed with status 4$`,
		})
		namesALineWith(t, st.Failure.Message, `"$ip"`)
		rows := s.history("bad-line")
		end := rows[len(rows)-1]
		require.Contains(t, string(end.Details), `"script":"network-config.sh"`)
		require.Contains(t, *end.LogTail, "FAILED in network_config")
	})
	t.Run("nothing moves by itself", s.nothingMoves)

	s.clock.Advance(61 * time.Minute) // more than monitoring_start and installation may take
	s.until("the deadlines have acted", func() bool { return s.is(phase.StateFail, "dark", "hangs") })
	t.Run("a server that never boots", func(t *testing.T) {
		st := s.mustFail(t, "dark", failure{
			phase: phase.MonitoringStart, run: "timed_out", code: "deadline_passed", hint: "The server never asked for its boot script.",
			message: `^monitoring_start did not end within 1h0m0s \(try 1 of 1\); last: waiting for the first boot request; the server is running$`,
		})
		require.True(t, st.TimedOut)
	})
	t.Run("scripts that stopped", func(t *testing.T) {
		st := s.mustFail(t, "hangs", failure{
			phase: phase.Installation, run: "timed_out", code: "deadline_passed", hint: "Read the log's last lines",
			message: `^installation did not end within 1h0m0s \(try 1 of 1\)`,
		})
		require.True(t, st.TimedOut)
		// Its signs of life go on, and change nothing any more.
		s.quiet = 0
		s.until("nothing was said for a while", func() bool { return s.quiet >= 3 })
		require.Equal(t, st.Phases, s.status("hangs").Phases)
	})
	for _, name := range []string{"fine-1", "fine-2"} {
		checkRuns(t, s.status(name))
	}
	require.Equal(t, 7, s.sim.Simulator.State().ServersCreated)
}

// mustFail checks how a node failed, in its status and in its history.
func (s *show) mustFail(t *testing.T, name string, want failure) query.NodeStatus {
	t.Helper()
	st := s.status(name)
	require.Equal(t, "failed", *st.State)
	require.Equal(t, want.phase, st.CurrentPhase)
	require.Equal(t, want.run, st.PhaseStatus)
	require.NotNil(t, st.Failure)
	require.Equal(t, want.phase, st.Failure.Phase)
	require.Equal(t, want.code, st.Failure.Code)
	require.Regexp(t, want.message, st.Failure.Message)
	require.Contains(t, st.Failure.Hint, want.hint)
	require.True(t, st.Failure.Retryable)
	for i, p := range st.Phases { // what came before was done, and nothing came after
		switch {
		case i == len(st.Phases)-1:
			require.Equal(t, want.phase+" "+want.run, p.Phase+" "+p.Status)
		case p.Phase == phase.ClusterFormation:
			require.Equal(t, "skipped", p.Status)
		default:
			require.Equal(t, "success", p.Status, p.Phase)
		}
	}
	rows := s.history(name)
	for i, r := range rows {
		require.Equal(t, i+1, r.Sequence)
		if i < len(rows)-1 {
			require.NotEqual(t, "failed", r.State, "event %d comes before the failure", r.Sequence)
		}
	}
	end := rows[len(rows)-1]
	require.Equal(t, want.phase+" "+want.run+" failed", end.Phase+" "+end.Status+" "+end.State)
	require.Equal(t, st.Failure.Message, end.Message)
	return st
}

var scriptLine = regexp.MustCompile(`^([a-z-]+\.sh):(\d+): `)

// namesALineWith checks that the line that a message names has this text in the
// script that is served.
func namesALineWith(t *testing.T, message, text string) {
	t.Helper()
	m := scriptLine.FindStringSubmatch(message)
	require.NotNil(t, m, message)
	n, err := strconv.Atoi(m[2])
	require.NoError(t, err)
	source, err := os.ReadFile(filepath.Join("..", "..", "pxe", "scripts", m[1]))
	require.NoError(t, err)
	require.Contains(t, scripts.Set{}.Sums(), m[1])
	lines := strings.Split(string(source), "\n")
	require.Greater(t, len(lines), n)
	require.Contains(t, lines[n-1], text)
}

// nothingMoves: the machine that hangs gives signs of life, the server that
// never boots is looked at again and again, and no event comes of either.
func (s *show) nothingMoves(t *testing.T) {
	s.quiet = 0
	s.until("all that was to be said is said", func() bool { return s.quiet >= 3 })
	before := map[string]query.NodeStatus{"hangs": s.status("hangs"), "dark": s.status("dark")}
	looks := s.sim.Simulator.State().Calls["GetBareMetalServer"]
	s.quiet = 0
	s.until("nothing was said while the machine lived on and the server was looked at", func() bool {
		return s.quiet >= 5 && s.status("hangs").LastUpdate.After(before["hangs"].LastUpdate) && s.sim.Simulator.State().Calls["GetBareMetalServer"] > looks+2
	})
	for name, was := range before {
		st := s.status(name)
		require.Equal(t, was.Phases, st.Phases, name)
		require.Equal(t, "running", *st.State)
	}
	require.Equal(t, phase.MonitoringStart, s.last("dark").Phase)
	require.Equal(t, phase.Installation, s.last("hangs").Phase)
}
