package lifecycle

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// BatchMax is the most deployments in one batch.
const BatchMax = 500

// Check tells every bad field of the request; prefix is put before field names.
func (in NewDeployment) Check(prefix string) []deploy.FieldError {
	var bad []deploy.FieldError
	if in.NodeID == 0 {
		bad = deploy.CheckNodeName(prefix+"name", in.Name)
	}
	bad = append(bad, in.Spec.Check(prefix+"spec.")...)
	if len(in.ClusterName) > 63 {
		bad = append(bad, deploy.FieldError{Field: prefix + "cluster_name", Code: deploy.CodeOutOfRange, Message: "is longer than 63 characters"})
	}
	if len(in.IdempotencyKey) > 200 {
		bad = append(bad, deploy.FieldError{Field: prefix + "idempotency_key", Code: deploy.CodeOutOfRange, Message: "is longer than 200 characters"})
	}
	return append(bad, checkLabels(in.Labels)...)
}

func checkLabels(labels map[string]string) []deploy.FieldError {
	if len(labels) > 64 {
		return []deploy.FieldError{{Field: "labels", Code: deploy.CodeOutOfRange, Message: "at most 64 labels"}}
	}
	for k, v := range labels {
		if k == "" || len(k) > 63 || len(v) > 255 {
			return []deploy.FieldError{{Field: "labels", Code: deploy.CodeOutOfRange, Message: "a key has 1 to 63 characters, a value at most 255"}}
		}
	}
	return nil
}

// Deploy accepts a deployment: node (if new), deployment, its first phase run
// and its first step are on disk when it answers.
func (w *Writer) Deploy(ctx context.Context, in NewDeployment) (out Deployed, err error) {
	if err := deploy.Invalid(in.Check("")); err != nil {
		return out, err
	}
	var nodes []int64
	if in.NodeID != 0 {
		nodes = []int64{in.NodeID}
	}
	err = w.Do(ctx, nil, nodes, func(tx *Tx) (err error) {
		out, err = tx.Deploy(in, sql.NullInt64{})
		return err
	})
	return out, w.named(err)
}

// DeployBatch accepts several deployments together; each succeeds or is
// refused by itself.
func (w *Writer) DeployBatch(ctx context.Context, in NewBatch) (out BatchResult, err error) {
	if len(in.Deployments) == 0 || len(in.Deployments) > BatchMax {
		return out, deploy.Invalid([]deploy.FieldError{{Field: "nodes", Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("1 to %d nodes", BatchMax)}})
	}
	if in.MaxParallel < 1 || in.MaxParallel > BatchMax {
		return out, deploy.Invalid([]deploy.FieldError{{Field: "max_parallel", Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("must be 1 to %d", BatchMax)}})
	}
	err = w.Do(ctx, nil, nil, func(tx *Tx) (err error) {
		out, err = tx.deployBatch(in)
		return err
	})
	return out, w.named(err)
}

func (tx *Tx) deployBatch(in NewBatch) (BatchResult, error) {
	out := BatchResult{Items: make([]BatchItem, len(in.Deployments))}
	hash := requestHash(in)
	if in.IdempotencyKey != "" {
		var id int64
		var prior string
		err := tx.sql.QueryRowContext(tx.ctx, `SELECT id, request_hash FROM deployment_batches WHERE requested_by=$1 AND idempotency_key=$2`, in.Actor.Name, in.IdempotencyKey).Scan(&id, &prior)
		switch {
		case err == nil && prior != hash:
			return out, errKeyReused
		case err == nil:
			return tx.existingBatch(id, in)
		case !errors.Is(err, sql.ErrNoRows):
			return out, fmt.Errorf("lifecycle: looking for the same batch: %w", err)
		}
	}
	err := tx.sql.QueryRowContext(tx.ctx, `INSERT INTO deployment_batches (name, total, max_parallel, stop_on_failure_count, requested_by_kind, requested_by, idempotency_key, request_hash, created_at)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9) RETURNING id`,
		nullText(in.Name), len(in.Deployments), in.MaxParallel, in.StopOnFailureCount, string(in.Actor.Kind), in.Actor.Name, nullText(in.IdempotencyKey), hash, tx.at).Scan(&out.BatchID)
	if err != nil {
		return out, fmt.Errorf("lifecycle: inserting a batch: %w", err)
	}
	for i, one := range in.Deployments {
		one.Actor = in.Actor
		if err := deploy.Invalid(one.Check("")); err != nil {
			out.Items[i].Err = err
			continue
		}
		made, err := tx.Deploy(one, sql.NullInt64{Int64: out.BatchID, Valid: true})
		if _, answer := deploy.AsError(err); err != nil && !answer {
			return out, err
		}
		out.Items[i] = BatchItem{Deployed: made, Err: err}
	}
	return out, nil
}

// existingBatch answers a batch that was accepted before under the same key.
func (tx *Tx) existingBatch(id int64, in NewBatch) (BatchResult, error) {
	out := BatchResult{BatchID: id, Items: make([]BatchItem, len(in.Deployments))}
	for i, one := range in.Deployments {
		item := &out.Items[i]
		err := tx.sql.QueryRowContext(tx.ctx, `SELECT d.id, d.node_id, d.number FROM deployments d JOIN nodes n ON n.id=d.node_id WHERE d.batch_id=$1 AND n.name=$2`, id, one.Name).
			Scan(&item.DeploymentID, &item.NodeID, &item.Number)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			item.Err = deploy.Errorf(deploy.CodeConflict, "this one was refused when the batch was first accepted")
		case err != nil:
			return out, fmt.Errorf("lifecycle: reading batch %d: %w", id, err)
		default:
			item.Existing = true
		}
	}
	return out, nil
}

var errKeyReused = &deploy.Error{Code: deploy.CodeIdempotencyConflict, Message: "this idempotency key was used for another request", Hint: "use a new key for each request",
	Fields: []deploy.FieldError{{Field: "idempotency_key", Code: deploy.CodeIdempotencyConflict, Message: "was used for another request"}}}

func requestHash(in any) string {
	sum := sha256.Sum256([]byte(mustJSON(in)))
	return hex.EncodeToString(sum[:])
}

// Deploy accepts a deployment in this transaction; in must have passed Check.
func (tx *Tx) Deploy(in NewDeployment, batch sql.NullInt64) (Deployed, error) {
	if err := tx.acceptable(in.Spec); err != nil {
		return Deployed{}, err
	}
	if mac, ok := deploy.NormalMAC(in.Spec.MAC); ok {
		in.Spec.MAC = mac
	}
	if serial, ok := deploy.NormalSerial(in.Spec.Serial); ok {
		in.Spec.Serial = serial
	}
	hash := requestHash(in)
	if out, known, err := tx.sameRequest(in.Actor.Name, in.IdempotencyKey, hash); known || err != nil {
		return out, err
	}
	n, err := tx.target(in)
	if err != nil {
		return Deployed{}, err
	}
	if err := tx.vacant(n); err != nil {
		return Deployed{}, err
	}
	if err := tx.unused("serial", in.Spec.Serial, n.id); err != nil {
		return Deployed{}, err
	}
	out, err := tx.insertDeployment(n, in, batch, hash, deploy.KindInstall)
	if err != nil || in.Spec.Provider != deploy.ProviderScript {
		return out, err
	}
	return out, tx.handOver(n, out.DeploymentID)
}

// vacant refuses a node that has a machine, or is getting one: only a node that
// was never deployed, or was cleaned up, is installed from nothing.
func (tx *Tx) vacant(n *nodeRow) error {
	if !n.current.Valid {
		return nil
	}
	d, _, err := tx.deployment(n.current.Int64)
	switch {
	case err != nil:
		return err
	case phase.Active(d.state):
		return active(d, n)
	case d.state == phase.CleanedUp, n.provider == deploy.ProviderScript && !d.cleanupFailed():
		return nil // a host is configured as often as one likes
	}
	return &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("deployment #%d of %s is %s, and the node still holds what it made", d.number, n.name, d.state),
		Hint: "retry it, reinitialize the node, or clean it up first"}
}

// target finds the node to deploy: the one named by id, one of that name that
// was never deployed or is cleaned up, or a new one.
func (tx *Tx) target(in NewDeployment) (*nodeRow, error) {
	if in.NodeID != 0 {
		return tx.node(in.NodeID)
	}
	var id int64
	err := tx.sql.QueryRowContext(tx.ctx, `SELECT id FROM nodes WHERE name=$1 AND provider=$2 AND (current_deployment_id IS NULL OR state=$3)`, in.Name, in.Spec.Provider, phase.CleanedUp).Scan(&id)
	if err == nil {
		n, err := tx.node(id)
		if err == nil && n.current.Valid && n.state != phase.CleanedUp { // deployed in this very transaction: the table does not show it yet
			return nil, inUse("name", in.Name)
		}
		return n, err
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("lifecycle: looking for node %q: %w", in.Name, err)
	}
	var macs []string
	if in.Spec.MAC != "" {
		macs = []string{in.Spec.MAC}
	}
	return tx.insertNode(in.Name, in.Spec.Provider, in.Spec.ServerProfile, in.Spec.ManagementIP, in.Spec.Serial, macs, in.ClusterName, in.Labels)
}

// clusterOf is the cluster that a deployment of the node is for: the one that is
// asked for, or the one whose member the node is.
func (tx *Tx) clusterOf(n *nodeRow, asked int64) (sql.NullInt64, error) {
	cluster := sql.NullInt64{Int64: asked, Valid: asked != 0}
	if cluster.Valid || !n.current.Valid {
		return cluster, nil
	}
	err := tx.sql.QueryRowContext(tx.ctx, `SELECT cluster_id FROM cluster_members WHERE node_id = $1 AND state IN ('member', 'late')`, n.id).Scan(&cluster)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return cluster, fmt.Errorf("lifecycle: looking for the cluster of %s: %w", n.name, err)
	}
	return cluster, nil
}

func (tx *Tx) insertDeployment(n *nodeRow, in NewDeployment, batch sql.NullInt64, hash, kind string) (Deployed, error) {
	out := Deployed{NodeID: n.id}
	cluster, err := tx.clusterOf(n, in.ClusterID)
	if err != nil {
		return out, err
	}
	skip := tx.w.opts.Skip(in.Spec)
	if cluster.Valid {
		skip = slices.DeleteFunc(skip, func(k phase.Key) bool { return k == phase.ClusterFormation })
	}
	config, err := json.Marshal(in.Spec)
	if err != nil {
		return out, fmt.Errorf("lifecycle: encoding the spec: %w", err)
	}
	err = tx.sql.QueryRowContext(tx.ctx, `INSERT INTO deployments (node_id, batch_id, number, attempt, state, phase, phase_status, provider, skip_phases, maintenance, config,
		sequence, boots, reboots, requested_by_kind, requested_by, idempotency_key, request_hash, version, created_at, updated_at, kind, cluster_id)
		VALUES ($1, $2, (SELECT COALESCE(MAX(number),0)+1 FROM deployments WHERE node_id=$1), 1, 'queued', $3, 'waiting', $4, $5, $6, $7, 0, 0, 0, $8, $9, $10, $11, 1, $12, $12, $13, $14)
		RETURNING id, number`,
		n.id, batch, phase.First(in.Spec.Provider), in.Spec.Provider, mustJSON(skip), in.Maintenance, string(config),
		string(in.Actor.Kind), in.Actor.Name, nullText(in.IdempotencyKey), hash, tx.at, kind, nullInt(cluster)).Scan(&out.DeploymentID, &out.Number)
	if err != nil {
		return out, fmt.Errorf("lifecycle: inserting a deployment: %w", err)
	}
	d, _, err := tx.deployment(out.DeploymentID)
	if err != nil {
		return out, err
	}
	n.current = sql.NullInt64{Int64: d.id, Valid: true}
	facts := NodeFacts{ManagementIP: in.Spec.ManagementIP, AHVIP: in.Spec.AHVIP, CVMIP: in.Spec.CVMIP}
	if in.Spec.MAC != "" {
		facts.MACs = []string{in.Spec.MAC}
	}
	tx.facts(n, facts)
	if err := errors.Join(tx.guests(n, facts), tx.numbered(n, in.Spec.Serial)); err != nil {
		return out, err
	}
	if in.Spec.ServerProfile != "" {
		n.profile = in.Spec.ServerProfile
	}
	d.profile = n.profile
	if kind == deploy.KindAdopt {
		d.phase, d.phaseStatus, d.state, d.dirty = phase.Deployed, phase.Success, phase.Succeeded, true
		d.started, d.finished = &tx.at, &tx.at
		tx.said(d, phase.Success, "adopted: the machine exists, nothing was installed", in.Actor)
		tx.mirror(d, n)
		return out, nil
	}
	tx.move(d, phase.Move{Phase: phase.First(d.provider), Enter: true, Status: phase.Waiting}, "accepted", nil)
	tx.said(d, phase.Waiting, "accepted", in.Actor)
	tx.mirror(d, n)
	tx.wakeWorkflow(d)
	return out, nil
}
