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
