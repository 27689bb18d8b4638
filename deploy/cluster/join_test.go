package cluster_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
)

// A key holds for nodes that are added as it does for a cluster that is made.
func TestTheSameJoinTwice(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := h.request("prod", "a", "b", "c")
		r.IdempotencyKey = "k1"
		c := h.deploy(r)
		h.install(c.ID, "a", "b", "c")
		h.drive(c.ID, cluster.Deployed)
		join := cluster.Request{Operation: cvm.OperationJoin, ClusterID: c.ID, Nodes: h.request("", "d").Nodes, Actor: tester, IdempotencyKey: "k2"}
		var wg sync.WaitGroup
		answers := make([]error, 4)
		for i := range answers {
			wg.Go(func() { _, answers[i] = cluster.New(h.deps).Deploy(t.Context(), join) })
		}
		wg.Wait()
		for _, err := range answers {
			h.must(err)
		}
		require.Equal(t, c.ID, h.deploy(join).ID)
		require.Equal(t, []int{1, 4}, []int{h.count(`SELECT COUNT(*) FROM deployments d JOIN nodes n ON n.id = d.node_id WHERE n.name = 'd'`), len(h.get(c.ID).Nodes)})
		other := join
		other.Nodes = h.request("", "e").Nodes
		require.Equal(t, deploy.CodeIdempotencyConflict, code(t, c2(h.Deploy(t.Context(), other))))
		other.IdempotencyKey = "k1"
		require.Equal(t, deploy.CodeIdempotencyConflict, code(t, c2(h.Deploy(t.Context(), other))), "that one made the cluster")
		// Another's key is another key.
		other.IdempotencyKey, other.Actor.Name = "k2", "somebody"
		require.Equal(t, "out_of_range", string(code(t, c2(h.Deploy(t.Context(), other)))), "four are the most")
	})
}
