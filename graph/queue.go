package graph

import (
	"context"
	"maps"
	"slices"

	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/graph/model"
)

// queue finds the places of deployments in the queues that they wait in, all
// of a list at once.
type queue struct {
	stuck selection // what is selected of the wait
	// slots and downloads are waits by deployment; noted are those of which the
	// workflow told the place in words already.
	slots, downloads map[int64]*model.StuckReason
	noted            map[int64]bool
}

func (q *queue) add(d *ent.Deployment, v query.View, wait *model.StuckReason) {
	if wait == nil || len(q.stuck) == 0 || v.Current == nil {
		return
	}
	switch wait.Code {
	case query.WaitSlot:
		noted := v.Current.Awaiting != ""
		if noted && !q.stuck.has("position") {
			return
		}
		if q.slots == nil {
			q.slots, q.noted = map[int64]*model.StuckReason{}, map[int64]bool{}
		}
		q.slots[d.ID], q.noted[d.ID] = wait, noted
	case query.WaitDownload:
		if !q.stuck.has("position") {
			return
		}
		if q.downloads == nil {
			q.downloads = map[int64]*model.StuckReason{}
		}
		q.downloads[d.ID] = wait
	}
}

func (q *queue) tell(ctx context.Context, fleet *query.Fleet) error {
	ahead, err := fleet.Ahead(ctx, slices.Collect(maps.Keys(q.slots)))
	if err != nil {
		return err
	}
	for id, before := range ahead {
		place(q.slots[id], before)
		if !q.noted[id] {
			w := query.Wait{}
			w.Queued(before)
			q.slots[id].Evidence = &w.Evidence
		}
	}
	ahead, err = fleet.AheadInDownload(ctx, slices.Collect(maps.Keys(q.downloads)))
	for id, before := range ahead {
		place(q.downloads[id], before)
	}
	return err
}

func place(wait *model.StuckReason, before int) {
	before++
	wait.Position = &before
}
