package lifecycle

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
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
	prior   map[idempotencyKey]*priorEvent // what was looked up for the reports of the group; nil = nothing has the key
	events  []*eventRow
	entered []Entered
	staged  staged
}

func newTx(ctx context.Context, w *Writer, sqlTx *sql.Tx) *Tx {
	return &Tx{ctx: ctx, w: w, sql: sqlTx, at: w.now(), deps: map[int64]*depRow{}, nodes: map[int64]*nodeRow{}, prior: map[idempotencyKey]*priorEvent{}}
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
	if err := tx.loadDeployments(deps, nodes); err != nil {
		return err
	}
	for _, d := range tx.deps {
		nodes = append(nodes, d.nodeID)
	}
	if err := tx.loadNodes(nodes); err != nil {
		return err
	}
	return tx.lookUpKeys(items)
}

func distinct(ids []int64) []int64 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// loadDeployments locks deployments and the current ones of nodes, by id.
func (tx *Tx) loadDeployments(ids, nodes []int64) error {
	ids = slices.DeleteFunc(distinct(ids), func(id int64) bool { return tx.deps[id] != nil })
	if len(ids)+len(nodes) == 0 {
		return nil
	}
	where, args := tx.among("id", 1), []any{tx.idList(ids)}
	if len(nodes) > 0 {
		where += ` OR id IN (SELECT current_deployment_id FROM nodes WHERE ` + tx.among("id", 2) + `)`
		if tx.w.store.Dialect == store.PostgreSQL { // an array, for it would read the whole table for an OR
			where = `id = ANY($1::bigint[] || ARRAY(SELECT current_deployment_id FROM nodes WHERE ` + tx.among("id", 2) + `))`
		}
		args = append(args, tx.idList(distinct(nodes)))
	}
	rows, err := tx.query("locking deployments", `SELECT `+depColumns+` FROM deployments WHERE `+where+` ORDER BY id`+tx.w.store.ForUpdate(), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var locked []int64
	for rows.Next() {
		d, err := scanDep(rows)
		if err != nil {
			return err
		}
		if tx.deps[d.id] == nil {
			tx.deps[d.id] = d
			locked = append(locked, d.id)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(locked) == 0 {
		return err
	}
	return tx.loadRuns(locked)
}

// loadRuns reads the open runs of deployments. It is a statement of its own
// because it must see what was committed while the lock was waited for.
func (tx *Tx) loadRuns(deps []int64) error {
	rows, err := tx.query("reading open phase runs", `SELECT `+runColumns+` FROM phase_runs WHERE finished_at IS NULL AND `+tx.among("deployment_id", 1), tx.idList(deps))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		id, r, err := scanRun(rows)
		if err != nil {
			return err
		}
		tx.deps[id].open = r
	}
	return rows.Err()
}

func (tx *Tx) loadNodes(ids []int64) error {
	ids = slices.DeleteFunc(distinct(ids), func(id int64) bool { return tx.nodes[id] != nil })
	if len(ids) == 0 {
		return nil
	}
	rows, err := tx.query("locking nodes", `SELECT `+nodeColumns+` FROM nodes WHERE `+tx.among("id", 1)+` ORDER BY id`+tx.w.store.ForUpdate(), tx.idList(ids))
	if err != nil {
		return err
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
		if err := tx.loadDeployments([]int64{id}, nil); err != nil {
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
// stream has nothing new. The stream counter is taken last; what is written
// after it are rows that this transaction has locked, or made, already.
func (tx *Tx) flush() (int64, error) {
	if err := tx.writeDeployments(); err != nil {
		return 0, err
	}
	if err := errors.Join(tx.enter(), tx.free()); err != nil {
		return 0, err
	}
	var changed []*nodeRow
	touched := batch{columns: nodeTouch}
	for _, n := range tx.orderedNodes() {
		switch {
		case n.dirty:
			changed = append(changed, n)
		case n.touched:
			touched.add(n.lastSeen, n.id)
		}
	}
	if err := touched.update(tx, "noting signs of life", "nodes", ""); err != nil {
		return 0, err
	}
	count := len(tx.events) + len(changed)
	if count == 0 {
		return 0, tx.send()
	}
	last, err := tx.takePositions(count)
	if err != nil {
		return 0, err
	}
	next := last - int64(count) + 1
	if err := tx.insertEvents(next); err != nil {
		return 0, err
	}
	if err := tx.writeNodes(changed, next+int64(len(tx.events))); err != nil {
		return 0, err
	}
	if tx.w.store.Dialect == store.PostgreSQL {
		if last, err = tx.sendPositions(); err != nil {
			return 0, err
		}
	}
	for i, e := range tx.events {
		// The position is unique and final, so it serves as the id too.
		e.position = last - int64(count) + 1 + int64(i)
		e.id = e.position
		if e.receipt != nil {
			e.receipt.EventID, e.receipt.Position = e.id, e.position
		}
	}
	return last, nil
}

// enter enqueues the steps of the phases that were entered.
func (tx *Tx) enter() error {
	if len(tx.entered) == 0 || tx.w.opts.OnEnter == nil {
		return nil
	}
	if err := tx.send(); err != nil {
		return err
	}
	for _, e := range tx.entered {
		if err := tx.w.opts.OnEnter(tx.ctx, tx.sql, e); err != nil {
			return fmt.Errorf("lifecycle: enqueueing %s of deployment %d: %w", e.Phase, e.DeploymentID, err)
		}
	}
	return nil
}

// free tells that slots were given back.
func (tx *Tx) free() error {
	if tx.w.opts.OnFreed == nil {
		return nil
	}
	n := 0
	for _, d := range tx.deps {
		if d.provider != deploy.ProviderScript && held(d.was.state, d.was.phase) && !held(d.state, d.phase) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	if err := tx.send(); err != nil { // who is woken is chosen by what runs now
		return err
	}
	if err := tx.w.opts.OnFreed(tx.ctx, tx.sql, n); err != nil {
		return fmt.Errorf("lifecycle: telling of %d free slots: %w", n, err)
	}
	return nil
}

// held reports whether a deployment in this state and phase holds a slot. One
// that waits for its cluster does not.
func held(state, key string) bool {
	return phase.Active(state) && state != phase.Queued && key != phase.ClusterFormation
}

// takePositions moves the stream counter and gives the newest position. On
// PostgreSQL the move is staged, and positions count from 0 backwards until
// it is sent.
func (tx *Tx) takePositions(count int) (last int64, err error) {
	if tx.w.store.Dialect == store.PostgreSQL {
		tx.staged.counter(count)
		return 0, nil
	}
	rows, err := tx.query("taking stream positions", moveCounter+`1 WHERE id = 1 RETURNING position`, count)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&last); err != nil {
			return 0, fmt.Errorf("lifecycle: taking stream positions: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("lifecycle: taking stream positions: %w", err)
	}
	return last, nil
}

// writeNodes writes nodes that the stream shows, at positions from next on.
func (tx *Tx) writeNodes(changed []*nodeRow, next int64) error {
	const version = ", version=version+1"
	nodes, often := batch{columns: nodeUpdate}, batch{columns: nodeOften}
	for _, n := range changed {
		n.version++
		if n.rare() == n.was && !n.lists {
			often.add(n.lastSeen, tx.at, next, n.id)
		} else {
			nodes.add(n.name, n.profile, n.managementIP, n.workloadIP, n.mac, mustJSON(n.macs), mustJSON(n.labels),
				n.status, n.state, n.current, n.serverID, n.serverStatus, n.hostKey, n.bootID, n.sshPort, n.stale, n.late, n.lastSeen, tx.at, next, n.id)
		}
		next++
	}
	return errors.Join(nodes.update(tx, "updating nodes", "nodes", version), often.update(tx, "updating nodes", "nodes", version))
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

// writeDeployments writes deployments and their runs. Runs are closed before
// others are opened, for the database allows one open run a deployment.
func (tx *Tx) writeDeployments() error {
	closing, opening, deps := batch{columns: runUpdate}, batch{columns: runInsert}, batch{columns: deploymentUpdate}
	runsOften, depsOften := batch{columns: runOften}, batch{columns: deploymentOften}
	for _, d := range tx.ordered() {
		runs := d.closed
		if d.open != nil {
			runs = append(runs, d.open)
		}
		for _, r := range runs {
			switch {
			case r.id == 0:
				def, _ := phase.Lookup(r.phase)
				opening.add(d.id, r.attempt, r.phase, def.Ordinal, d.provider, d.profile, string(r.status), r.tries, r.progress, r.message, r.lastHash, r.lastSequence,
					r.awaiting, r.evidence, r.awaitSince, r.entered, r.started, r.finished, r.deadline, r.stoppedAt, r.stoppedMS)
			case r.dirty && r.rare() == r.was:
				runsOften.add(r.progress, r.message, r.lastHash, r.lastSequence, r.id)
			case r.dirty:
				closing.add(string(r.status), r.tries, r.progress, r.message, r.lastHash, r.lastSequence, r.awaiting, r.evidence, r.awaitSince,
					r.started, r.finished, r.deadline, r.stoppedAt, r.stoppedMS, r.id)
			}
		}
		switch {
		case d.dirty && d.rare() == d.was:
			depsOften.add(d.sequence, tx.at, d.id)
		case d.dirty:
			f := d.failureColumns()
			deps.add(d.attempt, d.state, d.phase, string(d.phaseStatus), d.maintenance, d.sequence, d.boots, d.reboots, d.resume,
				f[0], f[1], f[2], f[3], f[4], f[5], f[6], d.started, d.finished, tx.at, d.id)
		}
	}
	const version = ", version=version+1"
	for _, write := range []func() error{
		func() error { return closing.update(tx, "updating phase runs", "phase_runs", "") },
		func() error { return runsOften.update(tx, "updating phase runs", "phase_runs", "") },
		func() error {
			if opening.rows == 0 {
				return nil
			}
			return errors.Join(tx.send(), opening.insert(tx, "opening phase runs", "phase_runs"))
		},
		func() error { return deps.update(tx, "updating deployments", "deployments", version) },
		func() error { return depsOften.update(tx, "updating deployments", "deployments", version) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// failureColumns gives phase, code, message, hint, retryable, sequence and
// time of the failure, all NULL if there is none.
func (d *depRow) failureColumns() [7]any {
	if d.failure == nil {
		return [7]any{}
	}
	f := d.failure
	return [7]any{nullText(f.phase), nullText(f.code), nullText(f.message), nullText(f.hint), f.retryable, f.sequence, f.at}
}

// insertEvents writes the history rows of the group, at positions from next on.
func (tx *Tx) insertEvents(next int64) error {
	rows := batch{columns: eventInsert}
	for _, e := range tx.events {
		rows.add(next, next, e.dep.id, e.dep.nodeID, nullInt(e.dep.batchID), e.sequence, e.attempt, e.phase, string(e.status), e.message, string(e.outcome), nullText(e.refusedCode),
			string(e.source), e.actor, e.progress, nullText(e.serverStatus), nullJSON(e.details), nullText(e.logTail), nullText(e.idempotencyKey), e.hash, e.state, e.occurred, tx.at)
		next++
	}
	return rows.insert(tx, "writing history", "deployment_history")
}
