package apply

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
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
		answers := make(chan struct{})
		go func() {
			defer close(answers)
			_, _ = h.ask(http.MethodPost, "/store-deployment-configs", in, nil, key) // its server may be killed
		}()
		killed := ""
		for n := range 3 {
			moment := time.Duration(random.Int64N(int64(2 * time.Second)))
			if n == 0 {
				moment /= 3 // while the request is worked on
			}
			<-time.After(moment) // anywhere in a step
			h.killAndGoOn(nil)
			killed += fmt.Sprintf(" %s", moment.Round(time.Millisecond))
		}
		<-answers
		out := h.settled(in, key)
		t.Logf("round %d: exit code %d, killed after%s; existing %v", round, code, killed, out.Existing)
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

// settled sends a request again until it is known what became of it.
func (h *house) settled(in any, key string) (out answered) {
	h.t.Helper()
	eventually(h.ctx, h.t, "the request is known", func() bool {
		out = answered{}
		var err error
		out.Status, err = h.ask(http.MethodPost, "/store-deployment-configs", in, &out, key)
		require.NoError(h.t, err)
		if out.Status == http.StatusAccepted {
			return true
		}
		require.Equal(h.t, http.StatusConflict, out.Status, "%+v", out)
		return false
	})
	return out
}
