package operation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func TestWhatAProviderCannotDo(t *testing.T) {
	h := newHouse(t, storetest.SQLite(t))
	d := h.deploy("rack-1", deploy.Spec{Provider: deploy.ProviderRack, MAC: "02:00:00:00:00:01", ManagementIP: "10.0.0.9"})
	ctx := t.Context()
	calls := map[string]func(provider string) error{
		"tell what can be ordered":     func(p string) error { _, err := h.Offer(ctx, p); return err },
		"be compared with the journal": func(p string) error { _, err := h.Audit(ctx, p); return err },
		"adopt machines":               func(p string) error { _, err := h.Examine(ctx, p, "x"); return err },
	}
	for what, call := range calls {
		err := call(deploy.ProviderRack)
		require.Equal(t, deploy.CodeWrongState, code(t, err))
		require.ErrorContains(t, err, "the provider rack cannot "+what)
		require.Equal(t, deploy.CodeNotFound, code(t, call("aws")))
		require.Equal(t, deploy.CodeNotFound, code(t, call("")))
	}
	_, err := h.RemoveOrphan(ctx, deploy.ProviderRack, operation.Orphan{Kind: "vni", Name: "x"}, tester)
	require.Equal(t, deploy.CodeWrongState, code(t, err))
	_, err = h.Console(ctx, d.NodeID, "", false, tester)
	require.ErrorContains(t, err, "the provider rack cannot open consoles")
	require.Equal(t, []string{deploy.ProviderIBMVPC, deploy.ProviderRack}, h.Providers())
}

// TestProvidersTroubleIsNotTheCallers: Slipway's own refused key must not look
// like the caller's.
func TestProvidersTroubleIsNotTheCallers(t *testing.T) {
	h := newHouse(t, storetest.SQLite(t))
	for from, to := range map[deploy.Code]deploy.Code{
		deploy.CodeUnauthenticated: deploy.CodeUpstreamUnavailable, deploy.CodeForbidden: deploy.CodeUpstreamUnavailable,
		deploy.CodeRateLimited: deploy.CodeUpstreamUnavailable, deploy.CodeQuotaExceeded: deploy.CodeQuotaExceeded, deploy.CodeNotFound: deploy.CodeNotFound,
	} {
		h.cloud.examine = func(context.Context, string) (deploy.Adopted, error) {
			return deploy.Adopted{}, fmt.Errorf("asking: %w", &deploy.ProviderError{Code: from, Message: "no", Hint: "do this", Temporary: true})
		}
		_, err := h.Examine(t.Context(), deploy.ProviderIBMVPC, "x")
		e, ok := deploy.AsError(err)
		require.True(t, ok)
		require.Equal(t, deploy.Error{Code: to, Message: "no", Hint: "do this", Retryable: true}, *e)
	}
	h.cloud.examine = func(context.Context, string) (deploy.Adopted, error) {
		return deploy.Adopted{}, errors.New("inner")
	}
	_, err := h.Examine(t.Context(), deploy.ProviderIBMVPC, "x")
	_, ok := deploy.AsError(err)
	require.False(t, ok, "what nobody foresaw is a defect, and its text is not shown")
}

func TestCleanupPlan(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		var asked deploy.Release
		h.cloud.release = func(_ context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
			asked = r
			return []deploy.ReleaseStep{{Kind: "server", Name: "slw-web-01", Action: "stop and delete", Status: deploy.ReleaseWaiting}}, nil
		}
		d := h.deploy("web-01", vpcSpec())
		h.begin(d)
		_, err := h.CleanupPlan(ctx, d.DeploymentID)
		require.Equal(t, deploy.CodeRunActive, code(t, err))
		_, err = h.CleanupPlan(ctx, 999)
		require.Equal(t, deploy.CodeNotFound, code(t, err))
		h.fail(d)
		before := h.rows()
		plan, err := h.CleanupPlan(ctx, d.DeploymentID)
		require.NoError(t, err)
		require.Len(t, plan, 1)
		require.Equal(t, deploy.Release{NodeID: d.NodeID, NodeName: "web-01", DeploymentID: d.DeploymentID}, asked)
		require.Equal(t, before, h.rows())

		require.NoError(t, h.writer.SetProtection(ctx, lifecycle.Protection{NodeID: d.NodeID, Protected: true, Note: "ask Ann", Actor: tester}))
		_, err = h.CleanupPlan(ctx, d.DeploymentID)
		require.Equal(t, deploy.CodeWrongState, code(t, err))
		require.ErrorContains(t, err, "web-01 is protected: ask Ann")
		require.NoError(t, h.writer.SetProtection(ctx, lifecycle.Protection{NodeID: d.NodeID, Actor: tester}))

		_, err = h.writer.Cleanup(ctx, lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: "web-01", Actor: tester})
		require.NoError(t, err)
		_, err = h.CleanupPlan(ctx, d.DeploymentID)
		require.NoError(t, err, "while it is under way the plan is how it stands")
		h.report(d.DeploymentID, phase.Cleanup, phase.Success, "")
		_, err = h.CleanupPlan(ctx, d.DeploymentID)
		require.ErrorContains(t, err, "web-01 has been cleaned up")

		again := h.deploy("web-01", vpcSpec())
		require.Equal(t, d.NodeID, again.NodeID)
		_, err = h.CleanupPlan(ctx, d.DeploymentID)
		require.Equal(t, deploy.CodeWrongState, code(t, err))
		require.ErrorContains(t, err, "deployment #1 no longer holds web-01")
	})
}

func TestCleanupPlanOfWhatHoldsNothing(t *testing.T) {
	h := newHouse(t, storetest.SQLite(t))
	d := h.deploy("rack-1", deploy.Spec{Provider: deploy.ProviderRack, MAC: "02:00:00:00:00:01", ManagementIP: "10.0.0.9"})
	_, err := h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: d.DeploymentID, Immediate: true, Actor: tester})
	require.NoError(t, err)
	plan, err := h.CleanupPlan(t.Context(), d.DeploymentID)
	require.NoError(t, err)
	require.Equal(t, []deploy.ReleaseStep{}, plan, "a machine of ours has nothing to be released in a cloud")
}

func TestCleanupsTellStepsAndProofs(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		steps := func(status, message string) string {
			raw, err := json.Marshal(map[string]any{"steps": []deploy.ReleaseStep{{Kind: "server", Name: "s", Action: "delete", Status: status, Message: message}}})
			require.NoError(t, err)
			return string(raw)
		}
		made := map[string]lifecycle.Deployed{}
		for _, name := range []string{"never-1", "under-way-1", "broken-1", "clean-1"} {
			d := h.deploy(name, vpcSpec())
			made[name] = d
			h.begin(d)
			h.fail(d)
			if name == "never-1" {
				continue
			}
			_, err := h.writer.Cleanup(ctx, lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: name, Actor: tester})
			require.NoError(t, err)
			h.report(d.DeploymentID, phase.Cleanup, phase.InProgress, steps(deploy.ReleaseActive, "stopping"))
		}
		h.report(made["broken-1"].DeploymentID, phase.Cleanup, phase.FailedRun, "")
		h.clock.pass(time.Second)
		h.report(made["clean-1"].DeploymentID, phase.Cleanup, phase.Success, steps(deploy.ReleaseDone, "GET gave 404"))
		list, err := h.Cleanups(ctx)
		require.NoError(t, err)
		var told []string
		for _, c := range list {
			require.Len(t, c.Steps, 1)
			require.NotNil(t, c.StartedAt)
			told = append(told, c.Node.Name+" "+c.Deployment.State+" "+c.Steps[0].Message)
		}
		require.Equal(t, []string{"under-way-1 cleaning_up stopping", "broken-1 failed stopping", "clean-1 cleaned_up GET gave 404"}, told)
		one, err := h.CleanupOf(ctx, made["never-1"].DeploymentID)
		require.NoError(t, err)
		require.Empty(t, one.Steps)
		require.Nil(t, one.StartedAt)
	})
}

func TestResources(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		a, b := h.deploy("web-01", vpcSpec()), h.deploy("web-02", vpcSpec())
		h.begin(a)
		h.begin(b)
		first := h.hold(a, "vni", "slw-web-01-m")
		require.NoError(t, h.journal.Settle(ctx, first.ID, deploy.ResourceGone, "", nil, ""))
		h.hold(b, "vni", "slw-web-02-m")
		server := h.hold(a, "server", "slw-web-01")
		require.NoError(t, h.journal.Settle(ctx, server.ID, deploy.ResourcePresent, "", nil, "the last answer was 500"))
		list, err := h.Resources(ctx, a.NodeID)
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Equal(t, "slw-web-01-m gone", list[0].Name+" "+list[0].State)
		require.Equal(t, "slw-web-01 present", list[1].Name+" "+list[1].State)
		require.Equal(t, "the last answer was 500", list[1].LastError)
		require.Equal(t, "web-01", list[1].NodeName)
		require.Equal(t, h.clock.now(), list[1].CreatedAt)
		_, err = h.Resources(ctx, 999)
		require.Equal(t, deploy.CodeNotFound, code(t, err))

		page, more, err := h.ResourcePage(ctx, operation.ResourceFilter{Limit: 2})
		require.NoError(t, err)
		require.True(t, more)
		rest, more, err := h.ResourcePage(ctx, operation.ResourceFilter{Limit: 2, After: page[1].ID})
		require.NoError(t, err)
		require.False(t, more)
		require.Equal(t, []int64{first.ID, page[1].ID, server.ID}, []int64{page[0].ID, page[1].ID, rest[0].ID})
		held, _, err := h.ResourcePage(ctx, operation.ResourceFilter{NodeID: a.NodeID, Present: true})
		require.NoError(t, err)
		require.Len(t, held, 1)
		gone, _, err := h.ResourcePage(ctx, operation.ResourceFilter{State: deploy.ResourceGone, HeldBy: a.DeploymentID})
		require.NoError(t, err)
		require.Len(t, gone, 1)
	})
}

func TestOfferIsAskedForOnce(t *testing.T) {
	h := newHouse(t, storetest.SQLite(t))
	var asked atomic.Int32
	arrived, answer := make(chan struct{}), make(chan struct{})
	h.cloud.offer = func(context.Context) (deploy.Offer, error) {
		if asked.Add(1) == 1 {
			close(arrived)
			<-answer
		}
		return deploy.Offer{Region: "r", Servers: int(asked.Load())}, nil
	}
	// The one who asked first goes away: the others get the answer all the same.
	impatient, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { _, err := h.Offer(impatient, deploy.ProviderIBMVPC); left <- err }()
	<-arrived
	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			o, err := h.Offer(t.Context(), deploy.ProviderIBMVPC)
			require.NoError(t, err)
			require.Equal(t, 1, o.Servers)
			require.Equal(t, h.clock.now(), o.AsOf)
		})
	}
	close(answer)
	all.Wait()
	require.EqualValues(t, 1, asked.Load())
	h.clock.pass(59 * time.Second)
	_, err := h.Offer(t.Context(), deploy.ProviderIBMVPC)
	require.NoError(t, err)
	require.EqualValues(t, 1, asked.Load(), "it is kept for a minute")
	h.clock.pass(time.Second)
	o, err := h.Offer(t.Context(), deploy.ProviderIBMVPC)
	require.NoError(t, err)
	require.Equal(t, 2, o.Servers, "and no longer")
	h.clock.pass(-time.Hour)
	_, err = h.Offer(t.Context(), deploy.ProviderIBMVPC)
	require.NoError(t, err)
	require.EqualValues(t, 3, asked.Load(), "one from the future is not believed")
}

func TestOfferKeepsNoErrors(t *testing.T) {
	h := newHouse(t, storetest.SQLite(t))
	h.cloud.offer = func(context.Context) (deploy.Offer, error) {
		return deploy.Offer{}, &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: "503", Temporary: true}
	}
	_, err := h.Offer(t.Context(), deploy.ProviderIBMVPC)
	require.Equal(t, deploy.CodeUpstreamUnavailable, code(t, err))
	h.cloud.offer = func(context.Context) (deploy.Offer, error) { return deploy.Offer{Region: "r"}, nil }
	o, err := h.Offer(t.Context(), deploy.ProviderIBMVPC)
	require.NoError(t, err)
	require.Equal(t, "r", o.Region)
}

func TestAuditReadsTheWholeJournal(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.deploy("web-01", vpcSpec())
		h.begin(d)
		first := h.hold(d, "vni", "slw-web-01-m")
		require.NoError(t, h.journal.Settle(t.Context(), first.ID, deploy.ResourceGone, "", nil, ""))
		h.hold(d, "server", "slw-web-01")
		// While the cloud is read, somebody orders: that is no orphan.
		h.cloud.audit = func(_ context.Context, rows []deploy.Resource) ([]deploy.Drift, error) {
			require.Len(t, rows, 2, "gone rows too: what comes back is foreign")
			h.hold(d, "vni", "slw-web-01-new")
			return []deploy.Drift{
				{Problem: deploy.DriftOrphan, Kind: "vni", Name: "slw-z"}, {Problem: deploy.DriftOrphan, Kind: "vni", Name: "slw-web-01-new"},
				{Problem: deploy.DriftMissing, Kind: "server", Name: "slw-web-01", ResourceID: rows[1].ID}, {Problem: deploy.DriftOrphan, Kind: "server", Name: "slw-a"},
			}, nil
		}
		list, err := h.Audit(t.Context(), deploy.ProviderIBMVPC)
		require.NoError(t, err)
		var told []string
		for _, one := range list {
			told = append(told, one.Problem+" "+one.Kind+" "+one.Name)
		}
		require.Equal(t, []string{"missing server slw-web-01", "orphan server slw-a", "orphan vni slw-z"}, told)
	})
}

func TestRemoveOrphan(t *testing.T) {
	h := newHouse(t, storetest.SQLite(t))
	drift := []deploy.Drift{
		{Problem: deploy.DriftOrphan, Kind: "vni", Name: "slw-a", CloudID: "1", Parent: "subnet-1"}, {Problem: deploy.DriftOrphan, Kind: "vni", Name: "slw-a", CloudID: "2"},
		{Problem: deploy.DriftMissing, Kind: "vni", Name: "slw-b", CloudID: "3"},
	}
	h.cloud.audit = func(context.Context, []deploy.Resource) ([]deploy.Drift, error) { return drift, nil }
	var removed []deploy.Drift
	var answer error
	h.cloud.remove = func(_ context.Context, d deploy.Drift) error { removed = append(removed, d); return answer }
	remove := func(o operation.Orphan) (operation.Removal, error) {
		return h.RemoveOrphan(t.Context(), deploy.ProviderIBMVPC, o, tester)
	}
	for _, tc := range []struct {
		of   operation.Orphan
		code deploy.Code
	}{
		{operation.Orphan{}, deploy.CodeRequired},
		{operation.Orphan{Kind: "vni"}, deploy.CodeRequired},
		{operation.Orphan{Kind: "vni", Name: "slw-"}, deploy.CodeNotFound},                // a part of a name
		{operation.Orphan{Kind: "vni", Name: "%"}, deploy.CodeNotFound},                   // a pattern
		{operation.Orphan{Kind: "vni", Name: "slw-b"}, deploy.CodeNotFound},               // not an orphan
		{operation.Orphan{Kind: "server", CloudID: "1"}, deploy.CodeNotFound},             // of another kind
		{operation.Orphan{Kind: "vni", CloudID: "1", Name: "slw-c"}, deploy.CodeNotFound}, // they do not agree
		{operation.Orphan{Kind: "vni", Name: "slw-a"}, deploy.CodeConflict},               // two have this name
	} {
		_, err := remove(tc.of)
		require.Equal(t, tc.code, code(t, err), "%+v", tc.of)
	}
	require.Empty(t, removed)
	require.Empty(t, h.counted)

	answer = &deploy.ProviderError{Code: deploy.CodeConflict, Message: "it is being deleted", Temporary: true}
	got, err := remove(operation.Orphan{Kind: "vni", CloudID: "1", Name: "slw-a"})
	require.NoError(t, err)
	require.False(t, got.Done)
	require.Equal(t, "it is being deleted", got.Message)
	require.Equal(t, drift[0], removed[0], "with all that the comparison knows of it")
	answer = nil
	got, err = remove(operation.Orphan{Kind: "vni", CloudID: "1"})
	require.NoError(t, err)
	require.True(t, got.Done)
	answer = &deploy.ProviderError{Code: deploy.CodeWrongState, Message: "a row holds it now"}
	_, err = remove(operation.Orphan{Kind: "vni", CloudID: "2"})
	require.Equal(t, deploy.CodeWrongState, code(t, err))
	require.Equal(t, []string{"remove_orphan ibm_vpc done", "remove_orphan ibm_vpc done", "remove_orphan ibm_vpc refused"}, h.counted)
	require.Contains(t, h.log.String(), "msg=audit verb=remove_orphan provider=ibm_vpc outcome=done actor_kind=token actor=test kind=vni cloud_id=1 name=slw-a")
}

func TestConsole(t *testing.T) {
	h := newHouse(t, storetest.SQLite(t))
	d := h.deploy("web-01", vpcSpec())
	h.cloud.console = func(_ context.Context, id int64, kind string, force bool) (deploy.Console, error) {
		require.Equal(t, d.NodeID, id)
		return deploy.Console{URL: "wss://cloud/secret-token", Type: kind, Force: force, ExpiresAt: h.clock.now()}, nil
	}
	c, err := h.Console(t.Context(), d.NodeID, "", true, tester)
	require.NoError(t, err)
	require.Equal(t, operation.ConsoleSerial, c.Type)
	require.True(t, c.Force)
	require.Contains(t, h.log.String(), "verb=console")
	require.Contains(t, h.log.String(), "node=web-01")
	require.NotContains(t, h.log.String(), "secret-token")
	_, err = h.Console(t.Context(), d.NodeID, "telnet", false, tester)
	require.Equal(t, deploy.CodeInvalid, code(t, err))
	_, err = h.Console(t.Context(), 999, "", false, tester)
	require.Equal(t, deploy.CodeNotFound, code(t, err))
	h.cloud.console = func(context.Context, int64, string, bool) (deploy.Console, error) {
		return deploy.Console{}, &deploy.ProviderError{Code: deploy.CodeWrongState, Message: "the server is stopped"}
	}
	_, err = h.Console(t.Context(), d.NodeID, operation.ConsoleVNC, false, tester)
	require.Equal(t, deploy.CodeWrongState, code(t, err))
	require.Equal(t, []string{"console ibm_vpc done", "console ibm_vpc refused"}, h.counted)
}

func TestAdopt(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		found := deploy.Adopted{
			Machine: deploy.Machine{ServerID: "srv-1", ServerStatus: "running", ManagementIP: "10.0.0.20", MACs: []string{"02:00:00:00:00:20"}},
			Name:    "old-server", Profile: "bx2d-metal-96x384", Zone: "z-1",
			Resources: []deploy.AdoptedResource{{Kind: "server", Name: "old-server", CloudID: "srv-1"}, {Kind: "vni", Role: "management", Name: "old-vni", CloudID: "vni-1"}},
		}
		h.cloud.examine = func(_ context.Context, name string) (deploy.Adopted, error) {
			if name != "old-server" {
				return deploy.Adopted{}, &deploy.ProviderError{Code: deploy.CodeNotFound, Message: "there is no server " + name}
			}
			return found, nil
		}
		_, err := h.Examine(ctx, deploy.ProviderIBMVPC, " old-server ")
		require.NoError(t, err)
		require.Equal(t, [4]int{}, h.rows(), "looking at it takes nothing into care")
		_, _, err = h.Adopt(ctx, operation.Adoption{Provider: deploy.ProviderIBMVPC, Name: "Old", Actor: tester})
		e, ok := deploy.AsError(err)
		require.True(t, ok)
		require.Len(t, e.Fields, 2, "every bad field at once")
		_, _, err = h.Adopt(ctx, operation.Adoption{Provider: deploy.ProviderIBMVPC, Server: "nobody", Name: "old-1", Actor: tester})
		require.Equal(t, deploy.CodeNotFound, code(t, err))

		in := operation.Adoption{Provider: deploy.ProviderIBMVPC, Server: "old-server", Name: "old-1", Actor: tester}
		made, got, err := h.Adopt(ctx, in)
		require.NoError(t, err)
		require.Equal(t, found, got)
		held, err := h.Resources(ctx, made.NodeID)
		require.NoError(t, err)
		require.Len(t, held, 2)
		require.Equal(t, made.DeploymentID, held[0].HeldBy)
		_, err = h.CleanupPlan(ctx, made.DeploymentID)
		require.ErrorContains(t, err, "is protected")
		in.Name = "old-2"
		before := h.rows()
		_, _, err = h.Adopt(ctx, in)
		require.Equal(t, deploy.CodeAlreadyExists, code(t, err), "a machine is one node's")
		require.Equal(t, before, h.rows())
		require.Equal(t, []string{"adopt ibm_vpc done", "adopt ibm_vpc refused"}, h.counted)
	})
}
