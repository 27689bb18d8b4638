package lifecycle

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
)

// Tx is one transaction of the writer. Deployments and nodes are locked when
// it begins, changed in memory, and written by flush.
type Tx struct {
	ctx     context.Context
	w       *Writer
	sql     *sql.Tx
	at      time.Time
	deps    map[int64]*depRow
	nodes   map[int64]*nodeRow
	events  []*eventRow
	entered []Entered
}

func newTx(ctx context.Context, w *Writer, sqlTx *sql.Tx) *Tx {
	return &Tx{ctx: ctx, w: w, sql: sqlTx, at: w.now(), deps: map[int64]*depRow{}, nodes: map[int64]*nodeRow{}}
}

// SQL is the transaction itself, for what must be committed together with the
// change (completing and inserting jobs).
func (tx *Tx) SQL() *sql.Tx { return tx.sql }

// Now is the transaction's time, the same for all that it records.
func (tx *Tx) Now() time.Time { return tx.at }

// lock takes the rows that the items name: deployments by id, then nodes by
// id, so that two replicas never wait for each other in a ring.
func (tx *Tx) lock(items []*item) error {
	var deps, nodes []int64
	for _, it := range items {
		deps = append(deps, it.deps...)
		nodes = append(nodes, it.nodes...)
	}
	if len(nodes) > 0 {
		current, err := tx.ids(`SELECT current_deployment_id FROM nodes WHERE current_deployment_id IS NOT NULL AND id IN ` + in(nodes))
		if err != nil {
			return err
		}
		deps = append(deps, current...)
	}
	if len(deps) > 0 {
		owners, err := tx.ids(`SELECT node_id FROM deployments WHERE id IN ` + in(deps))
		if err != nil {
			return err
		}
		nodes = append(nodes, owners...)
	}
	if err := tx.loadDeployments(deps); err != nil {
		return err
	}
	return tx.loadNodes(nodes)
}

func (tx *Tx) ids(query string) ([]int64, error) {
	rows, err := tx.sql.QueryContext(tx.ctx, query)
	if err != nil {
		return nil, fmt.Errorf("lifecycle: looking up rows to lock: %w", err)
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("lifecycle: looking up rows to lock: %w", err)
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

func (tx *Tx) loadDeployments(ids []int64) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return tx.deps[id] != nil })
	if len(ids) == 0 {
		return nil
	}
	rows, err := tx.sql.QueryContext(tx.ctx, `SELECT `+depColumns+` FROM deployments WHERE id IN `+in(ids)+` ORDER BY id`+tx.w.store.ForUpdate())
	if err != nil {
		return fmt.Errorf("lifecycle: locking deployments: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		d, err := scanDep(rows)
		if err != nil {
			return err
		}
		tx.deps[d.id] = d
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	runs, err := tx.sql.QueryContext(tx.ctx, `SELECT `+runColumns+` FROM phase_runs WHERE finished_at IS NULL AND deployment_id IN `+in(ids))
	if err != nil {
		return fmt.Errorf("lifecycle: reading open phase runs: %w", err)
	}
	defer runs.Close()
	for runs.Next() {
		id, r, err := scanRun(runs)
		if err != nil {
			return err
		}
		tx.deps[id].open = r
	}
	return runs.Err()
}

func (tx *Tx) loadNodes(ids []int64) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return tx.nodes[id] != nil })
	if len(ids) == 0 {
		return nil
	}
	rows, err := tx.sql.QueryContext(tx.ctx, `SELECT `+nodeColumns+` FROM nodes WHERE id IN `+in(ids)+` ORDER BY id`+tx.w.store.ForUpdate())
	if err != nil {
		return fmt.Errorf("lifecycle: locking nodes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		n, err := scanNode(rows)
		if err != nil {
			return err
		}
		tx.nodes[n.id] = n
	}
	return rows.Err()
}

// deployment gives a locked deployment with its node. One that was made or
// became current after the lock was taken is locked now.
func (tx *Tx) deployment(id int64) (*depRow, *nodeRow, error) {
	if tx.deps[id] == nil {
		if err := tx.loadDeployments([]int64{id}); err != nil {
			return nil, nil, err
		}
	}
	d := tx.deps[id]
	if d == nil {
		return nil, nil, errNoDeployment
	}
	n, err := tx.node(d.nodeID)
	if err != nil {
		return nil, nil, err
	}
	d.profile = n.profile
	return d, n, nil
}

func (tx *Tx) node(id int64) (*nodeRow, error) {
	if tx.nodes[id] == nil {
		if err := tx.loadNodes([]int64{id}); err != nil {
			return nil, err
		}
	}
	if n := tx.nodes[id]; n != nil {
		return n, nil
	}
	return nil, errNoNode
}

// seen moves a node's sign of life; a stale node that lives again is a change
// that the stream shows.
func (tx *Tx) seen(n *nodeRow, at time.Time) {
	if n.lastSeen != nil && !n.lastSeen.Before(at) {
		return
	}
	n.lastSeen, n.touched = &at, true
	if n.stale {
		n.stale, n.dirty = false, true
	}
}

// flush writes what changed and gives the newest stream position, 0 if the
// stream has nothing new. The stream counter is taken last.
func (tx *Tx) flush() (int64, error) {
	for _, d := range tx.ordered() {
		if err := tx.writeDeployment(d); err != nil {
			return 0, err
		}
	}
	for _, e := range tx.entered {
		if tx.w.opts.OnEnter == nil {
			break
		}
		if err := tx.w.opts.OnEnter(tx.ctx, tx.sql, e); err != nil {
			return 0, fmt.Errorf("lifecycle: enqueueing %s of deployment %d: %w", e.Phase, e.DeploymentID, err)
		}
	}
	var changed []*nodeRow
	for _, n := range tx.orderedNodes() {
		if err := tx.writeNode(n); err != nil {
			return 0, err
		}
		if n.dirty {
			changed = append(changed, n)
		}
	}
	count := len(tx.events) + len(changed)
	if count == 0 {
		return 0, nil
	}
	var last int64
	err := tx.sql.QueryRowContext(tx.ctx, `UPDATE stream_counter SET position = position + $1 WHERE id = 1 RETURNING position`, count).Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("lifecycle: taking stream positions: %w", err)
	}
	next := last - int64(count) + 1
	for _, e := range tx.events {
		e.position = next
		next++
	}
	if err := tx.insertEvents(); err != nil {
		return 0, err
	}
	if len(changed) > 0 {
		var cases strings.Builder
		ids := make([]int64, 0, len(changed))
		for _, n := range changed {
			fmt.Fprintf(&cases, " WHEN %d THEN %d", n.id, next)
			ids = append(ids, n.id)
			next++
		}
		if _, err := tx.sql.ExecContext(tx.ctx, `UPDATE nodes SET changed_position = CASE id`+cases.String()+` END WHERE id IN `+in(ids)); err != nil {
			return 0, fmt.Errorf("lifecycle: placing node changes in the stream: %w", err)
		}
	}
	if tx.w.store.Dialect == "postgres" {
		if _, err := tx.sql.ExecContext(tx.ctx, `SELECT pg_notify('slipway_feed', $1)`, fmt.Sprint(last)); err != nil {
			return 0, fmt.Errorf("lifecycle: waking the feeds: %w", err)
		}
	}
	return last, nil
}

func (tx *Tx) ordered() []*depRow {
	out := make([]*depRow, 0, len(tx.deps))
	for _, d := range tx.deps {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *depRow) int { return int(a.id - b.id) })
	return out
}

func (tx *Tx) orderedNodes() []*nodeRow {
	out := make([]*nodeRow, 0, len(tx.nodes))
	for _, n := range tx.nodes {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *nodeRow) int { return int(a.id - b.id) })
	return out
}

func (tx *Tx) exec(what, query string, args ...any) error {
	if _, err := tx.sql.ExecContext(tx.ctx, query, args...); err != nil {
		return fmt.Errorf("lifecycle: %s: %w", what, err)
	}
	return nil
}

// writeDeployment writes a deployment and its runs. Runs are closed before
// others are opened, for the database allows one open run a deployment.
func (tx *Tx) writeDeployment(d *depRow) error {
	runs := d.closed
	if d.open != nil {
		runs = append(runs, d.open)
	}
	for _, r := range runs {
		if r.id == 0 || !r.dirty {
			continue
		}
		err := tx.exec("updating a phase run", `UPDATE phase_runs SET status=$1, tries=$2, progress=$3, message=$4, last_hash=$5, last_sequence=$6,
			awaiting=$7, evidence=$8, awaiting_since=$9, started_at=$10, finished_at=$11, deadline_at=$12, clock_stopped_at=$13, stopped_ms=$14 WHERE id=$15`,
			string(r.status), r.tries, r.progress, r.message, r.lastHash, r.lastSequence, r.awaiting, r.evidence, r.awaitSince, r.started, r.finished, r.deadline, r.stoppedAt, r.stoppedMS, r.id)
		if err != nil {
			return err
		}
		r.dirty = false
	}
	for _, r := range runs {
		if r.id != 0 {
			continue
		}
		def, _ := phase.Lookup(r.phase)
		err := tx.sql.QueryRowContext(tx.ctx, `INSERT INTO phase_runs (deployment_id, attempt, phase, ordinal, status, tries, progress, message, last_hash, last_sequence,
			awaiting, evidence, awaiting_since, entered_at, started_at, finished_at, deadline_at, clock_stopped_at, stopped_ms)
			VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19) RETURNING id`,
			d.id, r.attempt, r.phase, def.Ordinal, string(r.status), r.tries, r.progress, r.message, r.lastHash, r.lastSequence,
			r.awaiting, r.evidence, r.awaitSince, r.entered, r.started, r.finished, r.deadline, r.stoppedAt, r.stoppedMS).Scan(&r.id)
		if err != nil {
			return fmt.Errorf("lifecycle: inserting a phase run: %w", err)
		}
		r.dirty = false
	}
	if !d.dirty {
		return nil
	}
	var f failure
	var failedAt *time.Time
	if d.failure != nil {
		f, failedAt = *d.failure, &d.failure.at
	}
	var retryable, failedSequence any
	if d.failure != nil {
		retryable, failedSequence = f.retryable, f.sequence
	}
	return tx.exec("updating a deployment", `UPDATE deployments SET attempt=$1, state=$2, phase=$3, phase_status=$4, maintenance=$5, sequence=$6, boots=$7, reboots=$8,
		failure_phase=$9, failure_code=$10, failure_message=$11, failure_hint=$12, failure_retryable=$13, failure_sequence=$14, failed_at=$15,
		started_at=$16, finished_at=$17, updated_at=$18, version=version+1 WHERE id=$19`,
		d.attempt, d.state, d.phase, string(d.phaseStatus), d.maintenance, d.sequence, d.boots, d.reboots,
		nullText(f.phase), nullText(f.code), nullText(f.message), nullText(f.hint), retryable, failedSequence, failedAt,
		d.started, d.finished, tx.at, d.id)
}

func (tx *Tx) writeNode(n *nodeRow) error {
	switch {
	case n.dirty:
		n.version++
		return tx.exec("updating a node", `UPDATE nodes SET name=$1, server_profile=$2, management_ip=$3, workload_ip=$4, mac=$5, mac_addresses=$6, labels=$7,
			deployment_status=$8, state=$9, current_deployment_id=$10, server_id=$11, server_status=$12, ssh_host_key=$13, boot_id=$14, ssh_port=$15,
			stale=$16, version=$17, last_seen_at=$18, updated_at=$19 WHERE id=$20`,
			n.name, n.profile, n.managementIP, n.workloadIP, n.mac, mustJSON(n.macs), mustJSON(n.labels),
			n.status, n.state, n.current, n.serverID, n.serverStatus, n.hostKey, n.bootID, n.sshPort,
			n.stale, n.version, n.lastSeen, tx.at, n.id)
	case n.touched:
		return tx.exec("noting a sign of life", `UPDATE nodes SET last_seen_at=$1 WHERE id=$2`, n.lastSeen, n.id)
	}
	return nil
}

// insertEvents writes the history rows of the group in one statement per
// hundred rows and fills in the receipts.
func (tx *Tx) insertEvents() error {
	const columns = 23
	for chunk := range slices.Chunk(tx.events, 100) {
		var b strings.Builder
		b.WriteString(`INSERT INTO deployment_history (position, deployment_id, node_id, batch_id, sequence, attempt, phase, status, message, outcome, refused_code,
			source, actor, progress, server_status, details, log_tail, idempotency_key, hash, state, occurred_at, recorded_at, id) VALUES `)
		args := make([]any, 0, len(chunk)*columns)
		for i, e := range chunk {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('(')
			for c := range columns {
				if c > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, "$%d", i*columns+c+1)
			}
			b.WriteByte(')')
			// The position is unique and final, so it serves as the id too.
			e.id = e.position
			args = append(args, e.position, e.dep.id, e.dep.nodeID, e.dep.batchID, e.sequence, e.attempt, e.phase, string(e.status), e.message, string(e.outcome), nullText(e.refusedCode),
				string(e.source), e.actor, e.progress, nullText(e.serverStatus), nullJSON(e.details), nullText(e.logTail), nullText(e.idempotencyKey), e.hash, e.state, e.occurred, tx.at, e.id)
			if e.receipt != nil {
				e.receipt.EventID, e.receipt.Position = e.id, e.position
			}
		}
		if err := tx.exec("writing history", b.String(), args...); err != nil {
			return err
		}
	}
	return nil
}
