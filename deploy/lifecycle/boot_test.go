package lifecycle_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func onRack(i int) func(*lifecycle.NewDeployment) {
	return func(in *lifecycle.NewDeployment) { in.Spec = rackSpec(i) }
}

func TestBoots(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		t.Run("queued: it waits", func(t *testing.T) {
			d := h.deploy("queued")
			a := h.boot(d)
			require.Equal(t, phase.BootWait, a.Decision)
			require.NotEmpty(t, a.Message)
			require.Equal(t, 1, sound(t, st, d.DeploymentID).sequence, "no event")
		})
		t.Run("the script again", func(t *testing.T) {
			d := h.deploy("again")
			h.bring(d, phase.MonitoringStart)
			a := h.boot(d)
			require.Equal(t, phase.BootInstall, a.Decision)
			require.Equal(t, "again", a.NodeName)
			a = h.boot(d)
			require.Equal(t, phase.BootAgain, a.Decision)
			require.Equal(t, 1, a.Attempt)
			require.Equal(t, phase.IPXEBoot, a.Phase)
			s := sound(t, st, d.DeploymentID)
			require.Equal(t, []int{1, 2, 0}, []int{s.attempt, s.boots, s.reboots})
			require.Contains(t, h.last(d).message, "boot 2")
		})
		t.Run("reboots in the middle", func(t *testing.T) {
			d := h.deploy("loop")
			h.bring(d, phase.Installation)
			for attempt := 2; attempt <= 3; attempt++ {
				a := h.boot(d)
				require.Equal(t, phase.BootAttempt, a.Decision)
				require.Equal(t, attempt, a.Attempt)
				s := sound(t, st, d.DeploymentID)
				require.Equal(t, []any{attempt, phase.IPXEBoot, "in_progress", phase.Running}, []any{s.attempt, s.phase, s.status, s.state})
				// The older attempt's token speaks for nobody.
				stale := as(phase.ByMachine, d, phase.FoundationStart, phase.InProgress)
				stale.TokenAttempt = attempt - 1
				_, err := h.Report(t.Context(), stale)
				refused(t, err, deploy.CodeWrongState)
				_, err = h.ConfigServed(t.Context(), d.DeploymentID, attempt, "127.64.0.9")
				require.NoError(t, err)
				h.say(as(phase.ByMachine, d, phase.FoundationStart, phase.InProgress))
			}
			a := h.boot(d)
			require.Equal(t, phase.BootFail, a.Decision)
			require.NotEmpty(t, a.Message)
			s := sound(t, st, d.DeploymentID)
			require.Equal(t, []any{phase.StateFail, "reboot_loop", phase.FoundationStart}, []any{s.state, s.failCode, s.failPhase})
			require.NotEmpty(t, s.failHint)
			require.Equal(t, phase.BootStop, h.boot(d).Decision)
			var attempts, failed int
			require.NoError(t, st.Read.QueryRow(`SELECT COUNT(DISTINCT attempt), SUM(CASE WHEN status='failed' THEN 1 ELSE 0 END) FROM phase_runs WHERE deployment_id=$1`, d.DeploymentID).Scan(&attempts, &failed))
			require.Equal(t, []int{3, 3}, []int{attempts, failed})
		})
		t.Run("before the order's answer is stored", func(t *testing.T) {
			d := h.deploy("quick")
			h.bring(d, phase.ServerRequested)
			h.say(as(phase.ByWorkflow, d, phase.ServerRequested, phase.InProgress))
			require.Equal(t, phase.BootInstall, h.boot(d).Decision)
			require.Equal(t, phase.IPXEBoot, sound(t, st, d.DeploymentID).phase)
			receipt := h.say(as(phase.ByWorkflow, d, phase.ServerRequested, phase.Success))
			require.Equal(t, lifecycle.Step, receipt.Outcome)
			require.True(t, receipt.AlreadyPassed)
			s := sound(t, st, d.DeploymentID)
			require.Equal(t, phase.IPXEBoot, s.phase)
			var statuses []string
			for _, r := range h.rows(d) {
				if r.outcome == "accepted" && (r.phase == phase.ServerRequested || r.phase == phase.MonitoringStart) {
					statuses = append(statuses, r.phase+" "+r.status)
				}
			}
			require.Equal(t, []string{"server_requested in_progress", "server_requested success", "monitoring_start success"}, statuses)
		})
		t.Run("after the install", func(t *testing.T) {
			cloud, rack := h.deploy("cloud"), h.deploy("rack", onRack(1))
			h.bring(cloud, phase.DNSRegistration)
			h.bring(rack, phase.DNSRegistration)
			before := h.state(cloud)
			a := h.boot(cloud)
			require.Equal(t, phase.BootStop, a.Decision)
			require.Contains(t, a.Message, "not repeated")
			require.Equal(t, phase.BootDisk, h.boot(rack).Decision)
			after := sound(t, st, cloud.DeploymentID)
			require.Equal(t, []any{before.phase, before.attempt, before.sequence + 1}, []any{after.phase, after.attempt, after.sequence})
			require.Equal(t, "step", h.last(cloud).outcome, "an event says so")
			sound(t, st, rack.DeploymentID)
		})
		t.Run("after the end, and without end", func(t *testing.T) {
			d := h.deploy("ended")
			h.bring(d, phase.Deployed)
			before := sound(t, st, d.DeploymentID)
			require.Equal(t, phase.Succeeded, before.state)
			for range 60 {
				require.Equal(t, phase.BootStop, h.boot(d).Decision)
			}
			after := sound(t, st, d.DeploymentID)
			require.Equal(t, before.sequence+50, after.sequence, "the rows it can make are bounded")
			require.Equal(t, phase.Succeeded, after.state)
		})
	})
}
