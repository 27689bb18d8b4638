package lifecycle

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Reinitialize asks for a node's present machine to be installed anew. All of
// its data is lost.
type Reinitialize struct {
	NodeID int64
	// ConfirmName must equal the node's name, if it is given.
	ConfirmName    string
	Spec           *deploy.Spec // nil = as last time
	Maintenance    bool
	IdempotencyKey string
	Actor          deploy.Actor
}

// Reinitialize makes a new deployment of a node whose last one has ended.
// Everything that the node holds belongs to the new deployment from its first
// transaction on, so that the old one can release nothing of it. Errors:
// not_found, confirmation_mismatch, run_active, wrong_state (protected, never
// deployed, cleaned up, or without a machine), those of a spec.
func (w *Writer) Reinitialize(ctx context.Context, in Reinitialize) (out Deployed, err error) {
	if in.Spec != nil {
		if err := deploy.Invalid(in.Spec.Check("spec.")); err != nil {
			return out, err
		}
	}
	err = w.Do(ctx, nil, []int64{in.NodeID}, func(tx *Tx) (err error) {
		out, err = tx.reinitialize(in)
		return err
	})
	return out, w.named(err)
}

func (tx *Tx) reinitialize(in Reinitialize) (out Deployed, err error) {
	hash := requestHash(in)
	if out, known, err := tx.sameRequest(in.Actor.Name, in.IdempotencyKey, hash); known || err != nil {
		return out, err
	}
	n, err := tx.node(in.NodeID)
	if err != nil {
		return out, err
	}
	if in.ConfirmName != "" && in.ConfirmName != n.name {
		return out, &deploy.Error{Code: deploy.CodeConfirmationMismatch, Message: "the confirmation is not the node's name; nothing was touched",
			Fields: []deploy.FieldError{{Field: "confirm", Code: deploy.CodeConfirmationMismatch, Message: "must equal the node's name"}}}
	}
	last, err := tx.reinitializable(n)
	if err != nil {
		return out, err
	}
	spec, err := tx.specFor(in.Spec, last.id, n)
	if err != nil {
		return out, err
	}
	if err := tx.unused("serial", spec.Serial, n.id); err != nil {
		return out, err
	}
	out, err = tx.insertDeployment(n, NewDeployment{NodeID: n.id, Spec: spec, Maintenance: in.Maintenance, IdempotencyKey: in.IdempotencyKey, Actor: in.Actor},
		sql.NullInt64{}, hash, deploy.KindReinitialize)
	if err != nil {
		return out, err
	}
	return out, errors.Join(tx.forgetLogins(n), tx.handOver(n, out.DeploymentID))
}

// handOver lets a deployment hold all that the node has.
func (tx *Tx) handOver(n *nodeRow, deploymentID int64) error {
	return tx.exec("handing resources over", `UPDATE resources SET held_by = $1, updated_at = $2 WHERE node_id = $3 AND state <> $4`,
		deploymentID, tx.at, n.id, deploy.ResourceGone)
}

// cleanupFailed tells whether the deployment ended in the middle of a cleanup.
func (d *depRow) cleanupFailed() bool { return d.failure != nil && d.failure.phase == phase.Cleanup }

// reinitializable gives the node's last deployment, if its machine may be
// installed anew.
func (tx *Tx) reinitializable(n *nodeRow) (*depRow, error) {
	refuse := func(message, hint string) error {
		return &deploy.Error{Code: deploy.CodeWrongState, Message: message, Hint: hint}
	}
	if !n.current.Valid {
		return nil, refuse(n.name+" was never deployed", "deploy it")
	}
	d, _, err := tx.deployment(n.current.Int64)
	if err != nil {
		return nil, err
	}
	switch {
	case phase.Active(d.state):
		return nil, active(d, n)
	case d.state == phase.CleanedUp:
		return nil, refuse(n.name+" is cleaned up and has no machine", "deploy it")
	case d.cleanupFailed():
		return nil, refuse(fmt.Sprintf("the cleanup of %s has failed half-way", n.name), "finish the cleanup, then deploy the node")
	case n.provider == deploy.ProviderScript:
		return nil, refuse("a node of the script provider is not installed by Slipway", "apply its configuration again")
	}
	if err := tx.hasMachine(n); err != nil {
		return nil, err
	}
	return d, tx.unprotected(n)
}

// hasMachine refuses a node whose order made no server, or whose server is not
// surely the only one: another may have been asked for, or is going.
func (tx *Tx) hasMachine(n *nodeRow) error {
	if n.provider != deploy.ProviderIBMVPC {
		return nil
	}
	var present, open int
	err := tx.sql.QueryRowContext(tx.ctx, `SELECT COALESCE(SUM(CASE WHEN state = $2 AND cloud_id = $3 THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN state IN ($4, $5) THEN 1 ELSE 0 END), 0)
		FROM resources WHERE node_id = $1 AND kind = 'server'`, n.id, deploy.ResourcePresent, n.serverID.String, deploy.ResourceDoubtful, deploy.ResourceReleasing).Scan(&present, &open)
	switch {
	case err != nil:
		return fmt.Errorf("lifecycle: looking for the server of node %d: %w", n.id, err)
	case open > 0:
		return &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("it is not certain which server %s has: one is being released, or may have been made", n.name), Hint: "clean the node up, then deploy it"}
	case present == 0:
		return &deploy.Error{Code: deploy.CodeWrongState, Message: n.name + " has no server", Hint: "retry its deployment, or clean it up"}
	}
	return nil
}

// specFor is the spec of the next deployment: the one that was asked for, or
// the last one's.
func (tx *Tx) specFor(asked *deploy.Spec, last int64, n *nodeRow) (spec deploy.Spec, err error) {
	var config []byte
	if err := tx.sql.QueryRowContext(tx.ctx, `SELECT config FROM deployments WHERE id = $1`, last).Scan(&config); err != nil {
		return spec, fmt.Errorf("lifecycle: reading the last spec of %s: %w", n.name, err)
	}
	if err := json.Unmarshal(config, &spec); err != nil {
		return spec, fmt.Errorf("lifecycle: the last spec of %s: %w", n.name, err)
	}
	if asked == nil {
		return spec, tx.acceptable(spec)
	}
	next := *asked
	if serial, ok := deploy.NormalSerial(next.Serial); ok {
		next.Serial = serial
	}
	if err := deploy.Invalid(sameMachine(next, spec, n)); err != nil {
		return spec, err
	}
	return next, tx.acceptable(next)
}

// sameMachine tells what a spec asks for that the present machine is not:
// installing it anew does not make it another one, nor move it.
func sameMachine(asked, last deploy.Spec, n *nodeRow) (bad []deploy.FieldError) {
	differs := func(field, want, has string) {
		if want != "" && has != "" && want != has { // what was left to the settings is not known here
			bad = append(bad, deploy.FieldError{Field: "spec." + field, Code: deploy.CodeInvalid, Message: fmt.Sprintf("the present machine has %q; it is installed anew, not replaced", has)})
		}
	}
	differs("provider", asked.Provider, n.provider)
	differs("server_profile", asked.ServerProfile, n.profile)
	differs("zone", asked.Zone, last.Zone)
	differs("management_subnet", asked.ManagementSubnet, last.ManagementSubnet)
	differs("management_ip", asked.ManagementIP, n.managementIP.String)
	differs("ahv_ip", asked.AHVIP, last.AHVIP)
	differs("cvm_ip", asked.CVMIP, last.CVMIP)
	if mac, ok := deploy.NormalMAC(asked.MAC); ok {
		differs("mac", mac, n.mac.String)
	}
	differs("serial", asked.Serial, last.Serial)
	if len(asked.WorkloadSubnets) > 0 && !slices.Equal(asked.WorkloadSubnets, last.WorkloadSubnets) {
		differs("workload_subnets", strings.Join(asked.WorkloadSubnets, ","), strings.Join(last.WorkloadSubnets, ","))
	}
	if len(asked.VLANs) > 0 && !slices.Equal(asked.VLANs, last.VLANs) {
		differs("vlans", fmt.Sprint(asked.VLANs), fmt.Sprint(last.VLANs))
	}
	if len(asked.SecurityGroups) > 0 && !slices.Equal(asked.SecurityGroups, last.SecurityGroups) {
		// They belong to the interfaces, which stay as they are.
		has := "those of the server's settings"
		if len(last.SecurityGroups) > 0 {
			has = strings.Join(last.SecurityGroups, ",")
		}
		differs("security_groups", strings.Join(asked.SecurityGroups, ","), has)
	}
	return bad
}

func (tx *Tx) acceptable(s deploy.Spec) error {
	if tx.w.opts.Accept == nil {
		return nil
	}
	return tx.w.opts.Accept(s)
}

// sameRequest finds the deployment that the same request has made before.
func (tx *Tx) sameRequest(by, key, hash string) (out Deployed, known bool, err error) {
	if key == "" {
		return out, false, nil
	}
	var prior string
	err = tx.sql.QueryRowContext(tx.ctx, `SELECT id, node_id, number, request_hash FROM deployments WHERE requested_by=$1 AND idempotency_key=$2`, by, key).
		Scan(&out.DeploymentID, &out.NodeID, &out.Number, &prior)
	switch {
	case err == nil && prior != hash:
		return Deployed{}, true, errKeyReused
	case err == nil:
		out.Existing = true
		return out, true, nil
	case !errors.Is(err, sql.ErrNoRows):
		return out, false, fmt.Errorf("lifecycle: looking for the same request: %w", err)
	}
	return out, false, nil
}

// Adoption takes a machine into care that Slipway did not make.
type Adoption struct {
	Name        string
	Provider    string
	Adopted     deploy.Adopted
	ClusterName string
	Labels      map[string]string
	Actor       deploy.Actor
}

// Adopt makes a node for a machine that exists, with a deployment that is
// over: nothing is installed. The node is protected until somebody takes that
// away. Errors: those of a new node, and already_exists if a row of the
// journal names the machine already.
func (w *Writer) Adopt(ctx context.Context, in Adoption) (out Deployed, err error) {
	bad := append(deploy.CheckNodeName("name", in.Name), checkLabels(in.Labels)...)
	if in.Adopted.ServerID == "" {
		bad = append(bad, deploy.FieldError{Field: "server", Code: deploy.CodeRequired, Message: "is required"})
	}
	if err := deploy.Invalid(bad); err != nil {
		return out, err
	}
	err = w.Do(ctx, nil, nil, func(tx *Tx) (err error) {
		out, err = tx.adopt(in)
		return err
	})
	return out, w.named(err)
}

func (tx *Tx) adopt(in Adoption) (out Deployed, err error) {
	a := in.Adopted
	for _, r := range a.Resources {
		var holder string
		err := tx.sql.QueryRowContext(tx.ctx, `SELECT n.name FROM resources r JOIN nodes n ON n.id = r.node_id WHERE r.provider = $1 AND r.kind = $2 AND (r.cloud_id = $3 OR r.name = $4) AND r.state <> $5`,
			in.Provider, r.Kind, r.CloudID, r.Name, deploy.ResourceGone).Scan(&holder)
		if err == nil {
			return out, &deploy.Error{Code: deploy.CodeAlreadyExists, Message: fmt.Sprintf("the %s %s belongs to the node %s already", r.Kind, r.Name, holder)}
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return out, fmt.Errorf("lifecycle: looking for what is adopted: %w", err)
		}
	}
	n, err := tx.insertNode(in.Name, in.Provider, a.Profile, a.ManagementIP, "", a.MACs, in.ClusterName, in.Labels)
	if err != nil {
		return out, err
	}
	spec := deploy.Spec{Provider: in.Provider, ServerProfile: a.Profile, Zone: a.Zone, ManagementIP: a.ManagementIP}
	out, err = tx.insertDeployment(n, NewDeployment{Spec: spec, Actor: in.Actor}, sql.NullInt64{}, requestHash(in), deploy.KindAdopt)
	if err != nil {
		return out, err
	}
	err = tx.Learn(NodeFacts{NodeID: n.id, ServerID: a.ServerID, ServerStatus: a.ServerStatus, WorkloadIP: a.WorkloadIP, AHVIP: a.AHVIP, CVMIP: a.CVMIP})
	if err != nil {
		return out, err
	}
	for _, r := range a.Resources {
		// A thing of this name may have been there before, and its row with it.
		var before int64
		switch err := tx.sql.QueryRowContext(tx.ctx, `SELECT id FROM resources WHERE provider = $1 AND kind = $2 AND name = $3`, in.Provider, r.Kind, r.Name).Scan(&before); {
		case err == nil:
			r.Name += "#" + r.CloudID
		case !errors.Is(err, sql.ErrNoRows):
			return out, fmt.Errorf("lifecycle: looking for what is adopted: %w", err)
		}
		err := tx.exec("journalling what is adopted", `INSERT INTO resources (node_id, created_by, held_by, provider, kind, role, name, generation, state, cloud_id, details, last_error, created_at, updated_at)
			VALUES ($1, $2, $2, $3, $4, $5, $6, 1, $7, $8, $9, '', $10, $10)`,
			n.id, out.DeploymentID, in.Provider, r.Kind, r.Role, r.Name, deploy.ResourcePresent, r.CloudID, nullJSON(r.Details), tx.at)
		if err != nil {
			return out, err
		}
	}
	return out, tx.protect(n, Protection{Protected: true, Note: "adopted; not made by Slipway", Actor: in.Actor})
}
