package retention

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
)

// Cluster is an archived cluster: its row and those of all nodes that ever
// belonged to it, with all their columns, under their names.
type Cluster struct {
	Cluster map[string]any   `json:"cluster"`
	Members []map[string]any `json:"members"`
}

// overClusters is the SQL of the clusters that are gone, with everything of them,
// since before $1. Nothing is asked of such a cluster any more, so its rows stay as
// they are. A node that left its place before belongs to its own deployment.
const overClusters = `SELECT c.id, c.version, c.created_at, c.cleanup_at FROM clusters c WHERE c.cleanup_at < $1 AND NOT EXISTS (
	SELECT 1 FROM cluster_members m JOIN deployments d ON d.id = (SELECT MAX(x.id) FROM deployments x WHERE x.cluster_id = m.cluster_id AND x.node_id = m.node_id)
	WHERE m.cluster_id = c.id AND m.state = 'released' AND (d.state <> '` + phase.CleanedUp + `' OR d.updated_at >= $1)) ORDER BY c.id`

// gone is a cluster that is to be removed.
type gone struct {
	id, version      int64
	created, cleanup time.Time
}

// clusters removes those that are gone, each by itself: archived, or dropped, as
// the policy says.
func (k *Keeper) clusters(ctx context.Context, cutoff time.Time) (n int, err error) {
	rows, err := k.store.Read.QueryContext(ctx, overClusters, cutoff)
	if err != nil {
		return 0, wrap(err, "looking for clusters that are gone")
	}
	defer rows.Close()
	var list []gone
	for rows.Next() {
		var g gone
		if err := rows.Scan(&g.id, &g.version, &g.created, &g.cleanup); err != nil {
			return 0, wrap(err, "looking for clusters that are gone")
		}
		list = append(list, g)
	}
	if err := rows.Err(); err != nil {
		return 0, wrap(err, "looking for clusters that are gone")
	}
	if err := rows.Close(); err != nil {
		return 0, wrap(err, "looking for clusters that are gone")
	}
	for _, g := range list {
		if !k.opts.Drop {
			if err := k.archiveCluster(ctx, g); err != nil {
				return n, err
			}
		}
		if err := k.removeCluster(ctx, g); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// archiveCluster writes a cluster's file: under another name, synced, renamed, and
// read back. The name follows from the cluster and its rows do not change, so a
// pass that was killed writes the same again.
func (k *Keeper) archiveCluster(ctx context.Context, g gone) error {
	var epoch string
	if err := k.store.Read.QueryRowContext(ctx, `SELECT epoch FROM stream_counter WHERE id = 1`).Scan(&epoch); err != nil {
		return wrap(err, "reading the database's name")
	}
	members, err := k.table(ctx, `SELECT * FROM cluster_members WHERE cluster_id = $1 ORDER BY position, id`, g.id)
	if err != nil {
		return err
	}
	own, err := k.table(ctx, `SELECT * FROM clusters WHERE id = $1`, g.id)
	if err != nil {
		return err
	}
	if len(own) != 1 {
		return errChanged
	}
	text, err := json.MarshalIndent(Cluster{Cluster: own[0], Members: members}, "", "  ")
	if err != nil {
		return wrap(err, "encoding a cluster")
	}
	file := fmt.Sprintf("cluster-%.8s-%09d.json", epoch, g.id)
	temp, final := filepath.Join(k.opts.ArchiveDir, "."+file+".tmp"), filepath.Join(k.opts.ArchiveDir, file)
	if err := writeSynced(temp, text); err != nil {
		return err
	}
	if err := k.reached("cluster: rename"); err != nil {
		return err
	}
	if err := os.Rename(temp, final); err != nil {
		return wrap(err, "naming the file")
	}
	if err := syncDir(k.opts.ArchiveDir); err != nil {
		return err
	}
	have, err := os.ReadFile(final)
	if err != nil {
		return wrap(err, "reading a file back")
	}
	if !bytes.Equal(have, text) {
		return fmt.Errorf("retention: %s is not what was written", final)
	}
	if err := k.reached("cluster: manifest"); err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	return k.record(entry{File: file, SHA256: hex.EncodeToString(sum[:]), Rows: 1 + len(members), Oldest: g.created.UTC(), Newest: g.cleanup.UTC(), WrittenAt: k.now()})
}

func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return wrap(err, "making a file")
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		return wrap(err, "writing a cluster")
	}
	if err := f.Sync(); err != nil {
		return wrap(err, "writing a cluster")
	}
	return wrap(f.Close(), "writing a cluster")
}

// removeCluster removes a cluster's rows, if it is still the same.
func (k *Keeper) removeCluster(ctx context.Context, g gone) error {
	if err := k.reached("cluster: remove"); err != nil {
		return err
	}
	return k.store.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM cluster_members WHERE cluster_id = $1`, g.id); err != nil {
			return wrap(err, "removing the members of a cluster")
		}
		res, err := tx.ExecContext(ctx, `DELETE FROM clusters WHERE id = $1 AND version = $2`, g.id, g.version)
		if err != nil {
			return wrap(err, "removing a cluster")
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errChanged
		}
		return nil
	})
}

// table reads rows with the names of their columns. What the database keeps as
// JSON or as bytes is its text.
func (k *Keeper) table(ctx context.Context, query string, args ...any) (out []map[string]any, err error) {
	rows, err := k.store.Read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, wrap(err, "reading a cluster")
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, wrap(err, "reading a cluster")
	}
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, wrap(err, "reading a cluster")
		}
		row := map[string]any{}
		for i, name := range names {
			switch v := values[i].(type) {
			case []byte:
				row[name] = string(v)
			case time.Time:
				row[name] = v.UTC()
			default:
				row[name] = v
			}
		}
		out = append(out, row)
	}
	return out, wrap(rows.Err(), "reading a cluster")
}
