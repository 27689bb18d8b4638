package apply

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sweeps is how often TestKilledAtRandomMoments is done without
// SLIPWAY_APPLY_RUNS.
const sweeps = 2

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err)
	return n
}

// TestKilledAtRandomMoments: whenever the server is killed, the script of a
// request runs once, every deployment ends, and as it should; and the files are
// what was applied last.
func TestKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	first := number(t, "SLIPWAY_APPLY_SEED", uint64(time.Now().UnixNano()))
	for i := range number(t, "SLIPWAY_APPLY_RUNS", sweeps) {
		t.Run(fmt.Sprintf("seed %d", first+i), func(t *testing.T) {
			t.Parallel()
			sweep(t, rand.New(rand.NewPCG(first+i, 1)))
		})
	}
}

// sweep applies twice, with kills all over it.
func sweep(t *testing.T, random *rand.Rand) {
	h := open(t)
	h.host()
	h.host()
	booted := 1
	for round := range 2 {
		code := 0
		if random.IntN(4) == 0 {
			code = 5
		}
		h.want("exit", strconv.Itoa(code))
		in := map[string]any{}
		for _, m := range h.hosts {
			doc := document(m)
			doc["disk"] = []string{fmt.Sprintf("0x500000000000000%d", round)}
			in[m.ip] = doc
		}
		key := fmt.Sprintf("Idempotency-Key: round-%d", round)
		answer := make(chan answered, 1)
		go func() { answer <- h.insist(in, key) }()
		killed := ""
		for _, s := range h.moments(random, round) {
			s.await()
			delay := time.Duration(random.Int64N(int64(time.Second)))
			if random.IntN(3) > 0 {
				delay /= 25
			}
			<-time.After(delay) // anywhere in a step
			h.killAndGoOn(nil)
			killed += fmt.Sprintf(", %s after %s", delay.Round(time.Millisecond), s.what)
		}
		out := <-answer
		require.Equal(t, http.StatusAccepted, out.Status, "%+v", out)
		t.Logf("round %d: exit code %d; killed%s; existing %v", round, code, killed, out.Existing)
		for _, r := range out.Results {
			if code == 0 {
				require.Equal(t, 1, h.awaitDeployed(r.DeploymentID).Attempt)
			} else {
				h.awaitFailed(r.DeploymentID, "script_failed")
			}
			ends := 0
			for _, e := range h.history(r.NodeID, r.DeploymentID) {
				if e.Phase == "deployed" || e.Status == "failed" {
					ends++
				}
			}
			require.Equal(t, 1, ends)
		}
		run := h.run(out.RunID)
		require.NotNil(t, run.ExitCode, "%+v", run)
		require.Equal(t, []any{map[bool]string{true: "succeeded", false: "failed"}[code == 0], code}, []any{run.State, *run.ExitCode})
		require.Equal(t, 1, h.startsOf(run.ID), "the script ran once")
		require.Len(t, h.starts(), round+1)
		require.Regexp(t, fmt.Sprintf(`^run %d begins\n(restarting \S+\n){2}ends with %d\n$`, run.ID, code), h.log(run.ID))
		booted++
		require.Equal(t, http.StatusOK, h.call(http.MethodGet, "/api/script", nil, nil)) // a look clears what a killed one left
		files := h.files()
		require.Len(t, files, len(h.hosts))
		for i, d := range run.Documents {
			require.Equal(t, fmt.Sprintf("node_%02d.json", i+1), d.File)
			require.Equal(t, d.Content, files[d.File])
			require.Contains(t, d.Content, fmt.Sprintf("0x500000000000000%d", round))
		}
		for _, m := range h.hosts {
			require.Equal(t, booted, m.booted(), m.name)
			m.ready(h.ctx)
		}
		h.mustHaveNoMarker()
	}
}

// moment is something that can be seen from outside.
type moment struct {
	what  string
	await func()
}

// moments are three of those that a run passes, in their order. One that has
// passed is not waited for.
func (h *house) moments(random *rand.Rand, round int) (out []moment) {
	run := filepath.Join(h.work, ".slipway", fmt.Sprintf("run-%d-*", round+1))
	there := func(path string) func() bool {
		return func() bool {
			found, err := filepath.Glob(path) // the identity of the run is random
			return err == nil && len(found) > 0
		}
	}
	started := func() bool { return len(h.starts()) > round }
	boots := h.hosts[0].booted()
	all := []struct {
		what string
		is   func() bool
	}{
		{"the request", func() bool { return true }},
		{"the plan", there(filepath.Join(run, "plan.json"))},
		{"the marker", func() bool { return there(h.marker())() || started() }},
		{"the start", started},
		{"the boot", func() bool { return h.hosts[0].booted() > boots }},
		{"the end", there(filepath.Join(run, "ended.json"))},
		{"the end, and no marker", func() bool { return there(filepath.Join(run, "ended.json"))() && !there(h.marker())() }},
	}
	for _, i := range slices.Sorted(slices.Values(random.Perm(len(all))[:3])) {
		out = append(out, moment{all[i].what, func() { h.soon(all[i].what, all[i].is) }})
	}
	return out
}

// soon is eventually for what is over in a moment.
func (h *house) soon(what string, is func() bool) {
	h.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-h.ctx.Done():
			h.t.Fatalf("this does not come: %s", what)
		}
	}
}

// insist sends a request again and again, whatever becomes of the server, until
// it is accepted or refused for good.
func (h *house) insist(in any, key string) (out answered) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		out = answered{}
		var err error
		if out.Status, err = h.ask(http.MethodPost, "/store-deployment-configs", in, &out, key); err == nil && out.Status != http.StatusConflict {
			return out
		}
		select {
		case <-tick.C:
		case <-h.ctx.Done():
			return out
		}
	}
}
