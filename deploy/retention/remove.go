package retention

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// content is which events a chunk has.
type content struct {
	positions   []int64
	deployments map[int64]bool
	oldest      time.Time
	newest      time.Time
}

func (c *content) add(position, deployment int64) {
	if c.deployments == nil {
		c.deployments = map[int64]bool{}
	}
	c.positions = append(c.positions, position)
	c.deployments[deployment] = true
}

// errChanged means that a deployment went on, or somebody else took over,
// while its events were being archived. The next pass looks again.
var errChanged = errors.New("retention: what was to be removed has changed meanwhile")

// remove deletes exactly these events, moves the stream's floor and ends the
// intent, all in one transaction. owner "" = there is no intent.
func (k *Keeper) remove(ctx context.Context, c content, owner string) error {
	if len(c.positions) == 0 && owner == "" {
		return nil
	}
	if err := k.reached("remove"); err != nil {
		return err
	}
	err := k.store.InTx(ctx, func(tx *sql.Tx) error {
		if owner != "" {
			if err := k.endIntent(ctx, tx, owner); err != nil {
				return err
			}
		}
		if err := k.stillOver(ctx, tx, c); err != nil {
			return err
		}
		err := k.store.WithRetention(ctx, tx, func() error {
			for part := range slices.Chunk(c.positions, 500) {
				res, err := tx.ExecContext(ctx, `DELETE FROM deployment_history WHERE position IN `+list(part))
				if err != nil {
					return wrap(err, "removing old events")
				}
				if n, err := res.RowsAffected(); err != nil || n != int64(len(part)) {
					return errors.Join(errChanged, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if n := len(c.positions); n > 0 {
			if _, err := k.raise(ctx, tx, c.positions[n-1]); err != nil {
				return err
			}
		}
		return k.reached("commit")
	})
	if err != nil {
		return err
	}
	return k.reached("removed")
}

// stillOver locks the deployments, in the order in which everybody does, and
// looks whether one of them has become active again.
func (k *Keeper) stillOver(ctx context.Context, tx *sql.Tx, c content) error {
	ids := make([]int64, 0, len(c.deployments))
	for id := range c.deployments {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for part := range slices.Chunk(ids, 500) {
		rows, err := tx.QueryContext(ctx, `SELECT CASE WHEN `+over+` THEN 1 ELSE 0 END FROM deployments d WHERE d.id IN `+list(part)+` ORDER BY d.id`+k.store.ForUpdate())
		if err != nil {
			return wrap(err, "locking deployments")
		}
		ended, err := sum(rows)
		if err != nil {
			return wrap(err, "locking deployments")
		}
		if ended != len(part) {
			return errChanged
		}
	}
	return nil
}

func sum(rows *sql.Rows) (n int, err error) {
	defer rows.Close()
	for rows.Next() {
		var v int
		if err := rows.Scan(&v); err != nil {
			return 0, err
		}
		n += v
	}
	return n, rows.Err()
}

// raise moves the stream's floor to a position, never down, and gives where
// it is.
func (k *Keeper) raise(ctx context.Context, tx *sql.Tx, position int64) (int64, error) {
	var text string
	err := tx.QueryRowContext(ctx, `SELECT value FROM settings WHERE id = 'stream_floor'`+k.store.ForUpdate()).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, wrap(err, "reading the stream's floor")
	}
	var floor int64
	if err == nil {
		if floor, err = strconv.ParseInt(text, 10, 64); err != nil {
			return 0, wrap(err, "reading the stream's floor")
		}
	}
	if position <= floor {
		return floor, nil
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO settings (id, value, updated_at) VALUES ('stream_floor', $1, $2)
		ON CONFLICT (id) DO UPDATE SET value = $1, updated_at = $2`, strconv.FormatInt(position, 10), k.now())
	return position, wrap(err, "moving the stream's floor")
}

// list renders numbers that the program itself has made.
func list(ids []int64) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = fmt.Sprint(id)
	}
	return "(" + strings.Join(parts, ",") + ")"
}
