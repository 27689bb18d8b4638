package feed

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
)

// Event is one row of deployment_history, as it was committed.
type Event struct {
	ID             int64
	Position       int64
	DeploymentID   int64
	NodeID         int64
	BatchID        int64 // 0 = none
	Sequence       int
	Attempt        int
	Phase          string
	Status         string
	Message        string
	Outcome        string // accepted, step or refused
	RefusedCode    string
	Source         string
	Actor          string
	Progress       *int
	ServerStatus   string
	Details        json.RawMessage
	LogTail        string
	IdempotencyKey string
	State          string // of the deployment after the event
	OccurredAt     time.Time
	RecordedAt     time.Time
}

// Filter chooses events; an empty field chooses all. Refused reports are left
// out unless asked for.
type Filter struct {
	DeploymentIDs  []int64
	NodeIDs        []int64
	BatchID        int64
	Phases         []string
	Statuses       []string
	Sources        []string
	IncludeRefused bool
}

// Match reports whether the filter chooses e.
func (f Filter) Match(e *Event) bool {
	return (len(f.DeploymentIDs) == 0 || slices.Contains(f.DeploymentIDs, e.DeploymentID)) &&
		(len(f.NodeIDs) == 0 || slices.Contains(f.NodeIDs, e.NodeID)) &&
		(f.BatchID == 0 || f.BatchID == e.BatchID) &&
		(len(f.Phases) == 0 || slices.Contains(f.Phases, e.Phase)) &&
		(len(f.Statuses) == 0 || slices.Contains(f.Statuses, e.Status)) &&
		(len(f.Sources) == 0 || slices.Contains(f.Sources, e.Source)) &&
		(f.IncludeRefused || e.Outcome != "refused")
}

const eventColumns = `id, position, deployment_id, node_id, batch_id, sequence, attempt, phase, status, message, outcome, refused_code,
	source, actor, progress, server_status, details, log_tail, idempotency_key, state, occurred_at, recorded_at`

func scanEvent(rows *sql.Rows) (*Event, error) {
	e := &Event{}
	var batch, progress sql.NullInt64
	var code, server, tail, key sql.NullString
	var details []byte
	err := rows.Scan(&e.ID, &e.Position, &e.DeploymentID, &e.NodeID, &batch, &e.Sequence, &e.Attempt, &e.Phase, &e.Status, &e.Message, &e.Outcome, &code,
		&e.Source, &e.Actor, &progress, &server, &details, &tail, &key, &e.State, &e.OccurredAt, &e.RecordedAt)
	if err != nil {
		return nil, fmt.Errorf("feed: reading an event: %w", err)
	}
	e.BatchID, e.RefusedCode, e.ServerStatus, e.LogTail, e.IdempotencyKey = batch.Int64, code.String, server.String, tail.String, key.String
	if progress.Valid {
		p := int(progress.Int64)
		e.Progress = &p
	}
	if len(details) > 0 {
		e.Details = json.RawMessage(details)
	}
	e.OccurredAt, e.RecordedAt = e.OccurredAt.UTC(), e.RecordedAt.UTC()
	return e, nil
}

// readEvents reads at most limit events in (after, upTo], oldest first. ids
// narrow the read where the filter names deployments or nodes.
func (f *Feed) readEvents(ctx context.Context, after, upTo int64, narrow Filter, limit int) ([]*Event, error) {
	var where strings.Builder
	where.WriteString(eventsWhere)
	if ids := narrow.DeploymentIDs; len(ids) > 0 {
		where.WriteString(" AND deployment_id IN " + list(ids))
	}
	if ids := narrow.NodeIDs; len(ids) > 0 {
		where.WriteString(" AND node_id IN " + list(ids))
	}
	rows, err := f.reads.query(ctx, f.store.Read, eventsQuery(where.String(), limit), after, upTo)
	if err != nil {
		return nil, fmt.Errorf("feed: reading events: %w", err)
	}
	defer rows.Close()
	var out []*Event
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

func list(ids []int64) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = fmt.Sprint(id)
	}
	return "(" + strings.Join(parts, ",") + ")"
}

// Ended reports whether a deployment in state s has ended.
func Ended(s string) bool { return !phase.Active(s) }
