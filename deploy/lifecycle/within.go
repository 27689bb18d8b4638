package lifecycle

// The verbs within a transaction that somebody else keeps a row of their own
// in: what was asked and that it was asked are on disk together, or neither.
// They answer like the Writer's methods of the same names; what is refused has
// changed nothing. A receipt's event id and position are there after the commit.

// Retry is Writer.Retry in this transaction.
func (tx *Tx) Retry(c Retry) (*Receipt, error) { return tx.retry(c) }

// Cancel is Writer.Cancel in this transaction.
func (tx *Tx) Cancel(c Cancel) (*Receipt, error) { return tx.cancel(c) }

// Cleanup is Writer.Cleanup in this transaction.
func (tx *Tx) Cleanup(c Cleanup) (*Receipt, error) { return tx.cleanup(c) }

// Reinitialize is Writer.Reinitialize in this transaction, with the spec of the
// last time: c.Spec is not looked at.
func (tx *Tx) Reinitialize(c Reinitialize) (Deployed, error) {
	c.Spec = nil
	return tx.reinitialize(c)
}
