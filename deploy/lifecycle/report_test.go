package lifecycle_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func TestSameAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.bring(d, phase.Installation)
		twenty := 20
		r := as(phase.ByMachine, d, phase.Installation, phase.InProgress)
		r.Message, r.Progress, r.IdempotencyKey = "writing", &twenty, "k1"
		first := h.say(r)
		require.False(t, first.Duplicate)
		require.Equal(t, lifecycle.Accepted, first.Outcome)

		before, head := h.state(d), h.head()
		h.clock.pass(time.Second)
		r.OccurredAt = h.clock.now().Add(-time.Hour) // the reporter's clock is no part of its identity
		again := h.say(r)
		require.True(t, again.Duplicate)
		require.Equal(t, []any{first.EventID, first.Sequence, first.Position}, []any{again.EventID, again.Sequence, again.Position})
		after := h.state(d)
		require.Equal(t, h.clock.now(), after.lastSeen.UTC(), "a heartbeat proves life")
		after.lastSeen = before.lastSeen
		require.Equal(t, before, after, "nothing else changes")
		require.Equal(t, head, h.head(), "no position is taken")

		r.Message = "writing still"
		_, err := h.Report(t.Context(), r)
		refused(t, err, deploy.CodeIdempotencyConflict)
		require.Len(t, h.rows(d), after.sequence, "the conflict makes no row")

		// Without a key the last report of the phase is what counts.
		r.IdempotencyKey = ""
		require.False(t, h.say(r).Duplicate, "another message is another event")
		require.True(t, h.say(r).Duplicate)
		forty := 40
		r.Progress = &forty
		require.False(t, h.say(r).Duplicate, "so is another progress")
		r.Progress = &twenty
		require.False(t, h.say(r).Duplicate, "against the last report only")

		// Closed and final phases count too.
		r.Status = phase.Success
		require.False(t, h.say(r).Duplicate)
		require.True(t, h.say(r).Duplicate, "the phase is closed")
		fail := as(phase.ByMachine, d, phase.PostInstall, phase.FailedRun)
		fail.Message = "line 7"
		require.False(t, h.say(fail).Duplicate)
		require.True(t, h.say(fail).Duplicate, "the deployment has ended")
		fail.Message = "line 8"
		_, err = h.Report(t.Context(), fail)
		e := refused(t, err, deploy.CodeDeploymentEnded)
		require.Empty(t, e.AcceptedPhases)
		sound(t, st, d.DeploymentID)
	})
}

func TestTheSameKeyInTheSameGroup(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.bring(d, phase.Installation)
		r := as(phase.ByMachine, d, phase.Installation, phase.InProgress)
		r.IdempotencyKey = "k1"
		other := r
		other.Message = "another body"
		plain := as(phase.ByMachine, d, phase.Installation, phase.InProgress)
		plain.Message = "no key"
		answers := h.together(func(submit func(func() error)) {
			for _, one := range []lifecycle.Report{r, r, other, plain, plain} {
				submit(func() error {
					receipt, err := h.Report(t.Context(), one)
					if err == nil && receipt.Duplicate {
						return errDuplicate
					}
					return err
				})
			}
		})
		require.NoError(t, answers[0])
		require.ErrorIs(t, answers[1], errDuplicate)
		refused(t, answers[2], deploy.CodeIdempotencyConflict)
		require.NoError(t, answers[3])
		require.ErrorIs(t, answers[4], errDuplicate)
		sound(t, st, d.DeploymentID)
	})
}

func TestRefusalsAreRecordedAndBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.bring(d, phase.ImageDownload)
		before := h.state(d)
		late := as(phase.ByMachine, d, phase.NetworkConfig, phase.Success)
		for i := range 60 {
			late.Message = string(rune('a' + i))
			receipt, err := h.Report(t.Context(), late)
			e := refused(t, err, deploy.CodeOutOfOrder)
			require.Equal(t, []string{phase.ImageDownload, phase.Installation, phase.PostInstall, phase.Failed}, e.AcceptedPhases)
			require.Equal(t, lifecycle.Refused, receipt.Outcome)
			require.Equal(t, phase.ImageDownload, receipt.Phase)
			require.Equal(t, i < 50, receipt.EventID != 0, "a burst of 50 is kept")
		}
		after := h.state(d)
		require.Equal(t, before.sequence+50, after.sequence)
		h.clock.pass(10 * time.Second)
		for range 2 {
			_, err := h.Report(t.Context(), late)
			refused(t, err, deploy.CodeOutOfOrder)
		}
		after = sound(t, st, d.DeploymentID)
		require.Equal(t, before.sequence+51, after.sequence, "then one in ten seconds")
		require.Equal(t, []any{before.phase, before.status, before.state, before.deadline, before.nodeVersion, before.changed},
			[]any{after.phase, after.status, after.state, after.deadline, after.nodeVersion, after.changed}, "the state is untouched")
		last := h.last(d)
		require.Equal(t, "refused", last.outcome)
		require.Equal(t, "out_of_order", last.code)
		require.Equal(t, phase.NetworkConfig, last.phase)

		// Refused once is not accepted before: it may come again in its time.
		other := h.deploy("n2")
		h.bring(other, phase.IPXEBoot)
		early := as(phase.ByMachine, other, phase.FoundationStart, phase.InProgress)
		early.IdempotencyKey = "k"
		_, err := h.Report(t.Context(), early)
		refused(t, err, deploy.CodeIllegalJump)
		_, err = h.ConfigServed(t.Context(), other.DeploymentID, 1, "127.64.0.9")
		require.NoError(t, err)
		require.False(t, h.say(early).Duplicate)
		sound(t, st, other.DeploymentID)
	})
}

func TestStepsAreRecordedAndMoveNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.bring(d, phase.Installation)
		before := h.state(d)
		for _, key := range []string{"raid_setup", phase.HealthValidation, phase.ConfigDownload, phase.Deployed} {
			r := as(phase.ByMachine, d, key, phase.Success)
			receipt := h.say(r)
			require.Equal(t, lifecycle.Step, receipt.Outcome)
			require.Equal(t, phase.Installation, receipt.Phase)
			require.True(t, h.say(r).Duplicate)
			last := h.last(d)
			require.Equal(t, "step", last.outcome)
			require.Equal(t, key, last.phase)
		}
		after := sound(t, st, d.DeploymentID)
		require.Equal(t, before.sequence+4, after.sequence)
		require.Equal(t, before.deadline, after.deadline)
		require.Greater(t, after.changed, before.changed, "the fleet shows it")
	})
}

func TestFailureIsNeverLost(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		t.Run("of a phase that may not be reached", func(t *testing.T) {
			d := h.deploy("n1")
			h.bring(d, phase.IPXEBoot)
			r := as(phase.ByMachine, d, phase.NetworkConfig, phase.FailedRun)
			r.Message, r.LogTail = "network-config.sh:12: no link", "…"
			receipt := h.say(r)
			require.Equal(t, phase.StateFail, receipt.State)
			s := sound(t, st, d.DeploymentID)
			require.Equal(t, []any{phase.IPXEBoot, "reported_failure", r.Message, receipt.Sequence}, []any{s.failPhase, s.failCode, s.failMessage, s.failSequence})
			require.NotEmpty(t, s.failHint)
			require.Equal(t, phase.IPXEBoot, h.last(d).phase)
			require.Equal(t, "failed", h.last(d).status)
			require.True(t, h.say(r).Duplicate)
		})
		t.Run("of no phase in particular", func(t *testing.T) {
			d := h.deploy("n2")
			h.bring(d, phase.Installation)
			r := as(phase.ByMachine, d, phase.Failed, phase.FailedRun)
			h.say(r)
			s := sound(t, st, d.DeploymentID)
			require.Equal(t, phase.Installation, s.failPhase)
			require.NotEmpty(t, s.failMessage)
			require.Equal(t, phase.Failed, s.nodeStatus)
			require.True(t, h.say(r).Duplicate)
		})
		t.Run("with its own code and hint", func(t *testing.T) {
			d := h.deploy("n3")
			h.bring(d, phase.ServerRequested)
			r := as(phase.ByWorkflow, d, phase.ServerRequested, phase.FailedRun)
			r.Code, r.Hint, r.Message, r.NotRetryable = "quota_exceeded", "Ask for more.", "vpc: quota", true
			h.say(r)
			s := sound(t, st, d.DeploymentID)
			require.Equal(t, []any{"quota_exceeded", "Ask for more.", "vpc: quota", phase.ServerRequested}, []any{s.failCode, s.failHint, s.failMessage, s.failPhase})
			var retryable bool
			require.NoError(t, st.Read.QueryRow(`SELECT failure_retryable FROM deployments WHERE id=$1`, d.DeploymentID).Scan(&retryable))
			require.False(t, retryable)
		})
	})
}

func TestWhatAMachineSaysOfItself(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.bring(d, phase.PostInstall)
		said := func() (key, boot string, port int) {
			require.NoError(t, st.Read.QueryRow(`SELECT COALESCE(ssh_host_key,''), COALESCE(boot_id,''), COALESCE(ssh_port,0) FROM nodes WHERE id=$1`, d.NodeID).Scan(&key, &boot, &port))
			return key, boot, port
		}
		details := json.RawMessage(`{"ssh_host_key":"ssh-ed25519 AAAA","boot_id":"b1","ssh_port":2222,"more":[1]}`)
		r := as(phase.ByMachine, d, phase.PostInstall, phase.InProgress)
		r.Details = details
		h.say(r)
		key, _, _ := said()
		require.Empty(t, key, "only what is said at the end counts")
		r.Status = phase.Success
		receipt := h.say(r)
		require.Equal(t, phase.DNSRegistration, receipt.Phase)
		key, boot, port := said()
		require.Equal(t, []any{"ssh-ed25519 AAAA", "b1", 2222}, []any{key, boot, port})
		for _, row := range h.rows(d) {
			if row.id == receipt.EventID {
				require.JSONEq(t, string(details), string(row.details))
			}
		}

		other := h.deploy("n2")
		h.bring(other, phase.PostInstall)
		r = as(phase.ByMachine, other, phase.PostInstall, phase.Success)
		r.Details = json.RawMessage(`{"ssh_host_key":7}`)
		require.Equal(t, lifecycle.Accepted, h.say(r).Outcome, "details are free-form")
		sound(t, st, other.DeploymentID)
	})
}

func TestTwoClocks(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1")
		h.bring(d, phase.Installation)
		r := as(phase.ByMachine, d, phase.Installation, phase.InProgress)
		r.OccurredAt = time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("x", 3600))
		h.say(r)
		last := h.last(d)
		require.True(t, time.Date(2026, 1, 2, 2, 4, 5, 678901000, time.UTC).Equal(last.occurred), "UTC, to the microsecond: %s", last.occurred)
		require.True(t, h.clock.now().Equal(last.recorded))
		r.Message, r.OccurredAt = "ours", time.Time{}
		h.say(r)
		require.True(t, h.clock.now().Equal(h.last(d).occurred))
	})
}

func TestReportsOfNobody(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		_, err := h.Report(t.Context(), lifecycle.Report{DeploymentID: 99, Phase: phase.Installation, Status: phase.Success, As: phase.ByMachine})
		refused(t, err, deploy.CodeNotFound)
		_, err = h.Report(t.Context(), lifecycle.Report{NodeID: 99, Phase: phase.Installation, Status: phase.Success, As: phase.ByMachine})
		refused(t, err, deploy.CodeNotFound)
		id, err := h.RegisterNode(t.Context(), lifecycle.NewNode{Name: "n1", Actor: tester})
		require.NoError(t, err)
		_, err = h.Report(t.Context(), lifecycle.Report{NodeID: id, Phase: phase.Installation, Status: phase.Success, As: phase.ByMachine})
		refused(t, err, deploy.CodeNotFound)
		_, err = h.Boot(t.Context(), lifecycle.BootRequest{DeploymentID: 99})
		refused(t, err, deploy.CodeNotFound)
		require.NoError(t, h.Stranger(t.Context(), "unauthenticated", "127.0.0.1", "/api/status/phase", "no token"))
	})
}

func TestStrangersAreBounded(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	for i := range 1005 {
		require.NoError(t, h.Stranger(t.Context(), "not_found", "127.0.0.1", "/api/status/phase", string(make([]byte, i))))
	}
	var n, longest int
	require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*), MAX(LENGTH(CAST(summary AS BLOB))) FROM stranger_reports`).Scan(&n, &longest))
	require.Equal(t, 1000, n)
	require.LessOrEqual(t, longest, 500)
}
