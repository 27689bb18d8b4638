package lifecycle

import (
	"fmt"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

type idempotencyKey struct {
	deploymentID int64
	key          string
}

// priorEvent is a recorded event that a report may repeat.
type priorEvent struct {
	id, position int64
	sequence     int
	hash         string
	outcome      Outcome
}

// lookUpKeys finds the events that have the idempotency keys of the group's
// reports, in one query.
func (tx *Tx) lookUpKeys(items []*item) error {
	var where strings.Builder
	var args []any
	for _, it := range items {
		if it.report == nil || it.report.IdempotencyKey == "" {
			continue
		}
		id := it.report.DeploymentID
		if n := tx.nodes[it.report.NodeID]; id == 0 && n != nil && n.current.Valid {
			id = n.current.Int64
		}
		k := idempotencyKey{id, it.report.IdempotencyKey}
		if _, asked := tx.prior[k]; asked || id == 0 {
			continue
		}
		tx.prior[k] = nil
		if len(args) > 0 {
			where.WriteString(" OR ")
		}
		fmt.Fprintf(&where, "deployment_id=$%d AND idempotency_key=$%d", len(args)+1, len(args)+2)
		args = append(args, id, k.key)
	}
	if len(args) == 0 {
		return nil
	}
	rows, err := tx.sql.QueryContext(tx.ctx, `SELECT deployment_id, idempotency_key, id, position, sequence, hash, outcome
		FROM deployment_history WHERE outcome<>'refused' AND idempotency_key IS NOT NULL AND (`+where.String()+`)`, args...)
	if err != nil {
		return fmt.Errorf("lifecycle: looking for the same reports: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k idempotencyKey
		var p priorEvent
		if err := rows.Scan(&k.deploymentID, &k.key, &p.id, &p.position, &p.sequence, &p.hash, &p.outcome); err != nil {
			return fmt.Errorf("lifecycle: looking for the same reports: %w", err)
		}
		tx.prior[k] = &p
	}
	return rows.Err()
}

// repeated finds the event that r says again: by its idempotency key, else by
// its identity against the last report of that phase in this attempt.
func (tx *Tx) repeated(d *depRow, n *nodeRow, r Report, hash string) (*Receipt, error) {
	prior, err := tx.priorOf(d, r, hash)
	switch {
	case err != nil || prior == nil:
		return nil, err
	case prior.hash == hash:
		if r.As == phase.ByMachine {
			tx.seen(n, tx.at)
		}
		return &Receipt{NodeID: d.nodeID, DeploymentID: d.id, EventID: prior.id, Position: prior.position, Sequence: prior.sequence, Phase: d.phase, PhaseStatus: d.phaseStatus,
			State: d.state, Attempt: d.attempt, Outcome: prior.outcome, Duplicate: true}, nil
	case r.IdempotencyKey != "":
		return nil, &deploy.Error{Code: deploy.CodeIdempotencyConflict, Message: "this idempotency key was used for another report", Hint: "use a new key for each report"}
	}
	return nil, nil
}

func (tx *Tx) priorOf(d *depRow, r Report, hash string) (*priorEvent, error) {
	// A failure may have been placed on another phase than the one reported.
	also := r.Phase
	if r.Status == phase.FailedRun && d.failure != nil {
		also = d.failure.phase
	}
	if r.IdempotencyKey == "" && d.open != nil && d.open.phase == r.Phase && also == r.Phase && r.As.Owns(r.Phase) {
		return tx.priorOfOpen(d, hash)
	}
	if p := tx.priorInTx(d, r, also); p != nil {
		return p, nil
	}
	if r.IdempotencyKey != "" {
		if p, asked := tx.prior[idempotencyKey{d.id, r.IdempotencyKey}]; asked {
			return p, nil
		}
		return tx.priorWhere(`deployment_id=$1 AND idempotency_key=$2`, d.id, r.IdempotencyKey)
	}
	return tx.priorWhere(`deployment_id=$1 AND attempt=$2 AND phase IN ($3, $4)`, d.id, d.attempt, r.Phase, also)
}

// priorOfOpen is the last report that moved the open run. What others said of
// the phase is a step, which must not make its owner's word a repetition.
func (tx *Tx) priorOfOpen(d *depRow, hash string) (*priorEvent, error) {
	if d.open.lastHash != hash {
		return nil, nil //nolint:nilnil // none is an answer
	}
	for _, e := range tx.events {
		if e.dep == d && e.sequence == d.open.lastSequence {
			return &priorEvent{e.id, e.position, e.sequence, e.hash, e.outcome}, nil
		}
	}
	return tx.priorWhere(`deployment_id=$1 AND sequence=$2`, d.id, d.open.lastSequence)
}

// priorInTx looks among the events of this transaction, the newest first.
func (tx *Tx) priorInTx(d *depRow, r Report, also string) *priorEvent {
	for i := len(tx.events) - 1; i >= 0; i-- {
		e := tx.events[i]
		same := e.dep == d && e.outcome != Refused && e.hash != ""
		if r.IdempotencyKey != "" {
			same = same && e.idempotencyKey == r.IdempotencyKey
		} else {
			same = same && (e.phase == r.Phase || e.phase == also) && e.attempt == d.attempt
		}
		if same {
			return &priorEvent{e.id, e.position, e.sequence, e.hash, e.outcome}
		}
	}
	return nil
}

func (tx *Tx) priorWhere(where string, args ...any) (*priorEvent, error) {
	const what = "looking for the same report"
	rows, err := tx.query(what, `SELECT id, position, sequence, hash, outcome FROM deployment_history
		WHERE outcome<>'refused' AND hash<>'' AND `+where+` ORDER BY sequence DESC LIMIT 1`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("lifecycle: %s: %w", what, err)
		}
		return nil, nil //nolint:nilnil // none is an answer
	}
	var p priorEvent
	if err := rows.Scan(&p.id, &p.position, &p.sequence, &p.hash, &p.outcome); err != nil {
		return nil, fmt.Errorf("lifecycle: %s: %w", what, err)
	}
	return &p, nil
}
