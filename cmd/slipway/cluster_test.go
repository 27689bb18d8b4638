package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
)

// fakeClusters is a server with one cluster, which is at every look where the
// next of its documents has it.
type fakeClusters struct {
	mu     sync.Mutex
	at     []string // documents, the last one stays
	plan   string
	refuse string
	asked  []string
	bodies []string
	events string
}

func (f *fakeClusters) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, _ := io.ReadAll(r.Body) // what is missing shows
	if r.URL.Path == "/api/status/events" {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, f.events)
		f.events = ""
		return
	}
	f.asked, f.bodies = append(f.asked, r.Method+" "+r.URL.RequestURI()), append(f.bodies, string(body))
	switch {
	case r.URL.Path == "/api/cleanup/status":
		_, _ = fmt.Fprintf(w, `{"cleaned_up":[{"node_name":"x","state":"cleaned_up","steps":[{"kind":"server","name":"slw-%s","action":"delete","status":"success","message":"not found"}]}]}`, r.URL.Query().Get("deployment_id"))
	case f.refuse != "" && r.Method == http.MethodPost:
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, f.refuse)
	case strings.HasSuffix(r.URL.RawQuery, "dry_run=true"):
		_, _ = io.WriteString(w, f.plan)
	case r.Method == http.MethodPost && r.URL.Path == "/api/config/clusters":
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"cluster_id":1,"cluster_name":"lab","deployment_ids":[7],"message":"the cluster lab of 1 nodes was accepted"}`)
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/cleanup"):
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"cluster_id":1,"cluster_name":"lab","message":"the cluster lab is being cleaned up: 1 nodes"}`)
	case r.URL.Path == "/api/config/clusters":
		if r.URL.Query().Get("after") == "" {
			_, _ = io.WriteString(w, `{"clusters":[`+f.at[0]+`],"next_cursor":"5"}`)
			return
		}
		_, _ = io.WriteString(w, `{"clusters":[`+f.at[len(f.at)-1]+`],"next_cursor":null}`)
	case strings.HasPrefix(r.URL.Path, "/api/config/clusters/nosuch"):
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":"there is no cluster","code":"not_found"}`)
	default:
		_, _ = io.WriteString(w, f.at[0])
		if len(f.at) > 1 {
			f.at = f.at[1:]
		}
	}
}

// clusterAt is a cluster of two members' lines in a state.
func clusterAt(status, member, more string) string {
	return fmt.Sprintf(`{"id":1,"name":"lab","cluster_type":"multi_node","status":%q,"redundancy_factor":2,"cluster_ip":"10.0.0.9","barrier":{"ready":1,"total":2},"created_at":"2026-11-22T10:00:00Z","requested_by":"ci","message":"1 of 2 nodes are ready",
	"members":[{"position":1,"state":"member","node_id":7,"node_name":"hv01","cvm_ip":"10.0.0.1","deployment_id":1,"current_phase":"cluster_formation","phase_status":"waiting","progress_percent":84,"ready":true,"waits_for":"1 of 2 ready","choices":[]},
	{"position":2,"node_id":8,"node_name":"hv02","deployment_id":2,"current_phase":"installation","phase_status":"in_progress","progress_percent":40,"choices":[],%s}]%s}`, status, member, more)
}

func serveClusters(t *testing.T, f *fakeClusters) serverFlags {
	t.Helper()
	web := httptest.NewServer(f)
	t.Cleanup(web.Close)
	return serverFlags{Server: web.URL, Token: "slw_x"}
}

func exitOf(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return exitOK
	}
	var e exit
	require.ErrorAs(t, err, &e)
	return e.code
}

func TestClusterIsOrderedByFlagsOrFile(t *testing.T) {
	f := &fakeClusters{}
	server := serveClusters(t, f)
	var out bytes.Buffer
	deploy := func(c clusterFlags, stdin string) error {
		c.serverFlags = server
		out.Reset()
		f.bodies = nil
		return (&clusterDeployCmd{clusterFlags: c}).run(t.Context(), console{in: strings.NewReader(stdin), out: &out})
	}
	require.NoError(t, deploy(clusterFlags{Name: "lab", Node: []string{"hv01", "node_7"}, Join: true, Address: "10.0.0.9", NTPServers: []string{"ntp.example"}}, ""))
	require.Equal(t, "clu_1: the cluster lab of 1 nodes was accepted\n", out.String())
	require.JSONEq(t, `{"cluster_config":{"cluster_name":"lab","cluster_operation":"join_existing","cluster_ip":"10.0.0.9","ntp_servers":["ntp.example"],"nodes":["hv01","node_7"]}}`, f.bodies[0])
	require.NoError(t, deploy(clusterFlags{Name: "lab", Node: []string{"hv01"}, Profile: "bx2d-metal-96x384", Zone: "us-south-1"}, ""))
	require.JSONEq(t, `{"cluster_config":{"cluster_name":"lab","nodes":[{"node_config":{"node_name":"hv01","server_profile":"bx2d-metal-96x384","provider":"ibm_vpc","zone":"us-south-1"},"network_config":{}}]}}`, f.bodies[0])

	require.NoError(t, deploy(clusterFlags{Name: "lab", Node: []string{"hv01"}, Profile: "p", Image: "i", Keys: []string{"k"}, SecurityGroups: []string{"g", "h"}}, ""))
	require.JSONEq(t, `{"cluster_config":{"cluster_name":"lab","nodes":[{"node_config":{"node_name":"hv01","server_profile":"p","provider":"ibm_vpc","image":"i","keys":["k"]},"network_config":{"security_groups":["g","h"]}}]}}`, f.bodies[0])
	// Machines of a rack, alone or with deployed nodes.
	require.NoError(t, deploy(clusterFlags{Name: "lab", Node: []string{"hv01"}, RackNode: []string{"r1,52-54-00-12-34-56,10.0.8.21,10.0.8.31", "r2, 7CX1Y23, 10.0.8.22, 10.0.8.32, 10.0.8.42"}, Netmask: "24", Gateway: "10.0.8.1", Installer: "x"}, ""))
	require.JSONEq(t, `{"cluster_config":{"cluster_name":"lab","nodes":["hv01",
		{"node_config":{"node_name":"r1","server_profile":"","provider":"rack","mac":"52-54-00-12-34-56","installer":"x"},"network_config":{"management_ip":"10.0.8.21","cvm_ip":"10.0.8.31","netmask":"24","gateway":"10.0.8.1"}},
		{"node_config":{"node_name":"r2","server_profile":"","provider":"rack","serial":"7CX1Y23","installer":"x"},"network_config":{"management_ip":"10.0.8.22","cvm_ip":"10.0.8.32","ahv_ip":"10.0.8.42","netmask":"24","gateway":"10.0.8.1"}}]}}`, f.bodies[0])

	// A file may have the whole request, or what stands in cluster_config.
	for _, text := range []string{`{"cluster_config":{"cluster_name":"lab","nodes":["hv01"]}}`, `{"cluster_name":"lab","nodes":["hv01"]}`} {
		require.NoError(t, deploy(clusterFlags{File: "-"}, text))
		require.JSONEq(t, `{"cluster_config":{"cluster_name":"lab","nodes":["hv01"]}}`, f.bodies[0])
	}
	require.NoError(t, deploy(clusterFlags{File: written(t, `{"cluster_name":"lab","nodes":[1]}`), jsonFlag: jsonFlag{JSON: true}}, ""))
	require.JSONEq(t, `{"cluster_id":1,"cluster_name":"lab","deployment_ids":[7],"message":"the cluster lab of 1 nodes was accepted"}`, out.String())

	for name, c := range map[string]clusterFlags{
		"no name": {Node: []string{"a"}}, "no nodes": {Name: "lab"}, "both": {Name: "lab", File: "-"}, "file and flag": {File: "-", SkipDiscovery: true},
		"zone alone": {Name: "lab", Node: []string{"a"}, Zone: "z"}, "key alone": {Name: "lab", Node: []string{"a"}, Keys: []string{"k"}},
		"half a machine": {Name: "lab", RackNode: []string{"r1,7CX,10.0.8.21"}}, "an empty part": {Name: "lab", RackNode: []string{"r1,,10.0.8.21,10.0.8.31"}},
		"a netmask of nobody": {Name: "lab", Node: []string{"a"}, Netmask: "24"}, "file and machine": {File: "-", RackNode: []string{"r1,7CX,10.0.8.21,10.0.8.31"}},
	} {
		require.Equal(t, exitUsage, exitOf(t, deploy(c, "{}")), name)
		require.Empty(t, f.bodies, name)
	}
	require.Error(t, deploy(clusterFlags{File: "-"}, "x"))
	f.refuse = `{"error":"2 field(s) are not acceptable","code":"invalid","fields":[{"field":"cluster_config.nodes","code":"out_of_range","message":"must be 1, 3 or 4"}]}`
	require.ErrorContains(t, deploy(clusterFlags{Name: "lab", Node: []string{"hv01"}}, ""), "cluster_config.nodes must be 1, 3 or 4")
}

func TestClusterPlanIsShown(t *testing.T) {
	f := &fakeClusters{plan: `{"ok":false,"checks":[{"key":"cluster","label":"Cluster","severity":"error","passed":true,"message":"a cluster of 3"}],
		"nodes":[{"node_name":"hv01","checks":[{"label":"Quota","severity":"error","passed":false,"message":"25 of 25","hint":"clean one up"}]}],"command":"cluster '-s' 'a' 'create'","message":"would fail"}`}
	var out bytes.Buffer
	c := clusterPlanCmd{clusterFlags{serverFlags: serveClusters(t, f), Name: "lab", Node: []string{"hv01"}}}
	require.Equal(t, exitFailed, exitOf(t, c.run(t.Context(), console{out: &out})))
	require.Equal(t, strings.Join([]string{
		"the cluster", "  ✓ Cluster  a cluster of 3", "hv01", "  ✗ Quota  25 of 25", "           -> clean one up",
		"The first controller VM would be told:", "  cluster '-s' 'a' 'create'", "It would be refused, or fail. Nothing was done.", "",
	}, "\n"), out.String())
	require.Equal(t, []string{"POST /api/config/clusters?dry_run=true"}, f.asked)
}

func TestClustersAreListedAndShown(t *testing.T) {
	formation := `,"formation":{"kind":"create","status":"failed","leader":"hv01","message":"it failed","hint":"read the output","command":"cluster create","evidence":["line\u001b[2J"]},
		"health":{"ok":false,"at":"2026-11-22T10:00:00Z","checks":[{"name":"cvm_answers","address":"10.0.0.1","node":"hv01","ok":false,"message":"no answer","hint":"look"}]}`
	f := &fakeClusters{at: []string{clusterAt("blocked", `"state":"member","choices":["retry","replace"],"waits_for":"failed at installation: no disk"`, formation)}}
	server := serveClusters(t, f)
	var out bytes.Buffer
	require.NoError(t, (&clusterListCmd{serverFlags: server, Status: []string{"blocked"}, Text: "la"}).run(t.Context(), &out))
	require.Equal(t, []string{"GET /api/config/clusters?limit=100&status=blocked&text=la", "GET /api/config/clusters?after=5&limit=100&status=blocked&text=la"}, f.asked)
	require.Equal(t, 3, strings.Count(out.String(), "\n"), "two pages of one: %s", out.String())
	require.Regexp(t, `clu_1 +lab +blocked +1/2 +10\.0\.0\.9 +ci`, out.String())
	out.Reset()
	require.NoError(t, (&clusterShowCmd{clusterTarget{serverFlags: server, Cluster: "lab"}}).run(t.Context(), &out))
	for _, want := range []string{`hv02 +member +installation in_progress +40% +- +failed at installation: no disk +retry, replace`, `create by hv01: failed: it failed`, `\$ cluster create`, `\| line \[2J`, `-> read the output`, `✗ cvm_answers +hv01 10.0.0.1 no answer`} {
		require.Regexp(t, want, out.String())
	}
	require.NotContains(t, out.String(), "\x1b")
	out.Reset()
	require.NoError(t, (&clusterShowCmd{clusterTarget{serverFlags: server, Cluster: "lab", jsonFlag: jsonFlag{true}}}).run(t.Context(), &out))
	require.True(t, json.Valid(out.Bytes()))
	require.ErrorIs(t, (&clusterShowCmd{clusterTarget{serverFlags: server, Cluster: "nosuch"}}).run(t.Context(), &out), client.ErrNotFound)
	out.Reset()
	require.Equal(t, exitFailed, exitOf(t, (&clusterHealthCmd{clusterTarget{serverFlags: server, Cluster: "lab"}}).run(t.Context(), &out)), "it is not well")
	require.Contains(t, out.String(), "not well")
}

func TestClusterVerbs(t *testing.T) {
	f := &fakeClusters{at: []string{clusterAt("installing", `"state":"late","note":"the cluster goes on without it"`, "")}}
	server := serveClusters(t, f)
	target := clusterTarget{serverFlags: server, Cluster: "lab"}
	var out bytes.Buffer
	require.NoError(t, (&clusterReplaceCmd{clusterTarget: target, Node: "hv02", By: "hv09"}).run(t.Context(), console{out: &out}))
	require.Contains(t, out.String(), "the cluster goes on without it")
	require.NoError(t, (&clusterReplaceCmd{clusterTarget: target, Node: "hv02", By: "hv09", Profile: "p"}).run(t.Context(), console{out: &out}))
	require.NoError(t, (&clusterReplaceCmd{clusterTarget: target, Node: "hv02", File: "-"}).run(t.Context(), console{in: strings.NewReader(`{"node_config":{}}`), out: &out}))
	require.JSONEq(t, `{"node":"hv02","by":"hv09"}`, f.bodies[0])
	require.JSONEq(t, `{"node":"hv02","by":{"node_config":{"node_name":"hv09","server_profile":"p","provider":"ibm_vpc"},"network_config":{}}}`, f.bodies[1])
	require.JSONEq(t, `{"node":"hv02","by":{"node_config":{}}}`, f.bodies[2])
	for _, c := range []clusterReplaceCmd{{}, {By: "a", File: "-"}, {By: "a", Zone: "z"}, {File: "-", Profile: "p"}} {
		c.clusterTarget = target
		require.Equal(t, exitUsage, exitOf(t, c.run(t.Context(), console{in: strings.NewReader("{}"), out: &out})))
	}
	require.NoError(t, (&clusterWithoutCmd{clusterTarget: target, Node: "hv02", Reason: "slow"}).Run(t.Context()))
	require.NoError(t, (&clusterCancelCmd{clusterTarget: target, Now: true}).Run(t.Context()))
	require.Equal(t, []string{"POST /api/config/clusters/lab/go-on-without", "POST /api/config/clusters/lab/cancel"}, f.asked[len(f.asked)-2:])
	require.JSONEq(t, `{"node":"hv02","reason":"slow"}`, f.bodies[len(f.bodies)-2])
	require.JSONEq(t, `{"mode":"immediate","reason":""}`, f.bodies[len(f.bodies)-1])
}

func TestClusterCleanupIsConfirmed(t *testing.T) {
	f := &fakeClusters{at: []string{clusterAt("deployed", `"state":"member"`, "")},
		plan: `{"cluster_id":1,"cluster_name":"lab","message":"would remove 1 things","nodes":[{"node_name":"hv01","plan":[{"kind":"server","name":"slw-hv01","action":"delete","status":"waiting"}]}]}`}
	target := clusterTarget{serverFlags: serveClusters(t, f), Cluster: "lab"}
	did := func() bool {
		for _, a := range f.asked {
			if strings.HasPrefix(a, "POST") && !strings.Contains(a, "dry_run=true") {
				return true
			}
		}
		return false
	}
	var out bytes.Buffer
	require.NoError(t, (&clusterCleanupCmd{clusterTarget: target, DryRun: true}).run(t.Context(), console{out: &out}))
	require.Regexp(t, `server +slw-hv01 +- +delete`, out.String())
	require.Equal(t, exitUsage, exitOf(t, (&clusterCleanupCmd{clusterTarget: target}).run(t.Context(), console{out: &out})))
	require.Equal(t, exitFailed, exitOf(t, (&clusterCleanupCmd{clusterTarget: target}).run(t.Context(), console{in: strings.NewReader("yes\n"), out: &out, person: true})))
	require.Contains(t, out.String(), "type the cluster's name: ")
	require.False(t, did(), "the server is never told to delete: %v", f.asked)
	require.NoError(t, (&clusterCleanupCmd{clusterTarget: target}).run(t.Context(), console{in: strings.NewReader("lab\n"), out: &out, person: true}))
	require.True(t, did())
	require.JSONEq(t, `{"confirm":"lab"}`, f.bodies[len(f.bodies)-1])
}

func TestClusterIsWatched(t *testing.T) {
	event := `{"phase":"installation","status":"in_progress","state":"running","node_id":8,"message":"writing","timestamp":"2026-11-22T10:00:00Z"}`
	watch := func(until watchFor, at ...string) (string, string, error) {
		f := &fakeClusters{at: at, events: "id: e-1\nevent: phase\ndata: " + event + "\n\n"}
		api, err := serveClusters(t, f).client()
		require.NoError(t, err)
		var shown, out, complaints bytes.Buffer
		w := clusterWatch{api: api, id: "clu_1", until: until, every: time.Millisecond}
		err = w.run(t.Context(), &out, &lines{out: &shown, complaints: &complaints})
		return shown.String(), out.String(), err
	}
	running := `,"formation":{"kind":"create","status":"running","leader":"hv01","message":"services start"}`
	shown, out, err := watch(watchDeploy, clusterAt("installing", `"state":"member"`, ""), clusterAt("installing", `"state":"member"`, ""),
		clusterAt("installing", `"state":"late","note":"by ops"`, ""), clusterAt("forming", `"state":"late","note":"by ops"`, running), clusterAt("deployed", `"state":"late","note":"by ops"`, ""))
	require.NoError(t, err)
	require.Equal(t, []string{"lab: installing: 1 of 2 nodes are ready", "hv02 is late: by ops", "lab: forming: services start", "lab: deployed: 1 of 2 nodes are ready"}, notes(shown), "each is told once")
	require.Contains(t, out, "lab (clu_1): deployed")

	failed := `"state":"member","choices":["retry","replace"],"waits_for":"failed at installation: no disk","failure":{"phase":"installation"}`
	shown, _, err = watch(watchDeploy, clusterAt("installing", `"state":"member"`, ""), clusterAt("blocked", failed, ""))
	require.Equal(t, exitFailed, exitOf(t, err))
	require.ErrorContains(t, err, "hv02: retry, replace")
	require.Contains(t, shown, "hv02 is member: failed at installation: no disk")
	_, _, err = watch(watchDeploy, clusterAt("canceled", `"state":"member"`, ""))
	require.Equal(t, exitCanceled, exitOf(t, err))
	_, _, err = watch(watchDeploy, clusterAt("cleaning_up", `"state":"released"`, ""), clusterAt("cleaned_up", `"state":"released"`, ""))
	require.Equal(t, exitCanceled, exitOf(t, err), "it was to be deployed")
	_, out, err = watch(watchCleaning, clusterAt("cleaning_up", `"state":"released"`, ""), clusterAt("cleaned_up", `"state":"released"`, running))
	require.NoError(t, err)
	require.Regexp(t, `(?s)hv01\n.*slw-1 .*not found.*hv02\n.*slw-2 .*not found`, out, "each thing with its proof")
	require.NotContains(t, out, "services start", "what it was once")
}

// notes are the lines that are no events.
func notes(shown string) (out []string) {
	for line := range strings.Lines(shown) {
		if !strings.Contains(line, "in_progress") && !strings.Contains(line, "connection lost") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func TestClusterWatchShowsLanes(t *testing.T) {
	event := `{"phase":"installation","status":"in_progress","state":"running","node_id":8,"message":"writing","timestamp":"2026-11-22T10:00:00Z"}`
	told := make(chan struct{})
	var once sync.Once
	f := &fakeClusters{at: []string{clusterAt("installing", `"state":"member"`, "")}, events: "id: e-1\nevent: phase\ndata: " + event + "\n\n"}
	api, err := serveClusters(t, f).client()
	require.NoError(t, err)
	show := &laneSpy{lines: &lines{out: io.Discard, complaints: io.Discard}, seen: func(name string, e client.Event) {
		require.Equal(t, "hv02 writing", name+" "+e.Message)
		once.Do(func() { close(told) })
	}}
	done := make(chan error, 1)
	go func() {
		w := clusterWatch{api: api, id: "clu_1", every: time.Millisecond}
		done <- w.run(t.Context(), io.Discard, show)
	}()
	select {
	case <-told:
	case <-time.After(2 * time.Minute):
		t.Fatal("the lane was not told")
	}
	f.mu.Lock()
	f.at = []string{clusterAt("deployed", `"state":"member"`, "")}
	f.mu.Unlock()
	require.NoError(t, <-done)
}

// laneSpy is told of events.
type laneSpy struct {
	*lines
	seen func(name string, e client.Event)
}

func (l *laneSpy) event(name string, e client.Event) { l.seen(name, e) }
