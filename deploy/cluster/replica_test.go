package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// What two replicas are asked at the same moment happens once.
func TestTwoReplicas(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := build(t, st)
		w2 := lifecycle.New(st, lifecycle.Options{Logger: slog.New(slog.DiscardHandler), Now: h.clock})
		ctx, stop := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { w2.Run(ctx) })
		defer func() { stop(); wg.Wait() }()
		deps := h.deps
		deps.Writer = w2
		two := cluster.New(deps)
		both := func(a, b func() error) (error, error) {
			ch := make(chan error, 1)
			go func() { ch <- a() }()
			eb := b()
			return <-ch, eb
		}
		for i := range 5 {
			r := h.request(fmt.Sprintf("p%d", i), fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i), fmt.Sprintf("c%d", i), fmt.Sprintf("d%d", i))
			e1, e2 := both(func() error { return c2(h.Deploy(ctx, r)) }, func() error { return c2(two.Deploy(ctx, r)) })
			if (e1 == nil) == (e2 == nil) {
				t.Fatalf("deploy twice: %v | %v", e1, e2)
			}
			c, err := h.ByName(ctx, r.Name)
			h.must(err)
			d := h.node(c.ID, fmt.Sprintf("d%d", i))
			_, err = h.writer.Cancel(ctx, lifecycle.Cancel{DeploymentID: d.DeploymentID, Immediate: true, Actor: tester})
			h.must(err)
			left, replaced := both(func() error { return c2(h.Leave(ctx, cluster.Leave{ClusterID: c.ID, NodeID: d.NodeID, Actor: tester})) },
				func() error {
					return c2(two.Replace(ctx, cluster.Replace{ClusterID: c.ID, NodeID: d.NodeID, By: cluster.NodeRequest{Name: fmt.Sprintf("e%d", i), Spec: h.spec()}, Actor: tester}))
				})
			if left != nil && replaced != nil {
				t.Fatalf("neither left nor replaced: %v | %v", left, replaced)
			}
			e5, e6 := both(func() error {
				return c2(h.Cleanup(ctx, cluster.Cleanup{ClusterID: c.ID, ConfirmName: r.Name, Actor: tester}))
			},
				func() error {
					return c2(two.Cleanup(ctx, cluster.Cleanup{ClusterID: c.ID, ConfirmName: r.Name, Actor: tester}))
				})
			if (e5 == nil) == (e6 == nil) {
				t.Errorf("cleaned up twice: %v | %v", e5, e6)
			}
		}
	})
}
