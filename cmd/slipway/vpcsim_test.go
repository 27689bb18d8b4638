package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/machine"
)

func TestFaultsOfTheSimulationByRuleAndSeed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "faults.json")
	require.NoError(t, os.WriteFile(path, []byte(`[{"kind":"fail","operation":"ListVpcs","status":429,"retry_after_seconds":3},{"match":"node-*","fault":"boots_twice"}]`), 0o600))
	rules, err := faultRules("@"+path, 7)
	require.NoError(t, err)
	require.Len(t, rules, 4)
	for _, bad := range []string{"{}", "nonsense", "@/nowhere"} {
		_, err := faultRules(bad, 0)
		require.Error(t, err, bad)
	}
	start := func(rules []json.RawMessage) (*simulation, error) {
		return startSimulation(t.Context(), simConfig{Listen: "127.0.0.1:0", Pace: machine.QuickPace(), Rules: rules, Logger: slog.New(slog.DiscardHandler)})
	}
	_, err = start([]json.RawMessage{[]byte(`{"kind":"explode"}`)})
	require.ErrorContains(t, err, "explode")

	sim, err := start(rules)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Stop()) })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, sim.URL+"/_sim/faults", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	var set struct {
		Faults        []map[string]any `json:"faults"`
		MachineFaults []map[string]any `json:"machine_faults"`
	}
	require.NoError(t, json.Unmarshal(text, &set), "%s", text)
	require.Len(t, set.Faults, 2)
	require.Equal(t, "random", set.Faults[1]["kind"])
	require.Len(t, set.MachineFaults, 2)
	require.Equal(t, 7.0, set.MachineFaults[1]["seed"])
}
