package workflow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/apply/applytest"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/deploy/workflow"
)

// hosts answers for the hosts that the script configures, by address.
type hosts struct {
	mu     sync.Mutex
	answer func(t health.Target, attempt int) health.Result
	asked  map[string]int
}

func (h *hosts) Check(_ context.Context, t health.Target) health.Result {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[t.Host]++
	return h.answer(t, h.asked[t.Host])
}

const theirKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGM9zqCq2d8BvXqXr0lbk9yVgSyM2xBfZp2RkXcQnQ8R"

func back(t health.Target, _ int) health.Result {
	if t.HostKey != "" && t.HostKey != theirKey {
		return health.Result{Class: health.ClassWrongHost, Message: "another key", HostKey: theirKey, Fingerprint: health.Fingerprint(theirKey)}
	}
	return health.Result{Class: health.ClassOK, BootID: "after", HostKey: theirKey, Fingerprint: health.Fingerprint(theirKey)}
}

type scripted struct {
	*house
	*apply.Service
	host  *applytest.Host
	hosts *hosts
}

// withScript is a house with a host of the deployment script.
func withScript(t *testing.T, st *store.Store, answer func(health.Target, int) health.Result, change ...func(*workflow.Polling)) *scripted {
	t.Helper()
	h := &hosts{answer: answer, asked: map[string]int{}}
	s := withProber(t, st, "lab", h, change...)
	s.hosts = h
	return s
}

// withProber is a house on the host of that name, whose hosts are asked by p.
func withProber(t *testing.T, st *store.Store, host string, p workflow.Prober, change ...func(*workflow.Polling)) *scripted {
	t.Helper()
	s := &scripted{host: applytest.New(host)}
	writer := &lateWriter{}
	s.Service = apply.New(apply.Deps{Host: s.host, Provider: newCloudless(), Store: st, Writer: writer, Prober: p, Port: 22, LookEvery: 20 * time.Millisecond})
	polling := workflow.Polling{Scripts: s.Service, Prober: p, Wait: 200 * time.Millisecond, Every: 50 * time.Millisecond, Attempts: 8}
	for _, c := range change {
		c(&polling)
	}
	s.house = build(t, st, workflow.Options{ReplicaID: t.Name() + host, Prober: healthy, Polling: polling, Slots: 100}, newCloud())
	writer.Writer = s.writer
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

type lateWriter struct{ *lifecycle.Writer }

// cloudless is a provider that needs nothing.
type cloudless struct{ deploy.Provider }

func newCloudless() cloudless { return cloudless{} }

func (cloudless) Order(context.Context, deploy.Order) (deploy.Machine, error) {
	return deploy.Machine{}, nil
}

func (s *scripted) begin(t *testing.T, names ...string) apply.Applied {
	t.Helper()
	return s.beginAt(t, 20, names...)
}

// beginAt applies a document for each name; the first has this address.
func (s *scripted) beginAt(t *testing.T, first int, names ...string) apply.Applied {
	t.Helper()
	var docs []any
	for i, name := range names {
		docs = append(docs, map[string]any{
			"using_interfaces": map[string]any{
				"interface_01": map[string]any{"interface_name": "eno1", "type": []string{"Primary"}, "vlan_id": "NULL", "Bond_Slave": "NO",
					"Properties": map[string]any{"IP_ADDRESS": fmt.Sprintf("192.0.2.%d", first+i), "Netmask": "255.255.255.0", "DNS": "192.0.2.2", "mtu": "1500", "gateway": "192.0.2.1"}},
				"interface_02": map[string]any{"interface_name": "eno2", "type": []string{"Secondary"}, "vlan_id": "NULL", "Bond_Slave": "NO"},
			},
			"hostname": name, "disk": []string{}, "roles": []string{"Compute"},
		})
	}
	raw, err := json.Marshal(docs)
	require.NoError(t, err)
	out, err := s.Apply(t.Context(), apply.Request{Body: raw, Actor: operator})
	require.NoError(t, err)
	return out
}

func phases(events []*feed.Event) (out []string) {
	for _, e := range events {
		if e.Status == string(phase.Success) || e.Status == string(phase.Skipped) {
			out = append(out, e.Phase+" "+e.Status)
		}
	}
	return out
}

func TestScriptFromCardToDeployed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		s := withScript(t, st, func(to health.Target, attempt int) health.Result {
			switch {
			case attempt == 1: // before the script runs
				return health.Result{Class: health.ClassOK, BootID: "before", HostKey: theirKey}
			case attempt <= 3:
				return health.Result{Class: health.ClassRefused, Message: "connection refused"}
			case attempt == 4:
				return health.Result{Class: health.ClassNotRestarted, Message: "still up"}
			}
			return back(to, attempt)
		})
		out := s.begin(t, "a", "b")
		id := out.Items[0].DeploymentID
		s.until(t, id, at(phase.ScriptStarted, phase.InProgress))
		s.host.End(out.Run.ID, 0)
		events := s.ended(t, id)
		require.Equal(t, []string{"pending success", "config_stored success", "script_started success", "reboot_wait success", "ssh_polling success", "health_validation success", "deployed success"}, phases(events))
		s.ended(t, out.Items[1].DeploymentID)
		var key, boot string
		require.NoError(t, st.Read.QueryRow(`SELECT ssh_host_key, boot_id FROM nodes WHERE name = 'a'`).Scan(&key, &boot))
		require.Equal(t, []string{theirKey, "after"}, []string{key, boot})
		probe := s.probe(t, id, phase.SSHPolling)
		require.Nil(t, probe.NextAt)
		require.Equal(t, []any{"192.0.2.20:22", 8, "ok"}, []any{probe.Target, probe.MaxAttempts, probe.Class})
		require.Equal(t, []int64{out.Run.ID}, s.host.Starts)
	})
}

func (s *scripted) probe(t *testing.T, id int64, key string) deploy.Probe {
	t.Helper()
	var raw []byte
	require.NoError(t, s.store.Read.QueryRow(`SELECT probe FROM phase_runs WHERE deployment_id = $1 AND phase = $2 ORDER BY attempt DESC LIMIT 1`, id, key).Scan(&raw))
	var p deploy.Probe
	require.NoError(t, json.Unmarshal(raw, &p))
	return p
}

// A host that has an IPv6 address only is asked there.
func TestScriptHostWithIPv6(t *testing.T) {
	t.Parallel()
	s := withScript(t, storetest.SQLite(t), back)
	doc := `[{"using_interfaces":{"interface_01":{"interface_name":"eno1","type":["Primary"],"Bond_Slave":"NO","Properties":{"IP_ADDRESS":"2001:db8::21","Netmask":"64","DNS":"2001:db8::53","gateway":"2001:db8::1"}}},"hostname":"six","roles":["Compute"]}]`
	out, err := s.Apply(t.Context(), apply.Request{Body: []byte(doc), Actor: operator})
	require.NoError(t, err)
	s.host.End(out.Run.ID, 0)
	id := out.Items[0].DeploymentID
	s.until(t, id, at(phase.Deployed, phase.Success))
	require.Equal(t, "[2001:db8::21]:22", s.probe(t, id, phase.SSHPolling).Target)
}

func TestScriptThatFails(t *testing.T) {
	t.Parallel()
	s := withScript(t, storetest.SQLite(t), back)
	out := s.begin(t, "a", "b")
	s.host.Set(func(h *applytest.Host) { h.Output[out.Run.ID] = []byte("configuring\nno such bridge\n") })
	s.until(t, out.Items[0].DeploymentID, at(phase.ScriptStarted, phase.InProgress))
	s.host.End(out.Run.ID, 3)
	for _, item := range out.Items {
		events := s.ended(t, item.DeploymentID)
		require.Equal(t, phase.StateFail, events[len(events)-1].State)
		f := s.failure(t, item.DeploymentID)
		require.Equal(t, []string{phase.ScriptStarted, "script_failed"}, []string{f.phase, f.code})
		require.Contains(t, f.message, "exited with 3")
	}
	var tail string
	require.NoError(t, s.store.Read.QueryRow(`SELECT log_tail FROM deployment_history WHERE deployment_id = $1 AND log_tail IS NOT NULL`, out.Items[0].DeploymentID).Scan(&tail))
	require.Contains(t, tail, "no such bridge")

	// A retry runs the script again, for this node alone, with a run of its own;
	// the other's waits until the host is free, with its clock standing.
	for _, item := range out.Items {
		_, err := s.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: item.DeploymentID, Actor: operator})
		require.NoError(t, err)
	}
	last := out.Run.ID
	for range out.Items {
		require.Eventually(t, func() bool {
			active, err := s.Active(t.Context())
			require.NoError(t, err)
			if active == nil || active.State != deploy.RunRunning || active.ID == last {
				return false
			}
			last = active.ID
			return true
		}, time.Minute, 10*time.Millisecond)
		s.host.End(last, 0)
	}
	for _, item := range out.Items {
		s.until(t, item.DeploymentID, at(phase.Deployed, phase.Success))
	}
	require.Len(t, s.host.Starts, 3)
	require.Len(t, s.host.Content(), 2, "each keeps its file")
}

func TestHostThatDoesNotComeBack(t *testing.T) {
	t.Parallel()
	s := withScript(t, storetest.SQLite(t), func(health.Target, int) health.Result {
		return health.Result{Class: health.ClassTimeout, Message: "no answer", Hint: "look at its console"}
	})
	out := s.begin(t, "a")
	s.host.End(out.Run.ID, 0)
	id := out.Items[0].DeploymentID
	s.until(t, id, at(phase.SSHPolling, phase.FailedRun))
	failed := s.failure(t, id)
	require.Contains(t, failed.hint, "look at its console")
	failed.hint = ""
	require.Equal(t, failure{"failed", phase.SSHPolling, "timeout", "192.0.2.20:22 did not come back in 8 attempts; the last: no answer", ""}, failed)
	s.hosts.mu.Lock()
	require.Equal(t, 9, s.hosts.asked["192.0.2.20"], "once before the script, and eight times after")
	s.hosts.answer = back
	s.hosts.mu.Unlock()
	_, err := s.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: id, Actor: operator})
	require.NoError(t, err)
	s.until(t, id, at(phase.Deployed, phase.Success))
	require.Len(t, s.host.Starts, 1, "the script is not run again to ask again")
}

func TestAnotherHostKey(t *testing.T) {
	t.Parallel()
	s := withScript(t, storetest.SQLite(t), func(to health.Target, attempt int) health.Result {
		if attempt == 1 {
			return health.Result{Class: health.ClassOK, BootID: "before", HostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIb1bs9yPTcz6XkjYm5VbWnuNnqZzXJkTkN0cU5rQ1hB"}
		}
		return back(to, attempt)
	})
	out := s.begin(t, "a")
	s.host.End(out.Run.ID, 0)
	id, node := out.Items[0].DeploymentID, out.Items[0].NodeID
	s.until(t, id, at(phase.SSHPolling, phase.FailedRun))
	require.Equal(t, "wrong_host", s.failure(t, id).code)
	probe := s.probe(t, id, phase.SSHPolling)
	require.Equal(t, []string{theirKey, health.Fingerprint(theirKey)}, []string{probe.OfferedKey, probe.Fingerprint})
	err := s.writer.PinHostKey(t.Context(), lifecycle.PinHostKey{NodeID: node, Key: "ssh-ed25519 BBBB", Actor: operator})
	code, _ := deploy.AsError(err)
	require.Equal(t, deploy.CodeConflict, code.Code, "only what was offered is trusted")
	require.NoError(t, s.writer.PinHostKey(t.Context(), lifecycle.PinHostKey{NodeID: node, Key: theirKey, Actor: operator}))
	_, err = s.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: id, Actor: operator})
	require.NoError(t, err)
	s.until(t, id, at(phase.Deployed, phase.Success))
}

func TestSkippedPolling(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		s := withScript(t, st, func(health.Target, int) health.Result {
			return health.Result{Class: health.ClassRefused, Message: "refused"}
		}, func(p *workflow.Polling) { p.Attempts = 1000 })
		out := s.begin(t, "a")
		id := out.Items[0].DeploymentID
		_, err := s.writer.SkipPolling(t.Context(), lifecycle.SkipPolling{DeploymentID: id, Reason: "too early", Actor: operator})
		e, _ := deploy.AsError(err)
		require.Equal(t, deploy.CodeWrongState, e.Code)
		s.host.End(out.Run.ID, 0)
		s.until(t, id, at(phase.SSHPolling, phase.InProgress))
		_, err = s.writer.SkipPolling(t.Context(), lifecycle.SkipPolling{DeploymentID: id, Reason: " ", Actor: operator})
		e, _ = deploy.AsError(err)
		require.Equal(t, deploy.CodeRequired, e.Fields[0].Code)
		r, err := s.writer.SkipPolling(t.Context(), lifecycle.SkipPolling{DeploymentID: id, Reason: "seen on its console", Actor: operator})
		require.NoError(t, err)
		require.Equal(t, []any{phase.Succeeded, phase.Deployed}, []any{r.State, r.Phase})
		events := s.ended(t, id)
		require.Equal(t, []string{"ssh_polling skipped", "health_validation skipped", "deployed success"}, phases(events)[4:])
		for _, event := range events[len(events)-3:] {
			require.Contains(t, event.Message, "ada: seen on its console")
		}
	})
}

func TestCanceledRun(t *testing.T) {
	t.Parallel()
	s := withScript(t, storetest.SQLite(t), back)
	out := s.begin(t, "a", "b")
	s.until(t, out.Items[0].DeploymentID, at(phase.ScriptStarted, phase.InProgress))
	_, err := s.Cancel(t.Context(), apply.Cancel{RunID: out.Run.ID, Reason: "wrong rack", Actor: operator})
	require.NoError(t, err)
	for _, item := range out.Items {
		events := s.ended(t, item.DeploymentID)
		require.Equal(t, phase.StateStop, events[len(events)-1].State)
		require.Contains(t, events[len(events)-1].Message, "wrong rack")
	}
}

func TestScriptThatCannotBegin(t *testing.T) {
	t.Parallel()
	s := withScript(t, storetest.SQLite(t), back)
	s.host.Set(func(h *applytest.Host) {
		h.WriteFails = &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: "no space left on device"}
	})
	_, err := s.Apply(t.Context(), apply.Request{Body: []byte(`[]`), Actor: operator})
	require.Error(t, err)
	out := func() apply.Applied {
		defer func() { s.host.Set(func(h *applytest.Host) { h.WriteFails = nil }) }()
		doc := `[{"using_interfaces":{"interface_01":{"interface_name":"eno1","type":["Primary"],"Bond_Slave":"NO","Properties":{"IP_ADDRESS":"192.0.2.20","Netmask":"24","DNS":"192.0.2.2","gateway":"192.0.2.1"}}},"hostname":"a","roles":["Compute"]}]`
		out, err := s.Apply(t.Context(), apply.Request{Body: []byte(doc), Actor: operator})
		require.Error(t, err)
		return out
	}()
	id := out.Items[0].DeploymentID
	s.until(t, id, at(phase.ConfigStored, phase.FailedRun))
	require.Contains(t, s.failure(t, id).message, "no space left")
	_, err = s.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: id, Actor: operator})
	require.NoError(t, err)
	s.until(t, id, at(phase.ScriptStarted, phase.InProgress))
	require.Len(t, s.host.Content(), 1)
}
