package lifecycle

import (
	"fmt"
	"slices"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// SetClustered notes that a node's disks are, or may be, a part of a running
// cluster's, or are so no longer: while they are, it is neither canceled, nor
// released or installed anew by itself. It may be a member from when a command
// that adds it is about to begin.
func (tx *Tx) SetClustered(nodeID int64, cluster string, clustered bool) error {
	n, err := tx.node(nodeID)
	if err != nil {
		return err
	}
	n.dirty = true
	return tx.exec("noting a member of a cluster", `UPDATE nodes SET clustered = $1, cluster_name = $2 WHERE id = $3`, clustered, nullText(cluster), nodeID)
}

// Show has the stream tell of a node once more: what is shown with it, and is
// kept elsewhere, changes in this transaction.
func (tx *Tx) Show(nodeID int64) error {
	n, err := tx.node(nodeID)
	if err != nil {
		return err
	}
	n.dirty = true
	return nil
}

// Enlistment takes the node of a deployment that has succeeded into a cluster.
type Enlistment struct {
	DeploymentID int64
	ClusterID    int64
	ClusterName  string
	Actor        deploy.Actor
}

// Enlist opens another attempt of a deployment that has succeeded without a
// cluster, or was given up when it waited for one: it goes on at
// cluster_formation. Nothing is installed. Errors: not_found, wrong_state.
func (tx *Tx) Enlist(c Enlistment) (*Receipt, error) {
	d, n, err := tx.deployment(c.DeploymentID)
	if err != nil {
		return nil, err
	}
	if err := latest(d, n); err != nil {
		return nil, err
	}
	switch {
	case d.state != phase.Succeeded && !GivenUp(d.state, d.phase, d.failedAt()):
		return nil, &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("deployment #%d of %s is %s; only a deployed node is taken into a cluster as it is", d.number, n.name, d.state)}
	case !slices.ContainsFunc(phase.Catalogue(d.provider), func(p phase.Definition) bool { return p.Key == phase.ClusterFormation }):
		return nil, &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("%s is of the provider %s, whose nodes form no cluster by Slipway", n.name, d.provider)}
	}
	d.skip = slices.DeleteFunc(slices.Clone(d.skip), func(k phase.Key) bool { return k == phase.ClusterFormation })
	err = tx.exec("enlisting a node", `UPDATE deployments SET cluster_id = $1, skip_phases = $2 WHERE id = $3`, c.ClusterID, mustJSON(d.skip), d.id)
	if err != nil {
		return nil, err
	}
	d.attempt++
	d.boots, d.reboots = 0, 0
	d.failure, d.finished = nil, nil
	d.state = phase.Running
	tx.move(d, phase.Move{Phase: phase.ClusterFormation, Enter: true, Status: phase.Waiting}, "", nil)
	e := tx.said(d, phase.Waiting, fmt.Sprintf("attempt %d begins at %s: the node becomes a member of the cluster %s", d.attempt, phase.ClusterFormation, c.ClusterName), c.Actor)
	tx.mirror(d, n)
	tx.wakeWorkflow(d)
	return tx.receipt(d, e, false), nil
}

// failedAt is the phase at which it failed, empty if it did not.
func (d *depRow) failedAt() phase.Key {
	if d.failure == nil {
		return ""
	}
	return d.failure.phase
}

// GivenUp reports whether a deployment ended, at this phase, when its node was
// installed and waited for its cluster, so that it can go on from there.
func GivenUp(state phase.State, at, failed phase.Key) bool {
	return state == phase.StateFail && failed == phase.ClusterFormation || state == phase.StateStop && at == phase.ClusterFormation
}

// Dismissal takes the node of a deployment out of the cluster that it waits for.
type Dismissal struct {
	DeploymentID int64
	Attempt      int // 0 = any; else nothing is done if another has begun
	Why          string
	Actor        deploy.Actor
}

// Dismiss opens another attempt of a deployment that waits for its cluster, or
// was given up then: it goes on behind cluster_formation, as a node of no
// cluster. Nothing is installed. Errors: not_found, wrong_state.
func (tx *Tx) Dismiss(c Dismissal) (*Receipt, error) {
	d, n, err := tx.deployment(c.DeploymentID)
	if err != nil {
		return nil, err
	}
	if err := latest(d, n); err != nil {
		return nil, err
	}
	waits := (d.state == phase.Running || d.state == phase.Canceling) && d.phase == phase.ClusterFormation
	if c.Attempt != 0 && c.Attempt != d.attempt || !waits && !GivenUp(d.state, d.phase, d.failedAt()) {
		return nil, &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("deployment #%d of %s is %s, and waits for no cluster", d.number, n.name, d.state)}
	}
	d.skip = append(slices.DeleteFunc(slices.Clone(d.skip), func(k phase.Key) bool { return k == phase.ClusterFormation }), phase.ClusterFormation)
	next, err := behindFormation(d)
	if err != nil {
		return nil, err
	}
	// What it did for the cluster is not the cluster's any more, or the node would
	// still be counted to it.
	if err := tx.exec("dismissing a node", `UPDATE deployments SET cluster_id = NULL WHERE node_id = $1 AND cluster_id = (SELECT x.cluster_id FROM deployments x WHERE x.id = $2)`, n.id, d.id); err != nil {
		return nil, err
	}
	if err := tx.exec("dismissing a node", `UPDATE deployments SET skip_phases = $1 WHERE id = $2`, mustJSON(d.skip), d.id); err != nil {
		return nil, err
	}
	if d.open != nil {
		tx.move(d, phase.Move{Phase: phase.ClusterFormation, Status: phase.CanceledBy}, c.Why, nil)
	}
	d.attempt++
	d.boots, d.reboots = 0, 0
	d.failure, d.finished = nil, nil
	d.state = phase.Running
	tx.move(d, phase.Move{Phase: next, Enter: true, Status: phase.Waiting}, "", nil)
	e := tx.said(d, phase.Waiting, fmt.Sprintf("attempt %d begins at %s: %s", d.attempt, next, c.Why), c.Actor)
	tx.mirror(d, n)
	tx.wakeWorkflow(d)
	return tx.receipt(d, e, false), nil
}

// behindFormation is the phase that a deployment without a cluster has next.
func behindFormation(d *depRow) (phase.Key, error) {
	behind := false
	for _, p := range phase.Catalogue(d.provider) {
		if behind && !p.Terminal && !slices.Contains(d.skip, p.Key) {
			return p.Key, nil
		}
		behind = behind || p.Key == phase.ClusterFormation
	}
	return "", &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("nothing comes behind cluster_formation for a node of the provider %s", d.provider)}
}

// Remark records what an operator decided about a deployment, as an event of the
// phase that it is at; nothing of it changes.
func (tx *Tx) Remark(deploymentID int64, message string, actor deploy.Actor) error {
	d, _, err := tx.deployment(deploymentID)
	if err != nil {
		return err
	}
	e := tx.event(d, d.phase, d.phaseStatus, Report{Message: message, OccurredAt: tx.at, Source: deploy.SourceUser, Actor: actor}, "")
	e.outcome = Step
	return nil
}

// WaitForOthers stops the clock of the open phase of a cluster's member until
// WithOthers. Unlike Hold it is no sign of life of the member's machine, which
// says nothing meanwhile. A deployment that is to be canceled when the phase ends
// is canceled now: nothing is being done whose end it could wait for.
func (tx *Tx) WaitForOthers(deploymentID int64, key phase.Key, awaiting, evidence string) error {
	d, _, err := tx.deployment(deploymentID)
	if err != nil || d.open == nil || d.open.phase != key {
		return err
	}
	if d.state == phase.Canceling {
		_, err := tx.cancel(Cancel{DeploymentID: d.id, Immediate: true, Reason: "it only waited for other nodes of its cluster", Actor: deploy.System})
		return err
	}
	if err := tx.Await(deploymentID, key, awaiting, evidence); err != nil {
		return err
	}
	if d.maintenance || d.open.stoppedAt != nil {
		return nil
	}
	d.open.stoppedAt, d.open.dirty = &tx.at, true
	return nil
}

// WithOthers ends WaitForOthers: the clock runs, unless maintenance stops it. With
// anew the phase has its whole time again: what begins now is another try, and
// what the last one used up was for somebody else's fault.
func (tx *Tx) WithOthers(deploymentID int64, key phase.Key, anew bool) error {
	if err := tx.Await(deploymentID, key, "", ""); err != nil {
		return err
	}
	d, _, err := tx.deployment(deploymentID)
	if err != nil || d.open == nil || d.open.phase != key {
		return err
	}
	stands := d.maintenance
	d.open.resume(tx.at)
	if def, known := phase.Lookup(key); anew && known && d.open.deadline != nil {
		deadline := tx.at.Add(tx.w.opts.Deadline(d.provider, d.profile, def))
		d.open.deadline = &deadline
	}
	if stands {
		d.open.stoppedAt = &tx.at
	}
	d.open.dirty = true
	return nil
}

// notJoined refuses to cancel a deployment whose node belongs to a running
// cluster, or may: a canceled one is not retried, so nothing but the end of the cluster
// would lead back from there.
func (tx *Tx) notJoined(d *depRow, n *nodeRow) error {
	if !n.current.Valid || n.current.Int64 != d.id {
		return nil
	}
	cluster, clustered, joining, err := tx.membership(n)
	switch {
	case err != nil:
		return err
	case joining:
		return &deploy.Error{Code: deploy.CodeWrongState, Message: mayBeMember(n.name, cluster), Hint: "wait for its end: if it fails, retry it, which asks the cluster first; or clean up the cluster"}
	case clustered:
		return &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("%s is a member of the cluster %s already", n.name, cluster), Hint: "wait for its end: if it fails, retry it; or clean up the cluster"}
	}
	return nil
}

// membership reads which cluster's a node's disks are a part of. joining: it has
// only begun to join, and may be a member or not.
func (tx *Tx) membership(n *nodeRow) (cluster string, clustered, joining bool, err error) {
	err = tx.sql.QueryRowContext(tx.ctx, `SELECT COALESCE(cluster_name, ''), clustered,
		EXISTS (SELECT 1 FROM cluster_members m WHERE m.node_id = nodes.id AND m.state IN ('member', 'late') AND m.formed_at IS NULL) FROM nodes WHERE id = $1`, n.id).Scan(&cluster, &clustered, &joining)
	if err != nil {
		return "", false, false, fmt.Errorf("lifecycle: reading the cluster of node %d: %w", n.id, err)
	}
	return cluster, clustered, clustered && joining, nil
}

func mayBeMember(node, cluster string) string {
	return fmt.Sprintf("%s may be a member of the cluster %s already: it had begun to join", node, cluster)
}

// InCluster refuses to destroy, by itself, a node whose disks are a part of a
// running cluster's, or may be: joining, it has begun to join and nobody knows
// how that ended.
func InCluster(node, cluster string, joining bool) *deploy.Error {
	if joining {
		return &deploy.Error{Code: deploy.CodeWrongState, Message: mayBeMember(node, cluster) + ", and the cluster would lose what it has on this node's disks",
			Hint: "retry it: that asks the cluster first, and sets the node free if the cluster does not count it; or clean up the cluster"}
	}
	return &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("%s is a member of the cluster %s, which would lose what it has on this node's disks", node, cluster), Hint: "clean up the cluster"}
}
