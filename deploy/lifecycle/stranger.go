package lifecycle

import (
	"context"
	"fmt"
)

// strangersKept bounds the log of what strangers sent.
const strangersKept = 1000

// Stranger keeps what somebody without a right to report sent, in a bounded
// log. The caller limits its rate.
func (w *Writer) Stranger(ctx context.Context, code, remote, path, summary string) error {
	if len(summary) > 500 {
		summary = summary[:500]
	}
	return w.Do(ctx, nil, nil, func(tx *Tx) error {
		var id int64
		err := tx.sql.QueryRowContext(tx.ctx, `INSERT INTO stranger_reports (code, remote, path, summary, recorded_at) VALUES ($1,$2,$3,$4,$5) RETURNING id`,
			code, remote, path, summary, tx.at).Scan(&id)
		if err != nil {
			return fmt.Errorf("lifecycle: keeping a stranger's report: %w", err)
		}
		return tx.exec("bounding the strangers' log", `DELETE FROM stranger_reports WHERE id <= $1`, id-strangersKept)
	})
}
