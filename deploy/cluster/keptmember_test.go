package cluster_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Nothing leads back from a canceled deployment but a new one, and that installs.
func TestAMemberOfAFormedClusterIsNeitherCanceledNorBegunAnew(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.drive(c.ID, cluster.Validating)
		for h.node(c.ID, "b").Phase != phase.HealthValidation {
			h.turn(c.ID, "b")
		}
		b := h.node(c.ID, "b")
		for _, immediate := range []bool{true, false} {
			_, err := h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: b.DeploymentID, Immediate: immediate, Actor: tester})
			require.Equal(t, deploy.CodeWrongState, code(t, err))
		}
		h.must(h.say(b.DeploymentID, phase.HealthValidation, phase.FailedRun, phase.ByWorkflow, ""))
		for _, from := range []string{phase.Pending, phase.ServerRequested, phase.Installation} {
			_, err := h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: b.DeploymentID, FromPhase: from, Actor: tester})
			require.Equal(t, deploy.CodeWrongState, code(t, err), from)
		}
		h.retryFailed(c.ID)
		h.drive(c.ID, cluster.Deployed)
		// The end of the cluster takes its members along.
		h.must(c2(h.Cleanup(t.Context(), cluster.Cleanup{ClusterID: c.ID, ConfirmName: "prod", Actor: tester})))
	})
}
