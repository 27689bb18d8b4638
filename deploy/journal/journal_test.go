package journal_test

import (
	"database/sql"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/journal"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// clock moves by a second at every look.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Second)
	return c.now
}

// node makes a node with a deployment that runs.
func node(t *testing.T, s *store.Store, name string) int64 {
	t.Helper()
	var id int64
	err := s.InTx(t.Context(), func(tx *sql.Tx) error {
		n, err := s.EntTx(tx).Node.Create().SetName(name).SetProvider(deploy.ProviderIBMVPC).Save(t.Context())
		if err == nil {
			id = n.ID
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, id, 1, phase.Running)
	return id
}

// run makes the node's n-th deployment, and its current one.
func run(t *testing.T, s *store.Store, nodeID int64, n int, state string) int64 {
	t.Helper()
	var id int64
	err := s.InTx(t.Context(), func(tx *sql.Tx) error {
		d, err := s.EntTx(tx).Deployment.Create().SetNodeID(nodeID).SetNumber(n).SetState(state).SetPhase(phase.ServerRequested).SetPhaseStatus("in_progress").
			SetProvider(deploy.ProviderIBMVPC).SetConfig(json.RawMessage(`{}`)).SetRequestedByKind("user").SetRequestedBy("test").Save(t.Context())
		if err != nil {
			return err
		}
		id = d.ID
		return s.EntTx(tx).Node.UpdateOneID(nodeID).SetCurrentDeploymentID(d.ID).Exec(t.Context())
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// current is the node's current deployment.
func current(t *testing.T, s *store.Store, nodeID int64) int64 {
	t.Helper()
	var id int64
	if err := s.Read.QueryRow(`SELECT current_deployment_id FROM nodes WHERE id = $1`, nodeID).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func end(t *testing.T, s *store.Store, deploymentID int64, state string) {
	t.Helper()
	if _, err := s.Write.Exec(`UPDATE deployments SET state = $2 WHERE id = $1`, deploymentID, state); err != nil {
		t.Fatal(err)
	}
}

func intent(t *testing.T, s *store.Store, nodeID int64, kind, name string) deploy.Intent {
	t.Helper()
	return deploy.Intent{NodeID: nodeID, DeploymentID: current(t, s, nodeID), Provider: deploy.ProviderIBMVPC, Kind: kind, Role: "management", Name: name, Generation: 2, Details: json.RawMessage(`{"subnet":"a"}`)}
}

func open(s *store.Store) *journal.Journal {
	return journal.New(s, (&clock{now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}).Now)
}

// normal makes details comparable: PostgreSQL stores JSON in a form of its own.
func normal(r deploy.Resource) deploy.Resource {
	r.Details = json.RawMessage(strings.ReplaceAll(string(r.Details), " ", ""))
	return r
}

func TestIntendGivesTheSameRow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		j, n := open(s), node(t, s, "a")
		first, err := j.Intend(t.Context(), intent(t, s, n, "server", "slw-a-d7-g2"))
		if err != nil {
			t.Fatal(err)
		}
		d := current(t, s, n)
		want := deploy.Resource{ID: first.ID, NodeID: n, CreatedBy: d, HeldBy: d, Provider: deploy.ProviderIBMVPC, Kind: "server", Role: "management",
			Name: "slw-a-d7-g2", Generation: 2, State: deploy.ResourceIntent, Details: json.RawMessage(`{"subnet":"a"}`),
			CreatedAt: first.CreatedAt, UpdatedAt: first.CreatedAt}
		if diff := cmp.Diff(want, normal(first)); diff != "" || first.ID == 0 {
			t.Fatal(diff)
		}
		if err := j.Settle(t.Context(), first.ID, deploy.ResourcePresent, "0717-1", json.RawMessage(`{"mac":"m"}`), ""); err != nil {
			t.Fatal(err)
		}
		again := intent(t, s, n, "server", "slw-a-d7-g2")
		end(t, s, d, phase.StateFail)
		again.DeploymentID, again.Details, again.Generation = run(t, s, n, 2, phase.Running), nil, 9
		second, err := j.Intend(t.Context(), again)
		if err != nil {
			t.Fatal(err)
		}
		want.State, want.CloudID, want.Details = deploy.ResourcePresent, "0717-1", json.RawMessage(`{"mac":"m"}`)
		want.UpdatedAt = second.UpdatedAt
		if diff := cmp.Diff(want, normal(second)); diff != "" {
			t.Fatalf("a second intent changed the row:\n%s", diff)
		}
		other, err := j.Intend(t.Context(), intent(t, s, n, "vni", "slw-a-d7-g2"))
		if err != nil || other.ID == first.ID {
			t.Fatalf("another kind is another resource: %+v %v", other, err)
		}
	})
}

func TestIntendRaces(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		j, n := open(s), node(t, s, "a")
		ids := make([]int64, 12)
		var all sync.WaitGroup
		for i := range ids {
			all.Go(func() {
				r, err := j.Intend(t.Context(), intent(t, s, n, "server", "one"))
				if err != nil {
					t.Error(err)
				}
				ids[i] = r.ID
			})
		}
		all.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("racers got different rows: %v", ids)
			}
		}
		if held, err := j.Held(t.Context(), n); err != nil || len(held) != 1 {
			t.Fatalf("%d rows, %v; want one", len(held), err)
		}
	})
}

func TestIntendRefuses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		j, a, b := open(s), node(t, s, "a"), node(t, s, "b")
		if _, err := j.Intend(t.Context(), intent(t, s, a, "server", "x")); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Intend(t.Context(), intent(t, s, b, "server", "x")); !deploy.HasCode(err, deploy.CodeConflict) {
			t.Errorf("another node's name: %v", err)
		}
		bad := intent(t, s, a, "server", "y")
		bad.Details = json.RawMessage(`{`)
		if _, err := j.Intend(t.Context(), bad); !deploy.HasCode(err, deploy.CodeInvalid) {
			t.Errorf("broken details: %v", err)
		}
		for _, change := range []func(*deploy.Intent){
			func(i *deploy.Intent) { i.NodeID = 0 }, func(i *deploy.Intent) { i.DeploymentID = 0 },
			func(i *deploy.Intent) { i.Provider = "" }, func(i *deploy.Intent) { i.Kind = "" }, func(i *deploy.Intent) { i.Name = "" },
		} {
			i := intent(t, s, a, "server", "z")
			change(&i)
			if _, err := j.Intend(t.Context(), i); !deploy.HasCode(err, deploy.CodeInvalid) {
				t.Errorf("%+v: %v", i, err)
			}
		}
		stranger := intent(t, s, a, "server", "orphan")
		stranger.NodeID = 999
		if _, err := j.Intend(t.Context(), stranger); !deploy.HasCode(err, deploy.CodeWrongState) {
			t.Errorf("a row for a node that does not exist: %v", err)
		}
	})
}

func TestSettle(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		j, n := open(s), node(t, s, "a")
		r, err := j.Intend(t.Context(), intent(t, s, n, "server", "x"))
		if err != nil {
			t.Fatal(err)
		}
		settle := func(state, cloudID, details, problem string) error {
			var d json.RawMessage
			if details != "" {
				d = json.RawMessage(details)
			}
			return j.Settle(t.Context(), r.ID, state, cloudID, d, problem)
		}
		row := func() (state, cloudID, problem string) {
			t.Helper()
			var id sql.NullString
			if err := s.Read.QueryRow(`SELECT state, cloud_id, last_error FROM resources WHERE id = $1`, r.ID).Scan(&state, &id, &problem); err != nil {
				t.Fatal(err)
			}
			return state, id.String, problem
		}
		steps := []struct {
			state, cloudID, details, problem string
			wantID, wantDetails, wantProblem string
			refused                          deploy.Code
		}{
			{state: deploy.ResourceDoubtful, problem: "503 \x00 no answer", wantDetails: `{"subnet":"a"}`, wantProblem: "503  no answer"},
			{state: deploy.ResourcePresent, cloudID: "0717-1", details: `{"mac":"m"}`, wantID: "0717-1", wantDetails: `{"mac":"m"}`},
			{state: deploy.ResourceReleasing, wantID: "0717-1", wantDetails: `{"mac":"m"}`},
			{state: "lost", refused: deploy.CodeInvalid},
			{state: deploy.ResourcePresent, details: `{`, refused: deploy.CodeInvalid},
			{state: deploy.ResourceGone, problem: strings.Repeat("é", 2000), wantID: "0717-1", wantProblem: strings.Repeat("é", 1000)},
			{state: deploy.ResourceGone, wantID: "0717-1"},
			{state: deploy.ResourceDoubtful, refused: deploy.CodeWrongState},
			{state: deploy.ResourceIntent, refused: deploy.CodeWrongState},
			{state: deploy.ResourceReleasing, refused: deploy.CodeWrongState},
			{state: deploy.ResourcePresent, cloudID: "0717-1", wantID: "0717-1", wantDetails: `{"mac":"m"}`},
		}
		for i, step := range steps {
			before, _, _ := row()
			err := settle(step.state, step.cloudID, step.details, step.problem)
			state, cloudID, problem := row()
			if step.refused != "" {
				if !deploy.HasCode(err, step.refused) || state != before {
					t.Errorf("step %d: %v, state %s", i, err, state)
				}
				continue
			}
			if err != nil || state != step.state || cloudID != step.wantID || problem != step.wantProblem {
				t.Errorf("step %d: %v; %s %q %q", i, err, state, cloudID, problem)
			}
			held, err := j.Held(t.Context(), n)
			if gone := state == deploy.ResourceGone; err != nil || len(held) == 1 == gone || !gone && string(normal(held[0]).Details) != step.wantDetails {
				t.Errorf("step %d: held %+v, %v", i, held, err)
			}
		}
		if err := j.Settle(t.Context(), 12345, deploy.ResourcePresent, "x", nil, ""); !deploy.HasCode(err, deploy.CodeNotFound) {
			t.Errorf("an unknown row: %v", err)
		}
		var created, updated time.Time
		if err := s.Read.QueryRow(`SELECT created_at, updated_at FROM resources WHERE id = $1`, r.ID).Scan(store.Time(&created), store.Time(&updated)); err != nil || !updated.After(created) {
			t.Errorf("created %v, updated %v, %v", created, updated, err)
		}
	})
}

func TestHeldIsOneNodesOldestFirst(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		j, a, b := open(s), node(t, s, "a"), node(t, s, "b")
		for _, i := range []deploy.Intent{intent(t, s, a, "reserved_ip", "1"), intent(t, s, b, "reserved_ip", "2"), intent(t, s, a, "vni", "3"), intent(t, s, a, "server", "4")} {
			if _, err := j.Intend(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
		held, err := j.Held(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		var names string
		for _, r := range held {
			names += r.Name
		}
		if names != "134" {
			t.Fatalf("held %s", names)
		}
	})
}

// What was taken back has no id any more; what nobody says anything of keeps it.
func TestAnIDIsTakenAway(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		j, n := open(s), node(t, s, "a")
		r, err := j.Intend(t.Context(), intent(t, s, n, "node_file", "x"))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct{ said, want string }{{"node_01.json", "node_01.json"}, {"", "node_01.json"}, {deploy.NoCloudID, ""}, {"", ""}, {"node_02.json", "node_02.json"}} {
			if err := j.Settle(t.Context(), r.ID, deploy.ResourcePresent, step.said, nil, ""); err != nil {
				t.Fatal(err)
			}
			held, err := j.Held(t.Context(), n)
			if err != nil || len(held) != 1 || held[0].CloudID != step.want {
				t.Fatalf("after %q: %+v, %v", step.said, held, err)
			}
		}
	})
}
