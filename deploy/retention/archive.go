package retention

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// intentID names the row of settings that says what is being archived.
const intentID = "retention_intent"

// archive moves a new chunk to a file.
func (k *Keeper) archive(ctx context.Context, c chunk) (int, error) {
	var epoch string
	if err := k.store.Read.QueryRowContext(ctx, `SELECT epoch FROM stream_counter WHERE id = 1`).Scan(&epoch); err != nil {
		return 0, wrap(err, "reading the database's name")
	}
	// Of this database, day and range: no other chunk ever has this name, for
	// the event at its first position is gone when the chunk is done.
	c.File = fmt.Sprintf("events-%.8s-%s-%015d-%015d.ndjson.gz", epoch, c.File, c.First, c.Last)
	return k.finish(ctx, c)
}

// resume finishes the chunk that an earlier pass has left.
func (k *Keeper) resume(ctx context.Context) (int, error) {
	if k.opts.ArchiveDir != "" {
		if err := k.sweepTemp(); err != nil {
			return 0, err
		}
	}
	var text string
	err := k.store.Read.QueryRowContext(ctx, `SELECT value FROM settings WHERE id = $1`, intentID).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, wrap(err, "reading what was begun")
	}
	var c chunk
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return 0, wrap(err, "reading what was begun")
	}
	if k.opts.ArchiveDir == "" {
		// The policy has changed; the file, if it was written, is an archive all the same.
		_, err := k.store.Write.ExecContext(ctx, `DELETE FROM settings WHERE id = $1`, intentID)
		return 0, wrap(err, "forgetting what was begun")
	}
	k.opts.Logger.Info("archiving goes on where it was interrupted", "file", c.File)
	return k.finish(ctx, c)
}

// sweepTemp removes the temporary files of passes that were killed.
func (k *Keeper) sweepTemp() error {
	left, err := filepath.Glob(filepath.Join(k.opts.ArchiveDir, ".events-*.tmp"))
	if err != nil {
		return wrap(err, "looking for temporary files")
	}
	for _, f := range left {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return wrap(err, "removing a temporary file")
		}
	}
	return nil
}

// finish takes a chunk from its intent to its end.
func (k *Keeper) finish(ctx context.Context, c chunk) (int, error) {
	if err := k.reached("intent"); err != nil {
		return 0, err
	}
	c.Owner = uuid.NewString()
	if err := k.intend(ctx, c); err != nil {
		return 0, err
	}
	if err := k.reached("intended"); err != nil {
		return 0, err
	}
	found, sum, err := k.write(ctx, c)
	if err != nil {
		return 0, err
	}
	if len(found.positions) > 0 {
		if err := k.reached("verify"); err != nil {
			return 0, err
		}
		if err := verify(filepath.Join(k.opts.ArchiveDir, c.File), sum, found.positions); err != nil {
			return 0, err
		}
		if err := k.reached("manifest"); err != nil {
			return 0, err
		}
		err := k.record(entry{File: c.File, SHA256: sum, Rows: len(found.positions), First: found.positions[0], Last: found.positions[len(found.positions)-1],
			Oldest: found.oldest, Newest: found.newest, WrittenAt: k.now()})
		if err != nil {
			return 0, err
		}
	}
	if err := k.remove(ctx, found, c.Owner); err != nil {
		return 0, err
	}
	return len(found.positions), nil
}

// intend commits what is about to be archived, and by whom.
func (k *Keeper) intend(ctx context.Context, c chunk) error {
	text, err := json.Marshal(c)
	if err != nil {
		return wrap(err, "encoding the intent")
	}
	_, err = k.store.Write.ExecContext(ctx, `INSERT INTO settings (id, value, updated_at) VALUES ($1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET value = $2, updated_at = $3`, intentID, string(text), k.now())
	return wrap(err, "writing the intent")
}

// endIntent removes the intent if it is still this pass's own.
func (k *Keeper) endIntent(ctx context.Context, tx *sql.Tx, owner string) error {
	var text string
	err := tx.QueryRowContext(ctx, `SELECT value FROM settings WHERE id = $1`+k.store.ForUpdate(), intentID).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return errChanged
	}
	if err != nil {
		return wrap(err, "reading the intent")
	}
	var c chunk
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return wrap(err, "reading the intent")
	}
	if c.Owner != owner {
		return errChanged
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM settings WHERE id = $1`, intentID)
	return wrap(err, "ending the intent")
}

// write makes the chunk's file: under another name, synced, then renamed. A
// file of that name can only be left from a pass that was interrupted; it is
// replaced if nothing that only it has would be lost. Without any events there
// is no file.
func (k *Keeper) write(ctx context.Context, c chunk) (found content, sum string, err error) {
	temp, final := filepath.Join(k.opts.ArchiveDir, "."+c.File+".tmp"), filepath.Join(k.opts.ArchiveDir, c.File)
	found, sum, err = k.writeTemp(ctx, c, temp)
	if err != nil {
		return found, "", err
	}
	if err := k.replaceable(ctx, final, found.positions); err != nil {
		return found, "", err
	}
	if len(found.positions) == 0 {
		for _, f := range []string{temp, final} {
			if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return found, "", wrap(err, "removing an empty file")
			}
		}
		return found, "", syncDir(k.opts.ArchiveDir)
	}
	if err := k.reached("rename"); err != nil {
		return found, "", err
	}
	if err := os.Rename(temp, final); err != nil {
		return found, "", wrap(err, "naming the file")
	}
	if err := k.reached("syncdir"); err != nil {
		return found, "", err
	}
	return found, sum, syncDir(k.opts.ArchiveDir)
}

// replaceable looks whether a file may be replaced by one with these events:
// what it has beyond them must still be in the database.
func (k *Keeper) replaceable(ctx context.Context, file string, with []int64) error {
	have, err := positionsOf(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("retention: %s is in the archive and cannot be read; move it away: %w", file, err)
	}
	only := map[int64]bool{}
	for _, p := range have {
		only[p] = true
	}
	for _, p := range with {
		delete(only, p)
	}
	for part := range slices.Chunk(slices.Sorted(maps.Keys(only)), 500) {
		var n int
		if err := k.store.Read.QueryRowContext(ctx, `SELECT COUNT(*) FROM deployment_history WHERE position IN `+list(part)).Scan(&n); err != nil {
			return wrap(err, "comparing with the archive")
		}
		if n != len(part) {
			return fmt.Errorf("retention: %s is in the archive and has events that are nowhere else; move it away", strings.TrimPrefix(file, k.opts.ArchiveDir))
		}
	}
	return nil
}
