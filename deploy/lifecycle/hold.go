package lifecycle

import (
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
)

// holdEvery is how much a standing clock may lag behind the wait that stops
// it: a machine that asks every few seconds does not make a write each time.
const holdEvery = 20 * time.Second

// Hold is Await for a wait that we impose on a machine: the clock of the open
// phase stands still until GoOn. A wait that asks again and again brings the
// deadline up to date on the way, so that the clock's last stop tells when the
// machine was last heard asking.
func (tx *Tx) Hold(deploymentID int64, key phase.Key, awaiting, evidence string) error {
	if err := tx.Await(deploymentID, key, awaiting, evidence); err != nil {
		return err
	}
	d, n, err := tx.deployment(deploymentID)
	if err != nil || d.open == nil || d.open.phase != key {
		return err
	}
	tx.seen(n, tx.at)
	if d.maintenance || d.open.stoppedAt != nil && tx.at.Sub(*d.open.stoppedAt) < holdEvery {
		return nil
	}
	d.open.resume(tx.at)
	d.open.stoppedAt, d.open.dirty = &tx.at, true
	return nil
}

// GoOn ends a Hold: nothing is awaited any more, and the clock runs unless
// maintenance stops it.
func (tx *Tx) GoOn(deploymentID int64, key phase.Key) error {
	if err := tx.Await(deploymentID, key, "", ""); err != nil {
		return err
	}
	d, n, err := tx.deployment(deploymentID)
	if err != nil || d.open == nil || d.open.phase != key {
		return err
	}
	tx.seen(n, tx.at)
	if !d.maintenance && d.open.stoppedAt != nil {
		d.open.resume(tx.at)
		d.open.dirty = true
	}
	return nil
}

// LetRun lets the clock of a held phase run again while what it awaits stays:
// the machine no longer asks, so its deadline must be able to act.
func (tx *Tx) LetRun(deploymentID int64, key phase.Key, awaiting string) error {
	d, _, err := tx.deployment(deploymentID)
	if err != nil || d.open == nil || d.open.phase != key || d.open.awaiting != awaiting || d.maintenance || d.open.stoppedAt == nil {
		return err
	}
	d.open.resume(tx.at)
	d.open.dirty = true
	return nil
}

// Admit gives the open phase the slot that it waited for, which counts for so
// many bytes, and lets its clock go on.
func (tx *Tx) Admit(deploymentID int64, key phase.Key, bytes int64) error {
	err := tx.atOnce(deploymentID, key, `UPDATE phase_runs SET admitted_at = $1, admitted_bytes = $2, awaiting = '' WHERE id = $3`, tx.at, bytes)
	if err != nil {
		return err
	}
	return tx.GoOn(deploymentID, key)
}

// LineUp puts the open phase at the end of a queue. Hold tells how it stands
// there.
func (tx *Tx) LineUp(deploymentID int64, key phase.Key, awaiting string, bytes int64) error {
	return tx.atOnce(deploymentID, key, `UPDATE phase_runs SET awaiting = $1, awaiting_since = $2, admitted_bytes = $3 WHERE id = $4`, awaiting, tx.at, bytes)
}

// atOnce changes the row of the open phase now and not with the transaction's
// other writes: whoever counts in the same transaction must see it.
func (tx *Tx) atOnce(deploymentID int64, key phase.Key, query string, args ...any) error {
	d, _, err := tx.deployment(deploymentID)
	if err != nil || d.open == nil || d.open.phase != key {
		return err
	}
	return tx.exec("giving out slots", query, append(args, d.open.id)...)
}
