package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
)

func TestNodesFilter(t *testing.T) {
	f, err := (&nodesCmd{}).filter()
	require.NoError(t, err)
	require.Nil(t, f, "nothing asked for: all nodes")

	text := "web rack-7"
	f, err = (&nodesCmd{
		Text: text, Group: []string{"failed", "late"}, Phase: []string{"ipxe_boot"}, FailurePhase: []string{"installation"}, FailureCode: []string{"no_disk"},
		Profile: []string{"a, b"}, Cluster: []string{"c"}, Label: []string{"row=7=x"},
	}).filter()
	require.NoError(t, err)
	require.Equal(t, &client.BareMetalNodeFilter{
		Text: &text, Groups: []client.FleetGroup{client.FleetGroupFailed, client.FleetGroupLate}, Phases: []client.Phase{client.PhaseIpxeBoot}, FailurePhases: []client.Phase{client.PhaseInstallation},
		FailureCodes: []string{"no_disk"}, ServerProfiles: []string{"a, b"}, ClusterNames: []string{"c"}, Labels: []client.LabelInput{{Key: "row", Value: "7=x"}},
	}, f)

	_, err = (&nodesCmd{Label: []string{"=x"}}).filter()
	require.ErrorContains(t, err, "KEY=VALUE")
}
