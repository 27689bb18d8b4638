package operation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// by finds the one check with a key.
func by(t *testing.T, p operation.Plan, key string) deploy.Check {
	t.Helper()
	var found []deploy.Check
	for _, c := range p.Checks {
		if c.Key == key {
			found = append(found, c)
		}
	}
	require.Len(t, found, 1, "%s in %+v", key, p.Checks)
	return found[0]
}

func fine(context.Context, deploy.Order) ([]deploy.Check, error) {
	return []deploy.Check{{Key: "quota", Label: "Quota", Severity: deploy.CheckError, Passed: true, Message: "3 of 25 servers", Field: "zone"}}, nil
}

func TestPlanOfAGoodOrderChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		var asked deploy.Order
		h.cloud.plan = func(ctx context.Context, o deploy.Order) ([]deploy.Check, error) {
			asked = o
			url, err := o.BootURL(ctx)
			require.NoError(t, err)
			require.Len(t, url, len("http://slipway.test:8080/boot/d/")+43)
			o.Note(ctx, "looked")
			return fine(ctx, o)
		}
		before := h.rows()
		p, err := h.Plan(t.Context(), "web-01", vpcSpec())
		require.NoError(t, err)
		require.True(t, p.OK, "%+v", p.Checks)
		require.Equal(t, before, h.rows())
		require.Equal(t, "web-01", asked.NodeName)
		require.Zero(t, asked.NodeID)
		require.Equal(t, vpcSpec(), asked.Spec)
		require.Equal(t, "web-01 is free", by(t, p, operation.CheckName).Message)
		require.True(t, by(t, p, "quota").Passed)
		require.Equal(t, "spec.zone", by(t, p, "quota").Field)
		require.Equal(t, "starts at once: 0 of 2 slots are in use", by(t, p, operation.CheckSlots).Message)
		require.Contains(t, by(t, p, operation.CheckDuration).Message, "not known yet")
		require.Zero(t, p.Estimated)
		var secrets int
		require.NoError(t, h.st.Read.QueryRowContext(t.Context(), `SELECT count(*) FROM tokens`).Scan(&secrets))
		require.Zero(t, secrets, "no locator was made")
	})
}

func TestPlanTellsEveryFindingAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.cloud.plan = func(context.Context, deploy.Order) ([]deploy.Check, error) { panic("a bad order is not asked about") }
		taken := vpcSpec()
		taken.ManagementIP = "10.0.0.7"
		h.deploy("web-01", taken)
		p, err := h.Plan(t.Context(), "Web_01", deploy.Spec{Provider: deploy.ProviderIBMVPC, ManagementIP: "10.0.0.7", AHVIP: "x"})
		require.NoError(t, err)
		require.False(t, p.OK)
		var fields []string
		for _, c := range p.Checks {
			if !c.Passed && c.Severity == deploy.CheckError {
				fields = append(fields, c.Field)
			}
		}
		require.ElementsMatch(t, []string{"name", "spec.server_profile", "spec.ahv_ip", "spec.management_ip"}, fields)
		require.Equal(t, deploy.CheckWarning, by(t, p, operation.CheckProvider).Severity)
		require.Contains(t, by(t, p, operation.CheckManagementIP).Message, "held by the node web-01")
	})
}

func TestPlanOfANameThatIsTaken(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.cloud.plan = fine
		d := h.deploy("web-01", vpcSpec())
		h.begin(d)
		p, err := h.Plan(t.Context(), "web-01", vpcSpec())
		require.NoError(t, err)
		require.False(t, p.OK)
		c := by(t, p, operation.CheckName)
		require.False(t, c.Passed)
		require.Equal(t, "name", c.Field)
		require.Contains(t, c.Message, "is server_requested; nothing of it would be touched")

		h.fail(d)
		p, err = h.Plan(t.Context(), "web-01", vpcSpec())
		require.NoError(t, err)
		require.False(t, p.OK, "a failed node's name is in use as well")

		_, err = h.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: "web-01", Actor: tester})
		require.NoError(t, err)
		h.report(d.DeploymentID, phase.Cleanup, phase.Success, "")
		var order deploy.Order
		h.cloud.plan = func(ctx context.Context, o deploy.Order) ([]deploy.Check, error) { order = o; return fine(ctx, o) }
		p, err = h.Plan(t.Context(), "web-01", vpcSpec())
		require.NoError(t, err)
		require.True(t, p.OK, "%+v", p.Checks)
		require.Contains(t, by(t, p, operation.CheckName).Message, "cleaned up")
		require.Equal(t, d.NodeID, order.NodeID)
		again := h.deploy("web-01", vpcSpec())
		require.Equal(t, d.NodeID, again.NodeID, "what the plan says is what happens")
		require.Equal(t, 2, again.Number)

		p, err = h.Plan(t.Context(), "web-01", deploy.Spec{Provider: deploy.ProviderRack, MAC: "02:00:00:00:00:01", ManagementIP: "10.0.0.9"})
		require.NoError(t, err)
		require.Contains(t, by(t, p, operation.CheckName).Message, "of the provider ibm_vpc")
	})
}

func TestPlanForARack(t *testing.T) {
	h := newHouse(t, storetest.SQLite(t))
	spec := deploy.Spec{Provider: deploy.ProviderRack, MAC: "02-00-00-00-00-01", ManagementIP: "10.0.0.9"}
	p, err := h.Plan(t.Context(), "rack-1", spec)
	require.NoError(t, err)
	require.True(t, p.OK, "%+v", p.Checks)
	require.Contains(t, by(t, p, operation.CheckProvider).Message, "nothing to check beforehand")
	h.deploy("rack-1", spec)
	p, err = h.Plan(t.Context(), "rack-2", deploy.Spec{Provider: deploy.ProviderRack, MAC: "02:00:00:00:00:01", ManagementIP: "10.0.0.10"})
	require.NoError(t, err)
	require.False(t, p.OK)
	require.Contains(t, by(t, p, operation.CheckMAC).Message, "belongs to the node rack-1")
	p, err = h.Plan(t.Context(), "x1", deploy.Spec{Provider: deploy.ProviderScript})
	require.NoError(t, err)
	require.False(t, p.OK)
	require.Contains(t, by(t, p, operation.CheckProvider).Message, "not set up")
}

func TestPlanWhenTheProviderIsInTrouble(t *testing.T) {
	h := newHouse(t, storetest.SQLite(t))
	for _, tc := range []struct {
		err           error
		message, hint string
	}{
		{&deploy.ProviderError{Code: deploy.CodeUnauthenticated, Message: "the API key is not accepted (401)", Hint: "set another key"}, "could not be asked: the API key is not accepted (401)", "set another key"},
		{context.DeadlineExceeded, "could not be asked: the provider ibm_vpc did not answer in time", "try again"},
		{errors.New("secret inner text"), "ibm_vpc could not be asked", "look at Slipway's log"},
	} {
		h.cloud.plan = func(context.Context, deploy.Order) ([]deploy.Check, error) {
			return []deploy.Check{{Key: "quota", Passed: true}}, tc.err
		}
		p, err := h.Plan(t.Context(), "web-01", vpcSpec())
		require.NoError(t, err)
		require.False(t, p.OK)
		c := by(t, p, operation.CheckProvider)
		require.Contains(t, c.Message, tc.message)
		require.NotContains(t, c.Message, "secret")
		require.Equal(t, tc.hint, c.Hint)
		require.True(t, by(t, p, "quota").Passed, "what was found before is told")
	}
	require.Contains(t, h.log.String(), "secret inner text", "the log has it")
}

func TestPlanLooksForArtifacts(t *testing.T) {
	var have []operation.Artifact
	h := newHouse(t, storetest.SQLite(t), func(d *operation.Deps) {
		d.Artifacts = func(context.Context, deploy.Spec) ([]operation.Artifact, error) { return have, nil }
	})
	h.cloud.plan = fine
	spec := vpcSpec()
	spec.Installer = "mine.sh"
	have = []operation.Artifact{{Name: "vmlinuz", SHA256: strings.Repeat("a", 64)}, {Name: "mine.sh", Problem: "is not registered"}, {Name: "cvm.img"}}
	p, err := h.Plan(t.Context(), "web-01", spec)
	require.NoError(t, err)
	require.False(t, p.OK)
	c := by(t, p, operation.CheckArtifacts)
	require.Equal(t, "mine.sh is not registered; cvm.img has no checksum", c.Message)
	require.Equal(t, "spec.installer", c.Field)
	have = have[:1]
	p, err = h.Plan(t.Context(), "web-01", spec)
	require.NoError(t, err)
	require.True(t, p.OK)
	require.Equal(t, "present, with sha256: vmlinuz", by(t, p, operation.CheckArtifacts).Message)

	// A host that the deployment script configures downloads nothing, and takes no slot.
	have[0].Problem = "is not registered"
	p, err = h.Plan(t.Context(), "web-01", deploy.Spec{Provider: deploy.ProviderScript, Document: []byte(`{}`), ManagementIP: "192.0.2.11"})
	require.NoError(t, err)
	for _, c := range p.Checks {
		require.NotContains(t, []string{operation.CheckArtifacts, operation.CheckSlots}, c.Key)
	}
	require.NotEmpty(t, p.Checks)
}

func TestPlanTellsThePlaceInTheQueue(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.cloud.plan = fine
		ahead := func() int {
			p, err := h.Plan(t.Context(), "next-1", vpcSpec())
			require.NoError(t, err)
			require.True(t, p.OK, "a queue is nothing bad")
			return p.Ahead
		}
		h.begin(h.deploy("web-01", vpcSpec()))
		require.Zero(t, ahead(), "2 slots, 1 runs")
		h.begin(h.deploy("web-02", vpcSpec()))
		require.Equal(t, 1, ahead())
		h.deploy("web-03", vpcSpec())
		require.Equal(t, 2, ahead(), "one more waits")
		// A batch that may run one at a time holds the queue up by one, not by three.
		in := lifecycle.NewBatch{MaxParallel: 1, Actor: tester}
		for i := range 3 {
			in.Deployments = append(in.Deployments, lifecycle.NewDeployment{Name: fmt.Sprintf("batch-%d", i), Spec: vpcSpec()})
		}
		made, err := h.writer.DeployBatch(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, 3, ahead())
		h.begin(made.Items[0].Deployed)
		require.Equal(t, 3, ahead(), "it runs now, and the others of its batch may not begin")
	})
}

func TestPlanTellsTheExpectedTime(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.cloud.plan = fine
		add := func(profile string, p50, samples int) {
			_, err := h.st.Write.ExecContext(t.Context(), `INSERT INTO phase_stats (phase, provider, server_profile, p50_ms, p95_ms, samples, computed_at) VALUES ('deployed','ibm_vpc',$1,$2,$3,$4,$5)`,
				profile, p50, 2*p50, samples, h.clock.now())
			require.NoError(t, err)
		}
		add("*", 1_200_000, 9)
		p, err := h.Plan(t.Context(), "web-01", vpcSpec())
		require.NoError(t, err)
		require.Equal(t, 20*time.Minute, p.Estimated)
		require.Contains(t, by(t, p, operation.CheckDuration).Message, "(9 deployments of this provider)")
		add("bx2d-metal-96x384", 2_400_000, 5)
		h.clock.pass(time.Minute) // statistics are kept for seconds
		p, err = h.Plan(t.Context(), "web-01", vpcSpec())
		require.NoError(t, err)
		require.Equal(t, 40*time.Minute, p.Estimated)
		require.Equal(t, "40m0s, and 95 in 100 end within 1h20m0s (5 deployments of this profile)", by(t, p, operation.CheckDuration).Message)
	})
}
