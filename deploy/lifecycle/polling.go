package lifecycle

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// SkipPolling says that a host is well although nobody could prove it: its
// polling and its health check are passed over.
type SkipPolling struct {
	DeploymentID int64
	Reason       string // required: it is kept in the history
	Actor        deploy.Actor
}

// reasonMax is the longest reason that is kept, in bytes.
const reasonMax = 500

// SkipPolling ends the proof of a host that an operator vouches for; the
// deployment is deployed then, and its history tells who said so, and why.
// Errors: not_found, required and out_of_range for the reason, wrong_state (it
// is not being polled).
func (w *Writer) SkipPolling(ctx context.Context, c SkipPolling) (Receipt, error) {
	c.Reason = strings.TrimSpace(c.Reason)
	switch {
	case c.Reason == "":
		return Receipt{}, deploy.Invalid([]deploy.FieldError{{Field: "reason", Code: deploy.CodeRequired, Message: "is required: it is what the history will say"}})
	case len(c.Reason) > reasonMax:
		return Receipt{}, deploy.Invalid([]deploy.FieldError{{Field: "reason", Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("is longer than %d bytes", reasonMax)}})
	}
	return w.verb(ctx, c.DeploymentID, func(tx *Tx) (*Receipt, error) { return tx.skipPolling(c) })
}

func (tx *Tx) skipPolling(c SkipPolling) (*Receipt, error) {
	d, n, err := tx.deployment(c.DeploymentID)
	if err != nil {
		return nil, err
	}
	if err := latest(d, n); err != nil {
		return nil, err
	}
	v, bad := phase.SkipPolling(d.facts())
	if bad != nil {
		return nil, bad
	}
	message := "skipped by " + c.Actor.Name + ": " + c.Reason
	var e *eventRow
	d.state = v.State
	for _, m := range v.Moves {
		tx.move(d, m, message, nil)
		if m.Phase == phase.Deployed {
			d.finished = &tx.at
		}
		e = tx.said(d, m.Status, message, c.Actor)
		if m.Phase != phase.Deployed {
			e.state = phase.Running // only the last event says that it has ended
		}
	}
	tx.mirror(d, n)
	return tx.receipt(d, e, false), nil
}

// Probe records where the polling of a host stands. It makes no history: every
// attempt is seen live, and those that matter are told by reports.
func (tx *Tx) Probe(deploymentID int64, key phase.Key, p deploy.Probe) error {
	d, n, err := tx.deployment(deploymentID)
	if err != nil || d.open == nil || d.open.phase != key {
		return err
	}
	d.dirty, n.dirty = true, true
	return tx.exec("recording a probe", `UPDATE phase_runs SET probe = $1 WHERE id = $2`, mustJSON(p), d.open.id)
}

// LastProbe gives the probe of a phase of the deployment's present attempt;
// nil if it has none.
func (tx *Tx) LastProbe(deploymentID int64, key phase.Key) (*deploy.Probe, error) {
	d, _, err := tx.deployment(deploymentID)
	if err != nil {
		return nil, err
	}
	var raw []byte
	err = tx.sql.QueryRowContext(tx.ctx, `SELECT probe FROM phase_runs WHERE deployment_id = $1 AND attempt = $2 AND phase = $3`, d.id, d.attempt, key).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) || err == nil && len(raw) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lifecycle: reading a probe: %w", err)
	}
	p := &deploy.Probe{}
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, fmt.Errorf("lifecycle: the probe of deployment %d: %w", d.id, err)
	}
	return p, nil
}

// PinHostKey says that a node's host has a new host key that an operator has
// seen and trusts.
type PinHostKey struct {
	NodeID int64
	// Key is the key to trust, "<type> <base64>"; it must be the one that the
	// host has offered when it was last asked.
	Key   string
	Actor deploy.Actor
}

// PinHostKey replaces the host key that a node is known by. Errors: not_found,
// conflict (the host offered another key, or none).
func (w *Writer) PinHostKey(ctx context.Context, c PinHostKey) error {
	return w.Do(ctx, nil, []int64{c.NodeID}, func(tx *Tx) error {
		n, err := tx.node(c.NodeID)
		if err != nil {
			return err
		}
		if !n.current.Valid {
			return &deploy.Error{Code: deploy.CodeConflict, Message: n.name + " was never polled, so it has offered no key"}
		}
		d, _, err := tx.deployment(n.current.Int64)
		if err != nil {
			return err
		}
		var raw []byte
		err = tx.sql.QueryRowContext(tx.ctx, `SELECT probe FROM phase_runs WHERE deployment_id = $1 AND probe IS NOT NULL ORDER BY attempt DESC, id DESC LIMIT 1`, d.id).Scan(&raw)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("lifecycle: reading a probe: %w", err)
		}
		var p deploy.Probe
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &p); err != nil {
				return fmt.Errorf("lifecycle: the probe of deployment %d: %w", d.id, err)
			}
		}
		if p.OfferedKey == "" || p.OfferedKey != c.Key {
			return &deploy.Error{Code: deploy.CodeConflict, Message: "this is not the key that the host offered when it was last asked", Hint: "look at the fingerprint again, and compare it with the host's own"}
		}
		tx.facts(n, NodeFacts{SSHHostKey: c.Key})
		e := tx.event(d, d.phase, d.phaseStatus, Report{Message: "the host key " + p.Fingerprint + " is trusted now", OccurredAt: tx.at, Source: deploy.SourceUser, Actor: c.Actor}, "")
		e.outcome = Step
		return nil
	})
}
