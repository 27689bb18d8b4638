package apply_test

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
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// TestReadingOutput: every piece is UTF-8 whatever its limits are, nothing is
// lost or comes twice, and it ends.
func TestReadingOutput(t *testing.T) {
	h := open(t, storetest.SQLite(t))
	run := h.apply(node("alpha", 11)).Run.ID
	const text = "aé€😀\xff\xc3(\xe2\x82x" // ends in what is no UTF-8
	whole := "aé€😀\uFFFD\uFFFD(\uFFFD\uFFFDx"
	h.host.Set(func(x *applytest.Host) { x.Output[run] = []byte(text + "\xf0\x9f\x98") })
	for limit := range 12 {
		got, offset := "", int64(0)
		for {
			p, err := h.Read(t.Context(), run, offset, limit)
			require.NoError(t, err)
			require.Equal(t, offset, p.Offset)
			require.GreaterOrEqual(t, p.Next, offset)
			require.False(t, p.End, "it runs")
			if p.Next == offset {
				break
			}
			got, offset = got+p.Text, p.Next
		}
		require.Equal(t, whole, got, "limit %d", limit)
		require.EqualValues(t, len(text), offset, "a character that is only begun is left")
	}
	h.host.Set(func(x *applytest.Host) { x.Output[run] = append(x.Output[run], 0x80) })
	p, err := h.Read(t.Context(), run, int64(len(text)), 4)
	require.NoError(t, err)
	require.Equal(t, "😀", p.Text)

	h.host.Set(func(x *applytest.Host) { x.Output[run] = []byte("ab\xc3") })
	h.host.End(run, 0)
	h.drive(run)
	p, err = h.Read(t.Context(), run, 0, 100)
	require.NoError(t, err)
	require.Equal(t, []any{"ab\uFFFD", int64(3), false}, []any{p.Text, p.Next, p.End}, "nothing comes after it any more")
	for _, from := range []int64{3, 99} {
		p, err = h.Read(t.Context(), run, from, 100)
		require.NoError(t, err)
		require.Equal(t, []any{"", from, true}, []any{p.Text, p.Next, p.End})
	}
	_, err = h.Read(t.Context(), 99, 0, 100)
	refused(t, err, deploy.CodeNotFound)
}

func TestReadingForManyAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		var nodes, deployments []int64
		first := h.apply(node("alpha", 11), node("beta", 12))
		h.host.End(first.Run.ID, 0)
		h.drive(first.Run.ID)
		for _, item := range first.Items {
			nodes, deployments = append(nodes, item.NodeID), append(deployments, item.DeploymentID)
		}
		h.finish(first)
		second := h.apply(node("alpha", 13))
		runs, err := h.RunsByID(t.Context(), []int64{first.Run.ID, second.Run.ID, second.Run.ID, 99})
		require.NoError(t, err)
		require.Len(t, runs, 2)
		require.Equal(t, deploy.RunSucceeded, runs[first.Run.ID].State)

		docs, err := h.DocumentsOfRuns(t.Context(), []int64{second.Run.ID, first.Run.ID})
		require.NoError(t, err)
		require.Equal(t, []string{"alpha", "beta"}, []string{docs[first.Run.ID][0].NodeName, docs[first.Run.ID][1].NodeName}, "in the order of the request")
		require.Len(t, docs[second.Run.ID], 1)

		of, err := h.DocumentsOfNodes(t.Context(), nodes, 1)
		require.NoError(t, err)
		require.Equal(t, [2]int64{second.Run.ID, first.Run.ID}, [2]int64{of[nodes[0]][0].RunID, of[nodes[1]][0].RunID}, "the newest of each")
		require.Equal(t, [2]int{1, 1}, [2]int{len(of[nodes[0]]), len(of[nodes[1]])})
		of, err = h.DocumentsOfNodes(t.Context(), nodes, 1000)
		require.NoError(t, err)
		require.Len(t, of[nodes[0]], 2)

		latest, err := h.Latest(t.Context(), append(deployments, second.Items[0].DeploymentID, 99))
		require.NoError(t, err)
		require.Len(t, latest, 3)
		require.Equal(t, first.Run.ID, latest[deployments[0]].RunID)

		for _, none := range [][]int64{nil, {}} {
			runs, err := h.RunsByID(t.Context(), none)
			require.NoError(t, err)
			require.Empty(t, runs)
			latest, err := h.Latest(t.Context(), none)
			require.NoError(t, err)
			require.Empty(t, latest)
		}
	})
}

func TestAnOrderForOneHost(t *testing.T) {
	h := open(t, storetest.SQLite(t))
	document := func(change func(map[string]any)) json.RawMessage {
		d := node("alpha", 11)
		if change != nil {
			change(d)
		}
		raw, err := json.Marshal(d)
		require.NoError(t, err)
		return raw
	}
	spec, bad, err := h.Order(t.Context(), "alpha", document(nil))
	require.NoError(t, err)
	require.Empty(t, bad)
	require.Equal(t, []string{deploy.ProviderScript, "192.0.2.11"}, []string{spec.Provider, spec.ManagementIP})
	require.Contains(t, string(spec.Document), `"roles":["Compute","Network"]`)
	for name, c := range map[string]struct {
		document json.RawMessage
		fields   []string
	}{
		"a field":        {document(func(d map[string]any) { d["colour"] = "red" }), []string{"document.colour"}},
		"none":           {json.RawMessage(`7`), []string{"document"}},
		"no JSON":        {json.RawMessage(`{`), []string{"document"}},
		"out of its own": {json.RawMessage(string(document(nil)) + `,"beta":` + string(document(nil))), []string{"document"}},
	} {
		_, bad, err := h.Order(t.Context(), "alpha", c.document)
		require.NoError(t, err, name)
		var fields []string
		for _, f := range bad {
			fields = append(fields, f.Field)
		}
		require.Equal(t, c.fields, fields, name)
	}
	_, _, err = apply.New(apply.Deps{Store: h.store}).Order(t.Context(), "alpha", document(nil))
	refused(t, err, deploy.CodeWrongState)
}

// TestARunThatSomebodyElseGaveUpIsRefused: the loop that drives runs may be the
// one to whom the host says no.
func TestARunThatSomebodyElseGaveUpIsRefused(t *testing.T) {
	h := open(t, storetest.SQLite(t), func(d *apply.Deps) { d.LookEvery = time.Microsecond })
	h.host.Set(func(x *applytest.Host) {
		x.StartFails = &deploy.ProviderError{Code: deploy.CodeInvalid, Message: "exec format error"}
	})
	ctx, stop := context.WithCancel(t.Context())
	var driving sync.WaitGroup
	driving.Go(func() { h.Run(ctx) })
	for i := range 20 {
		out, err := h.Apply(ctx, apply.Request{Body: body(t, node(fmt.Sprintf("n%d", i), 20+i)), Actor: ada})
		var host *apply.HostError
		require.ErrorAs(t, err, &host, "whoever noticed it first")
		require.Equal(t, deploy.RunFailed, out.Run.State)
	}
	stop()
	driving.Wait()
	require.Empty(t, h.host.Content())
}
