package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// What the history says of a host's restart is what is known of it, and no more.
func TestWhetherAHostHasRestarted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before health.Result
		after  string
		want   string
	}{
		"told before": {health.Result{Class: health.ClassOK, BootID: "before", HostKey: theirKey}, "after", "boot id after, before the script before"},
		"too late":    {health.Result{Class: health.ClassTimeout}, "after", "boot id after; whether it has restarted is not known"},
		"no boot id":  {health.Result{Class: health.ClassOK, HostKey: theirKey}, "", "whether it has restarted is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := withScript(t, storetest.SQLite(t), func(_ health.Target, attempt int) health.Result {
				if attempt == 1 {
					return c.before
				}
				return health.Result{Class: health.ClassOK, BootID: c.after, HostKey: theirKey}
			})
			out := s.begin(t, "a")
			s.host.End(out.Run.ID, 0)
			told := 0
			for _, e := range s.ended(t, out.Items[0].DeploymentID) {
				if (e.Phase == phase.SSHPolling || e.Phase == phase.HealthValidation) && e.Status == string(phase.Success) {
					require.Contains(t, e.Message, c.want)
					told++
				}
			}
			require.Equal(t, 2, told)
		})
	}
}
