package lifecycle

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/slipwayhq/slipway/deploy"
)

// numbered records the serial number that a node's machine is known by, and that
// no other has. Empty: it stays as it is.
func (tx *Tx) numbered(n *nodeRow, serial string) error {
	if serial == "" {
		return nil
	}
	n.dirty = true
	return tx.exec("recording a serial number", `UPDATE nodes SET serial = $1 WHERE id = $2`, serial, n.id)
}

// pin gives a rack node that is known by its serial number alone the MAC address
// of the first machine that has shown to be it; from then on only that one is.
// It tells what was learnt, for the history.
func (tx *Tx) pin(n *nodeRow, req BootRequest) (learnt string, err error) {
	switch {
	case n.provider != deploy.ProviderRack || req.Serial == "" || req.MAC == "" || n.mac.String == req.MAC:
		return "", nil
	case n.mac.Valid: // another was quicker than the look at the node that came before
		return "", &deploy.Error{Code: deploy.CodeConflict, Message: fmt.Sprintf("%s is known by the MAC address %s meanwhile", n.name, n.mac.String)}
	}
	if err := tx.unused("mac", req.MAC, n.id); err != nil {
		return "", err
	}
	tx.facts(n, NodeFacts{MACs: []string{req.MAC}})
	return fmt.Sprintf("; its MAC address is %s, learnt by its serial number %s", req.MAC, req.Serial), nil
}

// unused refuses a value of a unique column that another node has.
func (tx *Tx) unused(column, value string, id int64) error {
	if value == "" {
		return nil
	}
	var other string
	err := tx.sql.QueryRowContext(tx.ctx, `SELECT name FROM nodes WHERE `+column+` = $1 AND id <> $2`, value, id).Scan(&other)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("lifecycle: looking for another node: %w", err)
	}
	return inUse(column, other)
}
