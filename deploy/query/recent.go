package query

import (
	"context"
	"fmt"

	"entgo.io/ent/dialect/sql"

	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/ent/deploymentevent"
	"github.com/slipwayhq/slipway/ent/predicate"
)

// RecentEvents reads events of the whole fleet, the newest first: at most limit
// of those before a position in the stream, 0 = from the newest on. more tells
// whether there are older ones.
func (f *Fleet) RecentEvents(ctx context.Context, filter feed.Filter, before int64, limit int) (events []*feed.Event, more bool, err error) {
	q := f.read.DeploymentEvent.Query().Where(recentPredicates(filter)...).
		Order(deploymentevent.ByPosition(sql.OrderDesc())).Limit(limit + 1)
	if before > 0 {
		q.Where(deploymentevent.PositionLT(before))
	}
	rows, err := q.All(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("read recent events: %w", err)
	}
	if more = len(rows) > limit; more {
		rows = rows[:limit]
	}
	for _, e := range rows {
		events = append(events, eventOf(e))
	}
	return events, more, nil
}

func recentPredicates(f feed.Filter) []predicate.DeploymentEvent {
	out := EventFilter{Phases: f.Phases, Statuses: f.Statuses, Sources: f.Sources, IncludeRefused: f.IncludeRefused}.predicates()
	if len(f.DeploymentIDs) > 0 {
		out = append(out, deploymentevent.DeploymentIDIn(f.DeploymentIDs...))
	}
	if len(f.NodeIDs) > 0 {
		out = append(out, deploymentevent.NodeIDIn(f.NodeIDs...))
	}
	if f.BatchID != 0 {
		out = append(out, deploymentevent.BatchID(f.BatchID))
	}
	return out
}
