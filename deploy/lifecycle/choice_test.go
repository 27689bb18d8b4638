package lifecycle_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// What was chosen of the account stays chosen; other security groups would be
// another network, which is not what installing anew makes.
func TestReinitializeKeepsWhatTheOrderChose(t *testing.T) {
	h := open(t, storetest.SQLite(t))
	spec := deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384", Image: "older", Keys: []string{"k"}, SecurityGroups: []string{"g"}}
	d, err := h.Deploy(t.Context(), lifecycle.NewDeployment{Name: "n1", Spec: spec, Actor: tester})
	require.NoError(t, err)
	h.order(d, "10.0.0.5")
	h.fail(d)
	stored := func(id int64) (out deploy.Spec) {
		t.Helper()
		var config []byte
		require.NoError(t, h.st.Read.QueryRow(`SELECT config FROM deployments WHERE id = $1`, id).Scan(&config))
		require.NoError(t, json.Unmarshal(config, &out))
		return out
	}
	again, err := h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, Actor: tester})
	require.NoError(t, err)
	require.Equal(t, spec, stored(again.DeploymentID))
	h.fail(again)

	other := spec
	other.SecurityGroups = []string{"h"}
	_, err = h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, Spec: &other, Actor: tester})
	e, ok := deploy.AsError(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "spec.security_groups", e.Fields[0].Field)
	other.SecurityGroups, other.Image, other.Keys = nil, "newer", nil
	third, err := h.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, Spec: &other, Actor: tester})
	require.NoError(t, err)
	require.Equal(t, other, stored(third.DeploymentID))
}
