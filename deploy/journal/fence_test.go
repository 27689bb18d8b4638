package journal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func TestNothingIsAskedForAnEndedDeployment(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		j, n := open(s), node(t, s, "a")
		d := current(t, s, n)
		i := intent(t, s, n, "server", "x")
		r, err := j.Intend(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range phase.States() {
			end(t, s, d, state)
			want := deploy.Code("")
			if state != phase.Running && state != phase.Canceling {
				want = deploy.CodeWrongState
			}
			check := func(what string, err error, want deploy.Code) {
				t.Helper()
				if want == "" && err != nil || want != "" && !deploy.HasCode(err, want) {
					t.Errorf("%s while %s: %v, want %q", what, state, err, want)
				}
			}
			other := i
			other.Name = "for " + state
			_, err := j.Intend(t.Context(), other)
			check("another intent", err, want)
			_, err = j.Intend(t.Context(), i)
			check("the same intent", err, want)
			check("doubtful", j.Settle(t.Context(), r.ID, deploy.ResourceDoubtful, "", nil, ""), want)
			// What is learnt is always recorded.
			check("present", j.Settle(t.Context(), r.ID, deploy.ResourcePresent, "0717-1", nil, ""), "")
			check("amend", j.Amend(t.Context(), r.ID, set(`{"step":"stop"}`)), want)
			check("releasing", j.Settle(t.Context(), r.ID, deploy.ResourceReleasing, "", nil, ""), "")
			check("amend while releasing", j.Amend(t.Context(), r.ID, set(`{}`)), deploy.CodeWrongState)
			check("intent", j.Settle(t.Context(), r.ID, deploy.ResourceIntent, "", nil, ""), "")
		}
	})
}

// set makes the details something else.
func set(details string) func(json.RawMessage) (json.RawMessage, error) {
	return func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(details), nil }
}

func TestAmendLosesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		j, n := open(s), node(t, s, "a")
		r, err := j.Intend(t.Context(), intent(t, s, n, "server", "x"))
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Settle(t.Context(), r.ID, deploy.ResourcePresent, "0717-1", json.RawMessage(`{"n":0}`), ""); err != nil {
			t.Fatal(err)
		}
		type counter struct{ N int }
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				err := j.Amend(t.Context(), r.ID, func(details json.RawMessage) (json.RawMessage, error) {
					var c counter
					if err := json.Unmarshal(details, &c); err != nil {
						return nil, err
					}
					c.N++
					return json.Marshal(c)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		refusal := errors.New("no")
		if err := j.Amend(t.Context(), r.ID, func(json.RawMessage) (json.RawMessage, error) { return nil, refusal }); !errors.Is(err, refusal) {
			t.Error(err)
		}
		if err := j.Amend(t.Context(), r.ID, set(`{`)); !deploy.HasCode(err, deploy.CodeInvalid) {
			t.Error(err)
		}
		held, err := j.Held(t.Context(), n)
		if err != nil || len(held) != 1 || string(normal(held[0]).Details) != `{"N":10}` {
			t.Fatalf("%+v, %v", held, err)
		}
	})
}

// An adopted or reinitialized node's resources were made by another
// deployment than the one that holds them: the holder is asked.
func TestTheHolderIsAsked(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		j, n := open(s), node(t, s, "a")
		first := current(t, s, n)
		old := intent(t, s, n, "server", "x")
		r, err := j.Intend(t.Context(), old)
		if err != nil {
			t.Fatal(err)
		}
		end(t, s, first, phase.Succeeded)
		second := run(t, s, n, 2, phase.Running)
		if err := j.Settle(t.Context(), r.ID, deploy.ResourceDoubtful, "", nil, ""); !deploy.HasCode(err, deploy.CodeWrongState) {
			t.Errorf("held by the old one: %v", err)
		}
		if _, err := s.Write.Exec(`UPDATE resources SET held_by = $2 WHERE id = $1`, r.ID, second); err != nil {
			t.Fatal(err)
		}
		if err := j.Settle(t.Context(), r.ID, deploy.ResourceDoubtful, "", nil, ""); err != nil {
			t.Errorf("held by the new one: %v", err)
		}
		if _, err := j.Intend(t.Context(), old); !deploy.HasCode(err, deploy.CodeWrongState) {
			t.Errorf("for the old one: %v", err)
		}
		// Also a deployment that runs is refused if the node is not its own any more.
		end(t, s, second, phase.Succeeded)
		third := run(t, s, n, 3, phase.Running)
		if _, err := s.Write.Exec(`UPDATE nodes SET current_deployment_id = $2 WHERE id = $1`, n, second); err != nil {
			t.Fatal(err)
		}
		stray := old
		stray.DeploymentID = third
		if _, err := j.Intend(t.Context(), stray); !deploy.HasCode(err, deploy.CodeWrongState) {
			t.Errorf("not the current one: %v", err)
		}
	})
}

// A cancel that is being committed is waited for, and heeded.
func TestFenceWaitsForACancel(t *testing.T) {
	s := storetest.Postgres(t)
	j, n := open(s), node(t, s, "a")
	i := intent(t, s, n, "server", "x")
	cancel, err := s.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cancel.Rollback() }()
	if _, err := cancel.Exec(`UPDATE deployments SET state = $2 WHERE id = $1`, i.DeploymentID, phase.StateStop); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := j.Intend(t.Context(), i)
		done <- err
	}()
	waitForLock(t, s, done)
	if err := cancel.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !deploy.HasCode(err, deploy.CodeWrongState) {
		t.Fatalf("%v", err)
	}
	if all, err := j.All(t.Context(), deploy.ProviderIBMVPC); err != nil || len(all) != 0 {
		t.Fatalf("%+v, %v", all, err)
	}
}

// waitForLock returns when a statement waits for a row, and fails if the call
// ends before.
func waitForLock(t *testing.T, s *store.Store, done <-chan error) {
	t.Helper()
	for {
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		case <-t.Context().Done():
			t.Fatal("nothing waits")
		default:
		}
		var waiting int
		err := s.Read.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting > 0 {
			return
		}
	}
}

func TestByNodeAndAll(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		j, a, b := open(s), node(t, s, "a"), node(t, s, "b")
		for _, i := range []deploy.Intent{intent(t, s, a, "vni", "1"), intent(t, s, b, "vni", "2"), intent(t, s, a, "server", "3")} {
			r, err := j.Intend(t.Context(), i)
			if err != nil {
				t.Fatal(err)
			}
			if err := j.Settle(t.Context(), r.ID, deploy.ResourceGone, "", nil, "why "+i.Name); err != nil {
				t.Fatal(err)
			}
		}
		other := intent(t, s, b, "vni", "4")
		other.Provider = "elsewhere"
		if _, err := j.Intend(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		say := func(all []deploy.Resource, err error) (text string) {
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range all {
				text += fmt.Sprintf("%s:%s;", r.Name, r.LastError)
				if r.CreatedAt.IsZero() || r.UpdatedAt.Before(r.CreatedAt) || r.CreatedAt.Location().String() != "UTC" {
					t.Errorf("%s: times %v, %v", r.Name, r.CreatedAt, r.UpdatedAt)
				}
			}
			return text
		}
		if got := say(j.ByNode(t.Context(), a)); got != "1:why 1;3:why 3;" {
			t.Error(got)
		}
		if got := say(j.All(t.Context(), deploy.ProviderIBMVPC)); got != "1:why 1;2:why 2;3:why 3;" {
			t.Error(got)
		}
		if got := say(j.Held(t.Context(), a)); got != "" {
			t.Error(got)
		}
		if err := j.Amend(t.Context(), 999, set(`{}`)); !deploy.HasCode(err, deploy.CodeNotFound) {
			t.Error(err)
		}
	})
}
