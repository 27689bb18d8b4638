package lifecycle_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func noting(entered *[]lifecycle.Entered) func(*lifecycle.Options) {
	return func(o *lifecycle.Options) {
		o.OnEnter = func(_ context.Context, _ *sql.Tx, e lifecycle.Entered) error {
			*entered = append(*entered, e)
			return nil
		}
	}
}

// dump is the whole content of what a deployment of a node could change.
func dump(t *testing.T, st *store.Store) string {
	t.Helper()
	var b strings.Builder
	for _, q := range []string{`SELECT id, name, provider, COALESCE(management_ip,''), COALESCE(mac,''), labels, deployment_status, state, version, changed_position FROM nodes ORDER BY id`,
		`SELECT id, node_id, state, phase, version FROM deployments ORDER BY id`, `SELECT position FROM stream_counter`, `SELECT COUNT(*) FROM deployment_history`} {
		rows, err := st.Read.Query(q)
		require.NoError(t, err)
		columns, err := rows.Columns()
		require.NoError(t, err)
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			require.NoError(t, rows.Scan(values...))
			for _, v := range values {
				fmt.Fprintf(&b, "%s|", *v.(*any))
			}
			b.WriteByte('\n')
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
	}
	return b.String()
}

func TestDeploy(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d := h.deploy("n1", func(in *lifecycle.NewDeployment) { in.Labels = map[string]string{"row": "3"} })
		s := sound(t, st, d.DeploymentID)
		require.Equal(t, []any{1, phase.Queued, phase.Pending, "waiting", 1, phase.Pending, phase.Queued, d.DeploymentID},
			[]any{d.Number, s.state, s.phase, s.status, s.sequence, s.nodeStatus, s.nodeState, s.current})
		require.Equal(t, "user", h.last(d).source)

		t.Run("a name in use touches nothing", func(t *testing.T) {
			before := dump(t, st)
			_, err := h.Deploy(t.Context(), lifecycle.NewDeployment{Name: "n1", Spec: rackSpec(77), Labels: map[string]string{"row": "4"}, Actor: tester})
			e := refused(t, err, deploy.CodeNameInUse)
			require.NotEmpty(t, e.Hint)
			require.Equal(t, before, dump(t, st))
		})
		t.Run("an active one is not deployed again", func(t *testing.T) {
			before := dump(t, st)
			_, err := h.Deploy(t.Context(), lifecycle.NewDeployment{NodeID: d.NodeID, Spec: vpcSpec(), Actor: tester})
			refused(t, err, deploy.CodeRunActive)
			require.Equal(t, before, dump(t, st))
		})
		t.Run("nor an ended one that holds something", func(t *testing.T) {
			h.say(as(phase.ByWorkflow, d, phase.Failed, phase.FailedRun))
			before := dump(t, st)
			_, err := h.Deploy(t.Context(), lifecycle.NewDeployment{NodeID: d.NodeID, Spec: vpcSpec(), Actor: tester})
			e := refused(t, err, deploy.CodeWrongState)
			require.NotEmpty(t, e.Hint)
			require.Equal(t, before, dump(t, st))
		})
		t.Run("a cleaned up one is", func(t *testing.T) {
			h.cleanUp(d, "n1")
			again, err := h.Deploy(t.Context(), lifecycle.NewDeployment{NodeID: d.NodeID, Spec: vpcSpec(), Actor: tester})
			require.NoError(t, err)
			require.Equal(t, []any{d.NodeID, 2}, []any{again.NodeID, again.Number})
			old, s := sound(t, st, d.DeploymentID), sound(t, st, again.DeploymentID)
			require.Equal(t, []any{phase.CleanedUp, phase.Queued, phase.Pending, again.DeploymentID}, []any{old.state, s.state, s.nodeStatus, s.current})
			// What is said of the old one no longer shows on the node.
			_, err = h.Report(t.Context(), as(phase.ByWorkflow, d, phase.Pending, phase.Success))
			refused(t, err, deploy.CodeDeploymentEnded)
			require.Equal(t, phase.Pending, h.state(again).nodeStatus)
		})
		t.Run("the same request again", func(t *testing.T) {
			in := lifecycle.NewDeployment{Name: "n2", Spec: vpcSpec(), IdempotencyKey: "key-1", Actor: tester}
			first, err := h.Deploy(t.Context(), in)
			require.NoError(t, err)
			before := dump(t, st)
			again, err := h.Deploy(t.Context(), in)
			require.NoError(t, err)
			require.True(t, again.Existing)
			again.Existing = false
			require.Equal(t, first, again)
			in.Spec.Zone = "us-south-1"
			_, err = h.Deploy(t.Context(), in)
			refused(t, err, deploy.CodeIdempotencyConflict)
			require.Equal(t, before, dump(t, st))
			other := lifecycle.NewDeployment{Name: "n3", Spec: vpcSpec(), IdempotencyKey: "key-1", Actor: deploy.Actor{Kind: deploy.ActorToken, Name: "another"}}
			made, err := h.Deploy(t.Context(), other)
			require.NoError(t, err, "a key is its caller's")
			require.False(t, made.Existing)
		})
		t.Run("every bad field at once", func(t *testing.T) {
			before := dump(t, st)
			_, err := h.Deploy(t.Context(), lifecycle.NewDeployment{Name: "No Good", Spec: deploy.Spec{Provider: "rack", MAC: "x"}, IdempotencyKey: strings.Repeat("k", 201), ClusterName: strings.Repeat("c", 64), Labels: map[string]string{"": "x"}})
			e, ok := deploy.AsError(err)
			require.True(t, ok)
			var fields []string
			for _, f := range e.Fields {
				fields = append(fields, f.Field)
			}
			require.ElementsMatch(t, []string{"name", "spec.mac", "spec.management_ip", "idempotency_key", "cluster_name", "labels"}, fields)
			require.Equal(t, before, dump(t, st))
		})
		onlyOneActive(t, st)
	})
}

func TestTwoAtOnceOfOneName(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		in := lifecycle.NewDeployment{Name: "n1", Spec: vpcSpec(), Actor: tester}
		answers := h.together(func(submit func(func() error)) {
			for range 2 {
				submit(func() error { _, err := h.Deploy(context.Background(), in); return err })
			}
		})
		require.NoError(t, answers[0])
		refused(t, answers[1], deploy.CodeNameInUse)
		var n int
		require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM deployments`).Scan(&n))
		require.Equal(t, 1, n)
	})
}

func TestTwoReplicasDeployOneName(t *testing.T) {
	st := storetest.Postgres(t)
	a, b := open(t, st), open(t, st)
	for i := range 20 {
		name := fmt.Sprintf("n%d", i)
		answers := make(chan error, 2)
		for _, h := range []*house{a, b} {
			go func() {
				_, err := h.Deploy(context.Background(), lifecycle.NewDeployment{Name: name, Spec: vpcSpec(), Actor: tester})
				answers <- err
			}()
		}
		first, second := <-answers, <-answers
		if first != nil {
			first, second = second, first
		}
		require.NoError(t, first)
		refused(t, second, deploy.CodeNameInUse)
	}
}

func TestBatch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		taken := h.deploy("taken")
		one := func(name string) lifecycle.NewDeployment { return lifecycle.NewDeployment{Name: name, Spec: vpcSpec()} }
		stop := 2
		in := lifecycle.NewBatch{Name: "b", MaxParallel: 2, StopOnFailureCount: &stop, IdempotencyKey: "batch-1", Actor: tester,
			Deployments: []lifecycle.NewDeployment{one("a1"), one("taken"), one("Not A Name"), one("a2"), one("a1"), {Name: "r1", Spec: rackSpec(5)}, {Name: "r2", Spec: rackSpec(5)}}}
		got, err := h.DeployBatch(t.Context(), in)
		require.NoError(t, err)
		require.Len(t, got.Items, 7)
		for i, code := range []deploy.Code{"", deploy.CodeNameInUse, deploy.CodeInvalid, "", deploy.CodeNameInUse, "", deploy.CodeAlreadyExists} {
			if code == "" {
				require.NoError(t, got.Items[i].Err, "item %d", i)
				s := sound(t, st, got.Items[i].DeploymentID)
				require.Equal(t, phase.Queued, s.state)
				continue
			}
			refused(t, got.Items[i].Err, code)
			require.Zero(t, got.Items[i].DeploymentID)
		}
		require.Equal(t, 1, h.state(taken).sequence)
		var total, members int
		require.NoError(t, st.Read.QueryRow(`SELECT total, (SELECT COUNT(*) FROM deployments WHERE batch_id=b.id) FROM deployment_batches b WHERE id=$1`, got.BatchID).Scan(&total, &members))
		require.Equal(t, []int{7, 3}, []int{total, members})

		before := dump(t, st)
		again, err := h.DeployBatch(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, got.BatchID, again.BatchID)
		for i := range in.Deployments {
			if got.Items[i].Err == nil {
				require.True(t, again.Items[i].Existing)
				require.Equal(t, got.Items[i].DeploymentID, again.Items[i].DeploymentID)
			}
		}
		for _, i := range []int{1, 2} {
			require.Error(t, again.Items[i].Err)
		}
		in.MaxParallel = 3
		_, err = h.DeployBatch(t.Context(), in)
		refused(t, err, deploy.CodeIdempotencyConflict)
		require.Equal(t, before, dump(t, st))

		for _, bad := range []lifecycle.NewBatch{{MaxParallel: 1}, {MaxParallel: 0, Deployments: in.Deployments}, {MaxParallel: 501, Deployments: in.Deployments}} {
			_, err = h.DeployBatch(t.Context(), bad)
			refused(t, err, deploy.CodeOutOfRange)
		}
	})
}

func TestRegisteredThenDeployed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		id, err := h.RegisterNode(t.Context(), lifecycle.NewNode{Name: "r1", ManagementIP: "127.64.1.1", MACs: []string{"02-00-00-00-01-01"}, Actor: tester})
		require.NoError(t, err)
		for code, in := range map[deploy.Code]lifecycle.NewNode{
			deploy.CodeNameInUse:     {Name: "r1"},
			deploy.CodeAlreadyExists: {Name: "r2", ManagementIP: "127.64.1.1"},
			deploy.CodeInvalid:       {Name: "r2", ManagementIP: "nowhere", MACs: []string{"x"}},
			deploy.CodeRequired:      {},
		} {
			_, err := h.RegisterNode(t.Context(), in)
			refused(t, err, code)
		}
		_, err = h.RegisterNode(t.Context(), lifecycle.NewNode{Name: "r2", MACs: []string{"02:00:00:00:01:01"}})
		refused(t, err, deploy.CodeAlreadyExists)
		_, err = h.Deploy(t.Context(), lifecycle.NewDeployment{Name: "r1", Spec: vpcSpec(), Actor: tester})
		refused(t, err, deploy.CodeNameInUse)

		d := h.deploy("r1", onRack(1))
		require.Equal(t, id, d.NodeID)
		require.Equal(t, 1, d.Number)
		h.bring(d, phase.Deployed)
		s := sound(t, st, d.DeploymentID)
		require.Equal(t, []any{phase.Succeeded, phase.Deployed}, []any{s.state, s.nodeStatus})
		var requested int
		require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM phase_runs WHERE phase='server_requested'`).Scan(&requested))
		require.Zero(t, requested, "a rack orders no server")
		_, err = h.Deploy(t.Context(), lifecycle.NewDeployment{Name: "r1", Spec: rackSpec(1), Actor: tester})
		refused(t, err, deploy.CodeNameInUse)
	})
}

func TestUpdateAndLearn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d, other := h.deploy("n1"), h.deploy("n2")
		name := "renamed"
		refused(t, h.UpdateNode(t.Context(), lifecycle.NodeChange{ID: d.NodeID, ExpectedVersion: h.state(d).nodeVersion, Name: &name}), deploy.CodeRunActive)
		h.fail(d)
		v := h.state(d).nodeVersion
		require.NoError(t, h.UpdateNode(t.Context(), lifecycle.NodeChange{ID: d.NodeID, ExpectedVersion: v, Name: &name, Labels: map[string]string{"a": "b"}}))
		s := h.state(d)
		require.Equal(t, v+1, s.nodeVersion)
		require.Equal(t, h.head(), s.changed)
		refused(t, h.UpdateNode(t.Context(), lifecycle.NodeChange{ID: d.NodeID, ExpectedVersion: v, Name: &name}), deploy.CodeVersionMismatch)
		taken := "n2"
		refused(t, h.UpdateNode(t.Context(), lifecycle.NodeChange{ID: d.NodeID, ExpectedVersion: v + 1, Name: &taken}), deploy.CodeNameInUse)
		bad := "Not A Name"
		refused(t, h.UpdateNode(t.Context(), lifecycle.NodeChange{ID: d.NodeID, ExpectedVersion: v + 1, Name: &bad}), deploy.CodeInvalid)
		refused(t, h.UpdateNode(t.Context(), lifecycle.NodeChange{ID: 99, ExpectedVersion: 1}), deploy.CodeNotFound)
		require.Equal(t, v+1, h.state(d).nodeVersion)

		facts := lifecycle.NodeFacts{NodeID: d.NodeID, ServerID: "srv-1", ServerStatus: "pending", ManagementIP: "127.64.2.1", MACs: []string{"02:00:00:00:02:01"}, SSHPort: 22}
		require.NoError(t, h.Learn(t.Context(), facts))
		require.Equal(t, v+2, h.state(d).nodeVersion)
		head := h.head()
		require.NoError(t, h.Learn(t.Context(), facts))
		require.NoError(t, h.Learn(t.Context(), lifecycle.NodeFacts{NodeID: d.NodeID}))
		require.Equal(t, []any{v + 2, head}, []any{h.state(d).nodeVersion, h.head()}, "nothing new, no change")
		facts.NodeID = other.NodeID
		constraint, unique := st.IsUnique(h.Learn(t.Context(), facts))
		require.True(t, unique, "an address belongs to one node: %s", constraint)
		refused(t, h.Learn(t.Context(), lifecycle.NodeFacts{NodeID: 99, ServerID: "x"}), deploy.CodeNotFound)
	})
}
