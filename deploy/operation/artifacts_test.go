package operation_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// An artifact is in use from the order on until the machine's install has
// ended, in whatever way.
func TestArtifactsAreInUseUntilTheInstallIsOver(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		var broken error
		h := newHouse(t, st, func(d *operation.Deps) {
			d.Artifacts = func(_ context.Context, s deploy.Spec) ([]operation.Artifact, error) {
				if s.Installer == "" {
					s.Installer = "default.sh"
				}
				return []operation.Artifact{{Name: "vmlinuz"}, {Name: s.Installer}}, broken
			}
			d.Catalogue = func(context.Context) ([]operation.Stored, error) {
				return []operation.Stored{{Name: "default.sh"}, {Name: "old.img", Problem: "file is missing"}, {Name: "vmlinuz", Size: 7}}, nil
			}
		})
		use := func() map[string][]string {
			t.Helper()
			got, err := h.ArtifactsInUse(t.Context())
			require.NoError(t, err)
			return got
		}
		require.Empty(t, use())

		other := vpcSpec()
		other.Installer = "mine.sh"
		b, a, c := h.deploy("web-b", vpcSpec()), h.deploy("web-a", vpcSpec()), h.deploy("web-c", other)
		require.Equal(t, map[string][]string{"vmlinuz": {"web-a", "web-b", "web-c"}, "default.sh": {"web-a", "web-b"}, "mine.sh": {"web-c"}}, use(), "queued")
		list, err := h.Artifacts(t.Context())
		require.NoError(t, err)
		require.Equal(t, []operation.Stored{
			{Name: "default.sh", InUseBy: []string{"web-a", "web-b"}}, {Name: "old.img", Problem: "file is missing"}, {Name: "vmlinuz", Size: 7, InUseBy: []string{"web-a", "web-b", "web-c"}},
		}, list)

		h.fail(c)
		require.Equal(t, map[string][]string{"vmlinuz": {"web-a", "web-b"}, "default.sh": {"web-a", "web-b"}}, use(), "failed")
		h.begin(a)
		_, err = h.writer.Boot(t.Context(), lifecycle.BootRequest{DeploymentID: a.DeploymentID, Remote: "10.0.0.1"})
		require.NoError(t, err)
		say := func(key string, s phase.Status) {
			t.Helper()
			_, err := h.writer.Report(t.Context(), lifecycle.Report{DeploymentID: a.DeploymentID, Phase: key, Status: s, As: phase.ByMachine, Source: deploy.SourceInstallerScript})
			require.NoError(t, err)
		}
		_, err = h.writer.ConfigServed(t.Context(), a.DeploymentID, 1, "10.0.0.1")
		require.NoError(t, err)
		say(phase.PostInstall, phase.InProgress)
		require.Equal(t, []string{"web-a", "web-b"}, use()["vmlinuz"], "its last step may fetch yet")
		say(phase.PostInstall, phase.Success)
		require.Equal(t, []string{"web-b"}, use()["vmlinuz"], "installed, and being looked at")
		_, err = h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: b.DeploymentID, Immediate: true, Actor: deploy.System})
		require.NoError(t, err)
		require.Empty(t, use())

		h.deploy("web-d", vpcSpec())
		broken = errors.New("the catalogue is away")
		_, err = h.ArtifactsInUse(t.Context())
		require.ErrorIs(t, err, broken)
	})
}
