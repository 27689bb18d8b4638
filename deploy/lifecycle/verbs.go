package lifecycle

import (
	"context"
	"fmt"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Retry asks for another attempt of a failed deployment.
type Retry struct {
	DeploymentID int64
	// FromPhase is where the attempt is to begin; empty = the phase that
	// failed. See phase.Retry for where it really begins.
	FromPhase string
	Actor     deploy.Actor
}

// Cancel asks for the end of a deployment that is under way.
type Cancel struct {
	DeploymentID int64
	Immediate    bool // else when the open phase ends
	Reason       string
	Actor        deploy.Actor
}

// Cleanup asks for everything that a node holds to be released.
type Cleanup struct {
	DeploymentID int64  // the node's current one, ended
	ConfirmName  string // must equal the node's name
	Actor        deploy.Actor
}

// Protection sets or takes away a node's hold: while it is set the node is
// neither released nor installed anew.
type Protection struct {
	NodeID          int64
	ExpectedVersion int // 0 = any
	Protected       bool
	Note            string
	Actor           deploy.Actor
}

// Retry opens the next attempt of a failed deployment. What was done before
// the phase that it begins with is kept. An attempt that has a machine ordered
// or installed waits for a slot first, as every deployment does. Errors: not_found, wrong_state (it is
// not failed, or its node has a newer deployment), invalid and out_of_range
// for the phase.
func (w *Writer) Retry(ctx context.Context, c Retry) (Receipt, error) {
	return w.verb(ctx, c.DeploymentID, func(tx *Tx) (*Receipt, error) { return tx.retry(c) })
}

// Cancel ends a deployment. Its machine and what else was made stay until the
// node is cleaned up. Canceling what is being canceled changes nothing, unless
// it is to be immediate now. Errors: not_found, deployment_ended, wrong_state.
func (w *Writer) Cancel(ctx context.Context, c Cancel) (Receipt, error) {
	return w.verb(ctx, c.DeploymentID, func(tx *Tx) (*Receipt, error) { return tx.cancel(c) })
}

// Cleanup begins the release of all that a node holds. Errors: not_found,
// confirmation_mismatch, run_active, wrong_state (cleaned up already, held by
// a newer deployment, or protected).
func (w *Writer) Cleanup(ctx context.Context, c Cleanup) (Receipt, error) {
	return w.verb(ctx, c.DeploymentID, func(tx *Tx) (*Receipt, error) { return tx.cleanup(c) })
}

// verb runs what an operator asked of a deployment.
func (w *Writer) verb(ctx context.Context, deploymentID int64, act func(*Tx) (*Receipt, error)) (Receipt, error) {
	var receipt *Receipt
	err := w.Do(ctx, []int64{deploymentID}, nil, func(tx *Tx) (err error) {
		receipt, err = act(tx)
		return err
	})
	if err != nil || receipt == nil {
		return Receipt{}, err
	}
	return *receipt, nil
}

// latest refuses what is asked of a deployment that its node has left behind:
// a newer one holds all that the node has.
func latest(d *depRow, n *nodeRow) error {
	if n.current.Valid && n.current.Int64 == d.id {
		return nil
	}
	return &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("deployment #%d of %s is over, and a newer one holds the node", d.number, n.name),
		Hint: "act on the node's current deployment"}
}

// said records what an operator asked for, as an event of the open phase.
func (tx *Tx) said(d *depRow, status phase.Status, message string, actor deploy.Actor) *eventRow {
	e := tx.event(d, d.phase, status, Report{Message: message, OccurredAt: tx.at, Source: deploy.SourceUser, Actor: actor}, "")
	e.outcome = Accepted
	return e
}

func (tx *Tx) retry(c Retry) (*Receipt, error) {
	d, n, err := tx.deployment(c.DeploymentID)
	if err != nil {
		return nil, err
	}
	if err := latest(d, n); err != nil {
		return nil, err
	}
	if d.state != phase.StateFail || d.failure == nil {
		return nil, &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("deployment #%d of %s is %s; only a failed one is retried", d.number, n.name, d.state)}
	}
	failed := d.failure.phase
	start, bad := phase.Retry(d.provider, failed, d.failure.code, c.FromPhase, d.skip...)
	if bad != nil {
		return nil, bad
	}
	if start == phase.Pending || phase.Installs(d.provider, start) { // from pending on a machine is ordered too
		if err := tx.unprotected(n); err != nil {
			return nil, err
		}
	}
	d.attempt++
	d.boots, d.reboots = 0, 0
	d.failure, d.finished = nil, nil
	d.state = phase.Running
	enter := start
	if start == phase.Pending || phase.Installs(d.provider, start) {
		d.state, enter, d.resume = phase.Queued, phase.Pending, start
		if start == phase.Pending {
			d.resume = ""
		}
	}
	if phase.Before(d.provider, start, phase.ClusterFormation) {
		if err := tx.forgetLogins(n); err != nil {
			return nil, err
		}
	}
	tx.move(d, phase.Move{Phase: enter, Enter: true, Status: phase.Waiting}, "", nil)
	message := fmt.Sprintf("attempt %d begins at %s", d.attempt, start)
	if asked := firstNonEmpty(c.FromPhase, failed); asked != start {
		message += fmt.Sprintf(": for %s the machine must boot again", asked)
		if start == phase.ServerRequested {
			message = fmt.Sprintf("attempt %d begins at %s: another server is needed", d.attempt, start)
		}
	}
	if enter != start {
		message += ", once it has a slot"
	}
	e := tx.said(d, phase.Waiting, message, c.Actor)
	tx.mirror(d, n)
	tx.wakeWorkflow(d)
	return tx.receipt(d, e, false), nil
}

func (tx *Tx) cancel(c Cancel) (*Receipt, error) {
	d, n, err := tx.deployment(c.DeploymentID)
	if err != nil {
		return nil, err
	}
	v, bad := phase.Cancel(d.facts(), c.Immediate)
	if bad != nil {
		return nil, bad
	}
	if err := tx.notJoined(d, n); err != nil {
		return nil, err
	}
	if v.State == d.state {
		return &Receipt{NodeID: d.nodeID, DeploymentID: d.id, Sequence: d.sequence, Phase: d.phase, PhaseStatus: d.phaseStatus, State: d.state,
			Attempt: d.attempt, Outcome: Accepted, Duplicate: true}, nil
	}
	why := ""
	if c.Reason != "" {
		why = ": " + c.Reason
	}
	d.state = v.State
	var e *eventRow
	if len(v.Moves) == 0 {
		e = tx.said(d, d.phaseStatus, fmt.Sprintf("to be canceled when %s ends%s", d.phase, why), c.Actor)
	}
	for _, m := range v.Moves {
		tx.move(d, m, "canceled"+why, nil)
		d.finished = &tx.at
		e = tx.said(d, m.Status, "canceled"+why, c.Actor)
	}
	tx.mirror(d, n)
	return tx.receipt(d, e, false), nil
}

func (tx *Tx) cleanup(c Cleanup) (*Receipt, error) {
	d, n, err := tx.deployment(c.DeploymentID)
	if err != nil {
		return nil, err
	}
	if c.ConfirmName != n.name {
		return nil, &deploy.Error{Code: deploy.CodeConfirmationMismatch, Message: "the confirmation is not the node's name; nothing was touched",
			Hint:   "send the node's name to confirm that everything it holds is to be deleted",
			Fields: []deploy.FieldError{{Field: "confirm", Code: deploy.CodeConfirmationMismatch, Message: "must equal the node's name"}}}
	}
	if err := latest(d, n); err != nil {
		return nil, err
	}
	if phase.Active(d.state) {
		return nil, active(d, n)
	}
	if d.state == phase.CleanedUp {
		return nil, deploy.Errorf(deploy.CodeWrongState, "%s is cleaned up already", n.name)
	}
	if err := tx.unprotected(n); err != nil {
		return nil, err
	}
	if d.failure != nil && d.failure.phase == phase.Cleanup {
		d.attempt++
		d.failure = nil
	}
	d.state, d.finished = phase.CleaningUp, nil
	d.maintenance = false // its end must not be waited for with a clock that stands
	tx.move(d, phase.Move{Phase: phase.Cleanup, Enter: true, Status: phase.Waiting}, "", nil)
	e := tx.said(d, phase.Waiting, "everything that the node holds is to be released", c.Actor)
	tx.mirror(d, n)
	tx.wakeWorkflow(d)
	return tx.receipt(d, e, false), nil
}

func active(d *depRow, n *nodeRow) error {
	return &deploy.Error{Code: deploy.CodeRunActive, Message: fmt.Sprintf("deployment #%d of %s is %s", d.number, n.name, d.state), Hint: "wait for its end, or cancel it"}
}

// unprotected refuses what would destroy a node that is held, or whose disks are
// a part of a running cluster's.
func (tx *Tx) unprotected(n *nodeRow) error {
	cluster, clustered, joining, err := tx.membership(n)
	if err != nil {
		return err
	}
	if clustered {
		return InCluster(n.name, cluster, joining)
	}
	var held bool
	var note string
	err = tx.sql.QueryRowContext(tx.ctx, `SELECT protected, protect_note FROM nodes WHERE id = $1`, n.id).Scan(&held, &note)
	if err != nil {
		return fmt.Errorf("lifecycle: reading the protection of node %d: %w", n.id, err)
	}
	if !held {
		return nil
	}
	if note != "" {
		note = ": " + note
	}
	return &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("%s is protected%s", n.name, note), Hint: "take the protection away first"}
}

// SetProtection sets or takes away a node's hold. What is already so changes
// nothing. Errors: not_found, version_mismatch, out_of_range.
func (w *Writer) SetProtection(ctx context.Context, c Protection) error {
	if len(c.Note) > 500 {
		return deploy.Invalid([]deploy.FieldError{{Field: "note", Code: deploy.CodeOutOfRange, Message: "is longer than 500 bytes"}})
	}
	return w.Do(ctx, nil, []int64{c.NodeID}, func(tx *Tx) error {
		n, err := tx.node(c.NodeID)
		if err != nil {
			return err
		}
		if c.ExpectedVersion != 0 && n.version != c.ExpectedVersion {
			return &deploy.Error{Code: deploy.CodeVersionMismatch, Message: fmt.Sprintf("the node is at version %d, not %d", n.version, c.ExpectedVersion), Hint: "read it again and repeat the change", Retryable: true}
		}
		return tx.protect(n, c)
	})
}

func (tx *Tx) protect(n *nodeRow, c Protection) error {
	note := ""
	if c.Protected {
		note = c.Note
	}
	var held bool
	var was string
	if err := tx.sql.QueryRowContext(tx.ctx, `SELECT protected, protect_note FROM nodes WHERE id = $1`, n.id).Scan(&held, &was); err != nil {
		return fmt.Errorf("lifecycle: reading the protection of node %d: %w", n.id, err)
	}
	if held == c.Protected && was == note {
		return nil
	}
	if c.Protected && n.state == phase.CleaningUp {
		return &deploy.Error{Code: deploy.CodeRunActive, Message: n.name + " is being cleaned up; it is too late to protect it", Hint: "wait for the end of the cleanup"}
	}
	if err := tx.exec("protecting a node", `UPDATE nodes SET protected = $1, protect_note = $2 WHERE id = $3`, c.Protected, note, n.id); err != nil {
		return err
	}
	n.dirty = true
	if !n.current.Valid {
		return nil
	}
	d, _, err := tx.deployment(n.current.Int64)
	if err != nil {
		return err
	}
	message := "the protection was taken away"
	if c.Protected {
		message = "protected: it is neither released nor installed anew"
		if note != "" {
			message += " (" + note + ")"
		}
	}
	e := tx.event(d, d.phase, d.phaseStatus, Report{Message: message, OccurredAt: tx.at, Source: deploy.SourceUser, Actor: c.Actor}, "")
	e.outcome = Step
	return nil
}
