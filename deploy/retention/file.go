package retention

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Row is one line of an archive file: a row of deployment_history with all its
// columns, under their names.
type Row struct {
	ID             int64           `json:"id"`
	Position       int64           `json:"position"`
	DeploymentID   int64           `json:"deployment_id"`
	NodeID         int64           `json:"node_id"`
	BatchID        *int64          `json:"batch_id"`
	Sequence       int             `json:"sequence"`
	Attempt        int             `json:"attempt"`
	Phase          string          `json:"phase"`
	Status         string          `json:"status"`
	Message        string          `json:"message"`
	Outcome        string          `json:"outcome"`
	RefusedCode    *string         `json:"refused_code"`
	Source         string          `json:"source"`
	Actor          string          `json:"actor"`
	Progress       *int            `json:"progress"`
	ServerStatus   *string         `json:"server_status"`
	Details        json.RawMessage `json:"details"`
	LogTail        *string         `json:"log_tail"`
	IdempotencyKey *string         `json:"idempotency_key"`
	Hash           string          `json:"hash"`
	State          string          `json:"state"`
	OccurredAt     time.Time       `json:"occurred_at"`
	RecordedAt     time.Time       `json:"recorded_at"`
}

const rowColumns = `h.id, h.position, h.deployment_id, h.node_id, h.batch_id, h.sequence, h.attempt, h.phase, h.status, h.message, h.outcome, h.refused_code,
	h.source, h.actor, h.progress, h.server_status, h.details, h.log_tail, h.idempotency_key, h.hash, h.state, h.occurred_at, h.recorded_at`

func scanRow(rows *sql.Rows) (r Row, err error) {
	var details []byte
	err = rows.Scan(&r.ID, &r.Position, &r.DeploymentID, &r.NodeID, &r.BatchID, &r.Sequence, &r.Attempt, &r.Phase, &r.Status, &r.Message, &r.Outcome, &r.RefusedCode,
		&r.Source, &r.Actor, &r.Progress, &r.ServerStatus, &details, &r.LogTail, &r.IdempotencyKey, &r.Hash, &r.State, &r.OccurredAt, &r.RecordedAt)
	if len(details) > 0 {
		r.Details = slices.Clone(details)
	}
	r.OccurredAt, r.RecordedAt = r.OccurredAt.UTC(), r.RecordedAt.UTC()
	return r, err
}

// writeTemp writes the chunk's events to a file and syncs it. The same events
// give the same bytes.
func (k *Keeper) writeTemp(ctx context.Context, c chunk, path string) (found content, sum string, err error) {
	rows, err := k.store.Read.QueryContext(ctx, `SELECT `+rowColumns+old+over+` ORDER BY h.position`, c.First, c.Last, c.Cutoff)
	if err != nil {
		return found, "", wrap(err, "reading old events")
	}
	defer rows.Close()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return found, "", wrap(err, "making a file")
	}
	defer f.Close()
	hash := sha256.New()
	packed := gzip.NewWriter(io.MultiWriter(f, hash))
	lines := json.NewEncoder(packed)
	lines.SetEscapeHTML(false)
	for rows.Next() {
		r, err := scanRow(rows)
		if err != nil {
			return found, "", wrap(err, "reading old events")
		}
		if err := lines.Encode(r); err != nil {
			return found, "", wrap(err, "writing events")
		}
		if len(found.positions) == 0 {
			found.oldest, found.newest = r.RecordedAt, r.RecordedAt
		}
		if r.RecordedAt.Before(found.oldest) {
			found.oldest = r.RecordedAt
		}
		if r.RecordedAt.After(found.newest) {
			found.newest = r.RecordedAt
		}
		found.add(r.Position, r.DeploymentID)
		if len(found.positions) == 2 { // in the middle
			if err := errors.Join(packed.Flush(), k.reached("write")); err != nil {
				return found, "", err
			}
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return found, "", wrap(err, "reading old events")
	}
	if err := packed.Close(); err != nil {
		return found, "", wrap(err, "writing events")
	}
	if err := k.reached("sync"); err != nil {
		return found, "", err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return found, "", wrap(err, "writing events")
	}
	return found, hex.EncodeToString(hash.Sum(nil)), nil
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return wrap(err, "opening the archive")
	}
	return wrap(errors.Join(d.Sync(), d.Close()), "syncing the archive")
}

// verify reads a file back: its sum must be this, and its events those.
func verify(path, sum string, positions []int64) error {
	f, err := os.Open(path)
	if err != nil {
		return wrap(err, "reading a file back")
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return wrap(err, "reading a file back")
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != sum {
		return fmt.Errorf("retention: %s has the SHA-256 %s, not %s as it was written", path, got, sum)
	}
	have, err := positionsOf(path)
	if err != nil {
		return wrap(err, "reading a file back")
	}
	if !slices.Equal(have, positions) {
		return fmt.Errorf("retention: %s has other events than were written", path)
	}
	return nil
}

// positionsOf reads which events a file has.
func positionsOf(path string) (out []int64, err error) {
	err = Read(path, func(r Row) error {
		out = append(out, r.Position)
		return nil
	})
	return out, err
}

// Read gives every event of an archive file, in order.
func Read(path string, each func(Row) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	packed, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	lines := json.NewDecoder(packed)
	for {
		var r Row
		err := lines.Decode(&r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if string(r.Details) == "null" {
			r.Details = nil
		}
		if err := each(r); err != nil {
			return err
		}
	}
}

// manifestName is the archive's list of files, one JSON object a line. The
// last line of a file counts.
const manifestName = "manifest.ndjson"

type entry struct {
	File      string    `json:"file"`
	SHA256    string    `json:"sha256"` // of the compressed file
	Rows      int       `json:"rows"`
	First     int64     `json:"first_position"`
	Last      int64     `json:"last_position"`
	Oldest    time.Time `json:"oldest"`
	Newest    time.Time `json:"newest"`
	WrittenAt time.Time `json:"written_at"`
}

// record appends a file to the manifest, unless its last line says so already.
func (k *Keeper) record(e entry) error {
	path := filepath.Join(k.opts.ArchiveDir, manifestName)
	have, torn, err := readManifest(path)
	if err != nil {
		return err
	}
	if last, ok := have[e.File]; ok && last.SHA256 == e.SHA256 {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return wrap(err, "encoding the manifest")
	}
	if torn { // a line that was cut off stays alone
		line = append([]byte("\n"), line...)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return wrap(err, "opening the manifest")
	}
	_, err = f.Write(append(line, '\n'))
	return wrap(errors.Join(err, f.Sync(), f.Close(), syncDir(k.opts.ArchiveDir)), "writing the manifest")
}

// readManifest gives the last line of each file; torn = the last line of all
// has no end.
func readManifest(path string) (out map[string]entry, torn bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, wrap(err, "reading the manifest")
	}
	out = map[string]entry{}
	rest := text
	for len(rest) > 0 {
		end := slices.Index(rest, '\n')
		if end < 0 {
			return out, true, nil
		}
		var e entry
		if json.Unmarshal(rest[:end], &e) == nil && e.File != "" {
			out[e.File] = e
		}
		rest = rest[end+1:]
	}
	return out, false, nil
}
