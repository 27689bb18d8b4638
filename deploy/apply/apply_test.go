package apply_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func TestApplyWritesAndStarts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		out := h.apply(node("SQDN-001", 21), node("SQDN-002", 22))
		require.Equal(t, deploy.RunRunning, out.Run.State)
		require.Equal(t, []any{"lab", 2, 4000 + int(out.Run.ID), "ada"}, []any{out.Run.Host, out.Run.Nodes, out.Run.PID, out.Run.RequestedBy.Name})
		require.Equal(t, []string{"node_01.json", "node_02.json"}, []string{out.Items[0].File, out.Items[1].File})
		require.Equal(t, string(out.Items[1].Body), h.host.Content()["node_02.json"], "byte for byte")
		require.Contains(t, h.host.Content()["node_01.json"], `"Network"`)
		for _, item := range out.Items {
			state, at := h.state(item.DeploymentID)
			require.Equal(t, []string{phase.Running, phase.ConfigStored}, []string{state, at})
			require.Equal(t, 2, h.kept.orders[item.DeploymentID], "journalled before it is written, and after")
			require.True(t, h.kept.held[item.DeploymentID])
		}
		h.host.End(out.Run.ID, 0)
		r := h.drive(out.Run.ID)
		require.Equal(t, deploy.RunSucceeded, r.State)
		require.NotNil(t, r.EndedAt)
		require.Equal(t, 0, *r.ExitCode)
		docs, err := h.Documents(t.Context(), r.ID)
		require.NoError(t, err)
		require.Len(t, docs, 2)
		require.Equal(t, out.Items[0].Body, docs[0].Body)
	})
}

// The same node applied again keeps its file and gets another deployment; new
// ones get the next numbers, and history keeps every version.
func TestApplyAgain(t *testing.T) {
	h := open(t, storetest.SQLite(t))
	h.host.Set(func(h *H) { h.Files["node_07.json"] = []byte("{}") })
	first := h.apply(node("a", 21), node("b", 22))
	require.Equal(t, []int{8, 9}, []int{first.Items[0].Number, first.Items[1].Number}, "the highest that is there, and one")
	h.finish(first)
	changed := node("b", 22)
	changed["roles"] = []string{"Compute", "Monitoring"}
	second := h.apply(changed, node("c", 23))
	require.Equal(t, []int{9, 10}, []int{second.Items[0].Number, second.Items[1].Number})
	require.Equal(t, []string{apply.ActionReplace, apply.ActionCreate}, []string{second.Items[0].Action, second.Items[1].Action})
	require.Equal(t, first.Items[1].NodeID, second.Items[0].NodeID)
	require.Len(t, second.Items[0].Changes, 1)
	require.Equal(t, "roles", second.Items[0].Changes[0].Path)
	h.finish(second)
	h.host.Set(func(h *H) { h.Files["node_08.json"] = []byte(`{"by":"hand"}`); delete(h.Files, "node_10.json") })
	p, err := h.Validate(t.Context(), body(t, node("a", 21), node("b", 22), node("c", 23), node("d", 24)))
	require.NoError(t, err)
	require.NoError(t, p.Obstacle)
	require.Equal(t, []bool{true, false, false, false}, []bool{p.Plans[0].Foreign, p.Plans[1].Foreign, p.Plans[2].Foreign, p.Plans[3].Foreign})
	require.Equal(t, []int{8, 9, 10, 11}, []int{p.Plans[0].Number, p.Plans[1].Number, p.Plans[2].Number, p.Plans[3].Number}, "no number is given twice")
	history, err := h.History(t.Context(), second.Items[0].NodeID, 10)
	require.NoError(t, err)
	require.Len(t, history, 2)
}

func TestEveryErrorAtOnceAndNothingWritten(t *testing.T) {
	h := open(t, storetest.SQLite(t))
	bad := node("a", 21)
	bad["using_interfaces"].(map[string]any)["interface_02"].(map[string]any)["vlan_id"] = "5000"
	other := node("b", 21)
	_, err := h.Apply(t.Context(), apply.Request{Body: body(t, bad, other), Actor: ada})
	said := keys(refused(t, err, deploy.CodeInvalid))
	require.Contains(t, said, "cards.0.using_interfaces.interface_02.vlan_id vlan_out_of_range")
	require.Contains(t, said, "address_twice")
	require.Empty(t, h.host.Content())
	runs, _, err := h.List(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Empty(t, runs)
	var nodes int
	require.NoError(t, h.store.Read.QueryRow(`SELECT COUNT(*) FROM nodes`).Scan(&nodes))
	require.Zero(t, nodes)
}

func TestWhatIsNotReadyIsFoundBeforeAnythingIsWritten(t *testing.T) {
	h := open(t, storetest.SQLite(t))
	h.host.Set(func(h *H) {
		h.NotReady = &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: "the script is not there", Hint: "install it"}
	})
	p, err := h.Validate(t.Context(), body(t, node("a", 21)))
	require.NoError(t, err)
	require.Contains(t, refused(t, p.Obstacle, deploy.CodeUpstreamUnavailable).Message, "not there")
	_, err = h.Apply(t.Context(), apply.Request{Body: body(t, node("a", 21)), Actor: ada})
	refused(t, err, deploy.CodeUpstreamUnavailable)
	runs, _, err := h.List(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Empty(t, runs)
}

func TestWhatFailsOnTheWayIsTakenBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		first := h.apply(node("awrite", 21), node("astart", 22))
		h.finish(first)
		before := h.host.Content()
		for i, fault := range []struct {
			name string
			set  func(h *H)
		}{
			{"write", func(h *H) { h.WriteFails, h.StartFails = errDisk, nil }},
			{"start", func(h *H) { h.WriteFails, h.StartFails = nil, errDisk }},
		} {
			t.Run(fault.name, func(t *testing.T) {
				h.host.Set(fault.set)
				changed := node("a"+fault.name, 21+i)
				changed["roles"] = []string{"Compute", "Monitoring"}
				out, err := h.Apply(t.Context(), apply.Request{Body: body(t, changed, node("b"+fault.name, 30+i)), Actor: ada})
				refused(t, err, deploy.CodeUpstreamUnavailable)
				require.Equal(t, before, h.host.Content())
				m, err := h.Marker(t.Context())
				require.NoError(t, err)
				require.False(t, m.Present)
				require.Equal(t, deploy.RunFailed, out.Run.State)
				require.Contains(t, out.Run.Problem, "no space left")
				require.Nil(t, out.Run.StoredAt)
				for _, item := range out.Items {
					state, at := h.state(item.DeploymentID)
					require.Equal(t, []string{phase.StateFail, phase.ConfigStored}, []string{state, at}, "ended with the run, so that the next request can come at once")
					require.False(t, h.kept.held[item.DeploymentID], "the journal is told that the file was taken back")
				}
			})
		}
		h.host.Set(func(h *H) { h.WriteFails, h.StartFails = nil, nil })
		next := h.apply(node("c", 40))
		require.Equal(t, 3, next.Items[0].Number, "nothing was written under the numbers of those that failed")
	})
}

// One of many requests at once wins; the others are told who runs what since when.
func TestOneOfManyWins(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		var all sync.WaitGroup
		var mu sync.Mutex
		var won []apply.Applied
		var lost []error
		for i := range 40 {
			all.Go(func() {
				out, err := h.Apply(t.Context(), apply.Request{Body: body(t, node(fmt.Sprintf("n%d", i), 10+i)), Actor: ada})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					lost = append(lost, err)
					return
				}
				won = append(won, out)
			})
		}
		all.Wait()
		require.Len(t, won, 1)
		require.Len(t, h.host.Starts, 1)
		for _, err := range lost {
			said := refused(t, err, deploy.CodeRunActive).Message
			require.Contains(t, said, "ada")
			require.Contains(t, said, "lab since 20")
		}
		require.Len(t, h.host.Content(), 1)
	})
}

func TestSameRequestTwice(t *testing.T) {
	h := open(t, storetest.SQLite(t))
	in := apply.Request{Body: body(t, node("a", 21)), Actor: ada, IdempotencyKey: "k"}
	first, err := h.Apply(t.Context(), in)
	require.NoError(t, err)
	again, err := h.Apply(t.Context(), in)
	require.NoError(t, err)
	require.True(t, again.Existing)
	require.Equal(t, first.Run.ID, again.Run.ID)
	require.Equal(t, first.Items[0].DeploymentID, again.Items[0].DeploymentID)
	in.Body = body(t, node("b", 22))
	_, err = h.Apply(t.Context(), in)
	refused(t, err, deploy.CodeIdempotencyConflict)
}

// A restart between any two steps goes on with the run: its script is started
// once.
func TestARestartGoesOn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		h.host.Set(func(h *H) { h.WriteFails = errLost })
		_, err := h.Apply(t.Context(), apply.Request{Body: body(t, node("a", 21)), Actor: ada})
		refused(t, err, deploy.CodeUpstreamUnavailable)
		runs, _, err := h.List(t.Context(), 0, 1)
		require.NoError(t, err)
		require.Equal(t, deploy.RunFailed, runs[0].State)

		h.host.Set(func(h *H) { h.WriteFails = nil })
		out := h.apply(node("b", 22))
		for _, undo := range []string{
			`UPDATE script_runs SET state = 'storing', stored_at = NULL, started_at = NULL, pid = NULL WHERE id = $1`, // killed before it was recorded that the files are written
			`UPDATE script_runs SET state = 'storing', started_at = NULL, pid = NULL WHERE id = $1`,                   // … that the script was started
		} {
			_, err := st.Write.Exec(undo, out.Run.ID)
			require.NoError(t, err)
			h.again()
			r := h.drive(out.Run.ID)
			require.Equal(t, deploy.RunRunning, r.State)
			require.Equal(t, out.Run.PID, r.PID)
		}
		require.Equal(t, []int64{out.Run.ID}, h.host.Starts)
		h.host.Vanish(out.Run.ID)
		h.again()
		r := h.drive(out.Run.ID)
		require.Equal(t, deploy.RunLost, r.State)
		require.Nil(t, r.ExitCode)
		require.NotEmpty(t, r.Problem)
	})
}

func TestCancel(t *testing.T) {
	now := time.Now()
	h := open(t, storetest.SQLite(t), func(d *apply.Deps) { d.Now = func() time.Time { return now } })
	out := h.apply(node("a", 21))
	h.host.Set(func(h *H) { h.IgnoresTerm = true })
	r, err := h.Cancel(t.Context(), apply.Cancel{RunID: out.Run.ID, Reason: "wrong rack", Actor: ada})
	require.NoError(t, err)
	require.NotNil(t, r.CancelAt)
	h.drive(r.ID)
	h.drive(r.ID)
	require.Equal(t, []string{fmt.Sprintf("%d SIGTERM", r.ID)}, h.host.Signals, "it is asked once")
	now = now.Add(2 * time.Minute)
	h.drive(r.ID)
	require.Equal(t, fmt.Sprintf("%d SIGKILL", r.ID), h.host.Signals[len(h.host.Signals)-1])
	done := h.drive(r.ID)
	require.Equal(t, []any{deploy.RunCanceled, "SIGKILL", "wrong rack"}, []any{done.State, done.Signal, done.CancelReason})
	_, err = h.Cancel(t.Context(), apply.Cancel{RunID: r.ID, Actor: ada})
	refused(t, err, deploy.CodeWrongState)
}

// A script that nobody waits for any more is ended.
func TestAllDeploymentsCanceled(t *testing.T) {
	h := open(t, storetest.SQLite(t))
	out := h.apply(node("a", 21), node("b", 22))
	cancel := func(i int) {
		_, err := h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: out.Items[i].DeploymentID, Immediate: true, Actor: ada})
		require.NoError(t, err)
		h.drive(out.Run.ID)
	}
	cancel(0)
	require.Empty(t, h.host.Signals, "the other still waits")
	cancel(1)
	require.Len(t, h.host.Signals, 1)
	r := h.drive(out.Run.ID)
	require.Equal(t, deploy.RunCanceled, r.State)
	require.Contains(t, r.CancelReason, "all of its deployments")
}

func TestANodeThatIsBusyOrAnothers(t *testing.T) {
	h := open(t, storetest.SQLite(t))
	out := h.apply(node("a", 21))
	h.host.End(out.Run.ID, 0)
	h.drive(out.Run.ID)
	_, err := h.Apply(t.Context(), apply.Request{Body: body(t, node("a", 21)), Actor: ada})
	busy := refused(t, err, deploy.CodeRunActive)
	require.Contains(t, busy.Message, "a: deployment #1 of a")
	require.Equal(t, "cards.0", busy.Fields[0].Field)

	_, err = h.writer.Deploy(t.Context(), lifecycle.NewDeployment{Name: "cloudy", Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "p", ManagementIP: "192.0.2.50"}, Actor: ada})
	require.NoError(t, err)
	_, err = h.Apply(t.Context(), apply.Request{Body: body(t, node("cloudy", 60)), Actor: ada})
	e, ok := deploy.AsError(err)
	require.True(t, ok)
	require.Contains(t, keys(e), "cards.0.hostname")
	_, err = h.Apply(t.Context(), apply.Request{Body: body(t, node(strings.Repeat("x", 50), 61)), Actor: ada})
	require.Contains(t, keys(refused(t, err, deploy.CodeOutOfRange)), "hostname_no_node_name")
}

// Each of these left a run that never ended, or lied about it.
func TestTroubleOfARun(t *testing.T) {
	refuse := &deploy.ProviderError{Code: deploy.CodeNotFound, Message: "the node file was removed by somebody"}
	t.Run("the journal refuses for good", func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		h.kept.refuse = refuse
		out, err := h.Apply(t.Context(), apply.Request{Body: body(t, node("a", 21)), Actor: ada})
		refused(t, err, deploy.CodeNotFound)
		require.Equal(t, deploy.RunFailed, out.Run.State)
		h.kept.refuse = nil
		h.apply(node("b", 22))
	})
	t.Run("the database is away for a moment", func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		h.kept.refuse = errLost
		out, err := h.Apply(t.Context(), apply.Request{Body: body(t, node("a", 21)), Actor: ada})
		require.Contains(t, refused(t, err, deploy.CodeUpstreamUnavailable).Message, "goes on by itself")
		require.Equal(t, deploy.RunStoring, out.Run.State)
		h.kept.refuse = nil
		require.Equal(t, deploy.RunRunning, h.drive(out.Run.ID).State)
	})
	t.Run("canceled, and its start was not recorded", func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		out := h.apply(node("a", 21))
		_, err := h.store.Write.Exec(`UPDATE script_runs SET state = 'storing', started_at = NULL, cancel_at = created_at, cancel_by = 'ada' WHERE id = $1`, out.Run.ID)
		require.NoError(t, err)
		require.Equal(t, deploy.RunRunning, h.drive(out.Run.ID).State, "it lives, so it has not ended")
		h.drive(out.Run.ID)
		require.Equal(t, deploy.RunCanceled, h.drive(out.Run.ID).State)
	})
	t.Run("the same request after a run that did not begin", func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		h.host.Set(func(h *H) { h.StartFails = errDisk })
		in := apply.Request{Body: body(t, node("a", 21)), Actor: ada, IdempotencyKey: "k"}
		_, err := h.Apply(t.Context(), in)
		require.Error(t, err)
		h.host.Set(func(h *H) { h.StartFails = nil })
		again, err := h.Apply(t.Context(), in)
		require.Contains(t, refused(t, err, deploy.CodeUpstreamUnavailable).Message, "did not begin: no space left")
		require.True(t, again.Existing)
	})
	t.Run("a node keeps its number though its file is gone", func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		out := h.apply(node("a", 21))
		h.host.Set(func(h *H) { h.Files = map[string][]byte{} })
		h.host.End(out.Run.ID, 1)
		h.drive(out.Run.ID)
		id := out.Items[0].DeploymentID
		_, err := h.writer.Report(t.Context(), lifecycle.Report{DeploymentID: id, Phase: phase.Failed, Status: phase.FailedRun, Message: "it failed", As: phase.ByOperator, Source: deploy.SourceUser, Actor: ada})
		require.NoError(t, err)
		_, err = h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: id, Actor: ada})
		require.NoError(t, err)
		at, err := h.Stand(t.Context(), id, 2)
		require.NoError(t, err)
		require.NoError(t, at.Busy)
		require.Equal(t, "node_01.json", at.Document.File)
	})
	t.Run("an address of a node that was cleaned up is free", func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		h.finish(h.apply(node("a", 21)))
		_, err := h.store.Write.Exec(`UPDATE nodes SET state = 'cleaned_up', management_ip = NULL WHERE name = 'a'`)
		require.NoError(t, err)
		h.apply(node("b", 21))
	})
	t.Run("a run of a host that is gone is written off", func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		out := h.apply(node("a", 21))
		_, err := h.store.Write.Exec(`UPDATE script_runs SET host = 'old'`)
		require.NoError(t, err)
		_, err = h.Cancel(t.Context(), apply.Cancel{RunID: out.Run.ID, Actor: ada})
		require.Contains(t, refused(t, err, deploy.CodeWrongState).Hint, "force it")
		r, err := h.Cancel(t.Context(), apply.Cancel{RunID: out.Run.ID, Force: true, Reason: "burnt", Actor: ada})
		require.NoError(t, err)
		require.Equal(t, deploy.RunLost, r.State)
		require.Contains(t, r.Problem, "ada")
		require.Empty(t, h.host.Signals)
	})
}

// What the host shows before the script runs is what its restart is proven by,
// and the key that is shown first is kept.
func TestTheHostBefore(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st, func(d *apply.Deps) {
		d.Prober = prober(func(to health.Target) health.Result {
			if to.Host != "192.0.2.99" {
				return health.Result{Class: health.ClassTimeout}
			}
			return health.Result{Class: health.ClassOK, BootID: "before", HostKey: "ssh-ed25519 AAAA"}
		})
	})
	request := fmt.Sprintf(`{"192.0.2.99": %s}`, strings.Trim(string(body(t, node("a", 21))), "[]"))
	out, err := h.Apply(t.Context(), apply.Request{Body: []byte(request), Actor: ada})
	require.NoError(t, err)
	require.Equal(t, "192.0.2.99", out.Items[0].Identity)
	docs, err := h.Documents(t.Context(), out.Run.ID)
	require.NoError(t, err)
	require.Equal(t, "before", docs[0].BootIDBefore)
	var key string
	require.NoError(t, st.Read.QueryRow(`SELECT ssh_host_key FROM nodes WHERE id = $1`, out.Items[0].NodeID).Scan(&key))
	require.Equal(t, "ssh-ed25519 AAAA", key)
}

func TestWithoutAHost(t *testing.T) {
	h := open(t, storetest.SQLite(t), func(d *apply.Deps) { d.Host = nil })
	_, err := h.Apply(t.Context(), apply.Request{Body: []byte("[]"), Actor: ada})
	refused(t, err, deploy.CodeWrongState)
	require.Empty(t, h.Host())
}

// A host that somebody else has is waited for: it is no failure.
func TestAloneWaitsForWhoeverHasTheHost(t *testing.T) {
	h := open(t, storetest.SQLite(t))
	out := h.apply(node("a", 21))
	h.finish(out)
	h.host.Set(func(h *H) {
		h.NotReady = &deploy.ProviderError{Code: deploy.CodeRunActive, Message: "the marker is there"}
	})
	at, err := h.Stand(t.Context(), out.Items[0].DeploymentID, 2)
	require.NoError(t, err)
	require.Nil(t, at.Run)
	require.Contains(t, refused(t, at.Busy, deploy.CodeRunActive).Message, "the marker is there")
	h.host.Set(func(h *H) { h.NotReady = nil })
	at, err = h.Stand(t.Context(), out.Items[0].DeploymentID, 2)
	require.NoError(t, err)
	require.NoError(t, at.Busy)
	require.Equal(t, deploy.RunStoring, at.Run.State)
}

// The boot id that a host had is what it shows before the script runs; one that
// cannot be asked then is held to what it had when it was last proven.
func TestBootIDBefore(t *testing.T) {
	shown := ""
	h := open(t, storetest.SQLite(t), func(d *apply.Deps) {
		d.Prober = prober(func(health.Target) health.Result {
			if shown == "" {
				return health.Result{Class: health.ClassTimeout}
			}
			return health.Result{Class: health.ClassOK, BootID: shown, HostKey: "ssh-ed25519 AAAA"}
		})
	})
	applied := func() string {
		out := h.apply(node("a", 21))
		docs, err := h.Documents(t.Context(), out.Run.ID)
		require.NoError(t, err)
		h.host.End(out.Run.ID, 0)
		h.drive(out.Run.ID)
		require.NoError(t, h.writer.Do(t.Context(), []int64{out.Items[0].DeploymentID}, nil, func(tx *lifecycle.Tx) error {
			return tx.LearnFor(out.Items[0].DeploymentID, lifecycle.NodeFacts{BootID: fmt.Sprintf("proven-by-%d", out.Run.ID)})
		}))
		h.finish(out)
		return docs[0].BootIDBefore
	}
	require.Empty(t, applied(), "nothing is known of it")
	require.Equal(t, "proven-by-1", applied())
	shown = "shown-now"
	require.Equal(t, "shown-now", applied())
	shown = ""
	require.Equal(t, "proven-by-3", applied())
}
