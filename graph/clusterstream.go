package graph

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
	"github.com/slipwayhq/slipway/graph/wstransport"
)

// clusterStream is one reader of the subscription clusterChanges.
type clusterStream struct {
	*stream[model.ClusterMessage]
	r      *Resolver
	sel    selection // of the cluster
	now    *cluster.Cluster
	load   loader // from before now was read
	cursor feed.Cursor
	beat   time.Duration
	looked time.Time // when the cluster's row was read last
	said   time.Time // when anything was sent last
}

// streamCluster is the subscription clusterChanges. Changes of the cluster's
// nodes, and with them of their deployments, come from the feed. Whoever changes
// the cluster's own row has one of its nodes told of in the same transaction, so
// that comes from there too; a slow look repairs what no transaction told of.
func (r *Resolver) streamCluster(ctx context.Context, id string, after *feed.Cursor, beat time.Duration) (<-chan model.ClusterMessage, error) {
	key, err := named(ident.Cluster, id)
	if err != nil {
		return nil, err
	}
	if r.Clusters == nil {
		return nil, errNoClusters
	}
	// The place comes first: what changes while the cluster is read is told after it.
	cs := &clusterStream{r: r, sel: selected(ctx).child("cluster"), cursor: r.Feed.Head(), load: r.load(), beat: beat, looked: time.Now()}
	if cs.now, err = r.Clusters.Get(ctx, key); err != nil {
		return nil, err // what is wrong with the request is told as such
	}
	reset, err := r.unfit(ctx, after)
	if err != nil {
		return nil, err
	}
	return open(ctx, r.Logger, func(s *stream[model.ClusterMessage]) error {
		cs.stream = s
		if reset != feed.ResetNone {
			if err := cs.restart(reset); err != nil {
				return err
			}
		}
		return cs.follow()
	}), nil
}

// unfit tells why a stream cannot go on from a cursor.
func (r *Resolver) unfit(ctx context.Context, after *feed.Cursor) (feed.ResetReason, error) {
	if after == nil {
		return feed.ResetNone, nil
	}
	src := r.Feed.Nodes(after, time.Nanosecond) // it is only looked whether it begins
	defer src.Close()
	b, err := src.Next(ctx)
	return b.Reset, err
}

func (cs *clusterStream) restart(why feed.ResetReason) error {
	m := &model.StreamReset{Reason: resetReasons[why], Cursor: cs.cursor.String(), At: cs.r.Fleet.Now()}
	return cs.send(m, wstransport.Mark{To: cs.cursor.Position, Reset: true})
}

// follow sends the cluster, and again whenever something of it has changed.
func (cs *clusterStream) follow() error {
	from := cs.cursor
	src := cs.r.Feed.Nodes(&from, 0)
	src.Continue(false) // the cluster as it is says that it has caught up
	defer src.Close()
	if err := cs.tell(); err != nil {
		return err
	}
	for {
		b, err := cs.next(src)
		if err != nil {
			return err
		}
		cs.cursor = b.Cursor
		changed := slices.ContainsFunc(b.Changed, cs.has)
		if b.Reset != feed.ResetNone {
			if err := cs.restart(b.Reset); err != nil {
				return err
			}
			changed = true
		}
		if changed {
			err = cs.until(cs.read)
		} else if time.Since(cs.looked) >= cs.r.ClusterEvery {
			changed = cs.look()
		}
		switch {
		case err != nil:
			return err
		case changed:
			err = cs.tell()
		case time.Since(cs.said) >= cs.beat:
			since, _ := cs.r.Feed.StaleSince()
			err = cs.say(&model.StreamHeartbeat{Cursor: cs.cursor.String(), At: cs.r.Fleet.Now(), StaleSince: optionalTime(since)}, true)
		}
		if err != nil {
			return err
		}
	}
}

// next waits for the next changes of nodes, or until it is time to look at the
// cluster's own row or to give a sign of life: then the batch is empty.
func (cs *clusterStream) next(src *feed.NodeStream) (b feed.NodeBatch, err error) {
	err = cs.until(func() error {
		due := cs.looked.Add(cs.r.ClusterEvery)
		if beat := cs.said.Add(cs.beat); beat.Before(due) {
			due = beat
		}
		wait, cancel := context.WithDeadline(cs.ctx, due)
		defer cancel()
		b, err = src.Next(wait)
		if err != nil && errors.Is(err, wait.Err()) && cs.ctx.Err() == nil {
			b, err = feed.NodeBatch{Cursor: cs.cursor}, nil
		}
		return err
	})
	return b, err
}

// has reports whether a node belongs, or belonged, to the cluster.
func (cs *clusterStream) has(node int64) bool {
	return slices.ContainsFunc(cs.now.Nodes, func(n cluster.Node) bool { return n.NodeID == node })
}

// read reads the cluster anew.
func (cs *clusterStream) read() error {
	l := cs.r.load()
	cs.looked = time.Now()
	c, err := cs.r.Clusters.Get(cs.ctx, cs.now.ID)
	if err == nil {
		cs.now, cs.load = c, l
	}
	return err
}

// look reads the cluster and tells whether its own row has changed. While the
// database is away it has not; heartbeats say so.
func (cs *clusterStream) look() bool {
	was := cs.now.Version
	return cs.read() == nil && cs.now.Version != was
}

func (cs *clusterStream) tell() error {
	var m *model.Cluster
	err := cs.until(func() (err error) {
		m, err = one(cs.load.clusters(cs.ctx, []*cluster.Cluster{cs.now}, cs.sel))
		return err
	})
	if err != nil {
		return err
	}
	return cs.say(&model.ClusterUpdate{Cluster: m, Cursor: cs.cursor.String(), At: cs.r.Fleet.Now()}, false)
}

func (cs *clusterStream) say(m model.ClusterMessage, empty bool) error {
	cs.said = time.Now()
	return cs.send(m, wstransport.Mark{To: cs.cursor.Position, Empty: empty})
}
