package lifecycle

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Learn records what was learnt about a node's machine; the fleet stream
// shows it.
func (w *Writer) Learn(ctx context.Context, f NodeFacts) error {
	return w.Do(ctx, nil, []int64{f.NodeID}, func(tx *Tx) error { return tx.Learn(f) })
}

// Learn records f in this transaction.
func (tx *Tx) Learn(f NodeFacts) error {
	n, err := tx.node(f.NodeID)
	if err != nil {
		return err
	}
	tx.facts(n, f)
	return tx.guests(n, f)
}

// LearnFor records f for the deployment that found it out, unless the node has
// meanwhile been handed to another or is being released.
func (tx *Tx) LearnFor(deploymentID int64, f NodeFacts) error {
	d, n, err := tx.deployment(deploymentID)
	if err != nil {
		return err
	}
	if !n.current.Valid || n.current.Int64 != d.id || d.state == phase.CleaningUp || d.state == phase.CleanedUp {
		return nil
	}
	f.NodeID = n.id
	return tx.Learn(f)
}

// guests records what is known of what runs on the node: the addresses of its
// hypervisor and its controller VM, and the latter's host key.
func (tx *Tx) guests(n *nodeRow, f NodeFacts) error {
	if f.AHVIP == "" && f.CVMIP == "" && f.CVMHostKey == "" {
		return nil
	}
	n.dirty = true
	return tx.exec("recording what runs on a node", `UPDATE nodes SET ahv_ip = COALESCE($1, ahv_ip), cvm_ip = COALESCE($2, cvm_ip), cvm_host_key = COALESCE($3, cvm_host_key) WHERE id = $4`,
		nullText(f.AHVIP), nullText(f.CVMIP), nullText(f.CVMHostKey), n.id)
}

// forgetLogins drops what the machine said of its logins: the next install has
// other keys.
func (tx *Tx) forgetLogins(n *nodeRow) error {
	n.hostKey, n.bootID, n.sshPort, n.dirty = sql.NullString{}, sql.NullString{}, sql.NullInt64{}, true
	return tx.exec("forgetting a controller VM's key", `UPDATE nodes SET cvm_host_key = NULL WHERE id = $1 AND cvm_host_key IS NOT NULL`, n.id)
}

// vacate forgets the machine of a node that was cleaned up. A machine in a
// rack keeps the MAC address that it is known by.
func (tx *Tx) vacate(n *nodeRow) error {
	none := sql.NullString{}
	n.managementIP, n.workloadIP, n.serverID, n.serverStatus, n.hostKey, n.bootID, n.sshPort = none, none, none, none, none, none, sql.NullInt64{}
	if n.provider == deploy.ProviderIBMVPC {
		n.mac, n.macs, n.lists = none, []string{}, true
	}
	n.dirty = true
	return tx.exec("forgetting guest addresses", `UPDATE nodes SET ahv_ip = NULL, cvm_ip = NULL, cvm_host_key = NULL WHERE id = $1`, n.id)
}

func (tx *Tx) facts(n *nodeRow, f NodeFacts) {
	set := func(field *sql.NullString, v string) {
		if v != "" && field.String != v {
			*field, n.dirty = sql.NullString{String: v, Valid: true}, true
		}
	}
	set(&n.serverID, f.ServerID)
	set(&n.serverStatus, f.ServerStatus)
	set(&n.managementIP, f.ManagementIP)
	set(&n.workloadIP, f.WorkloadIP)
	set(&n.hostKey, f.SSHHostKey)
	set(&n.bootID, f.BootID)
	if f.SSHPort != 0 && n.sshPort.Int64 != int64(f.SSHPort) {
		n.sshPort, n.dirty = sql.NullInt64{Int64: int64(f.SSHPort), Valid: true}, true
	}
	if len(f.MACs) > 0 && !slices.Equal(n.macs, f.MACs) {
		n.macs, n.lists, n.dirty = f.MACs, true, true
		set(&n.mac, f.MACs[0])
	}
}

// RegisterNode makes a node without deploying it.
func (w *Writer) RegisterNode(ctx context.Context, in NewNode) (nodeID int64, err error) {
	if in.Provider == "" {
		in.Provider = deploy.ProviderRack
	}
	if in.Provider != deploy.ProviderRack && in.Provider != deploy.ProviderIBMVPC {
		return 0, deploy.Invalid([]deploy.FieldError{{Field: "provider", Code: deploy.CodeInvalid, Message: "must be ibm_vpc or rack"}})
	}
	bad := deploy.CheckNodeName("name", in.Name)
	bad = append(bad, deploy.CheckIP("management_ip", in.ManagementIP)...)
	for i, m := range in.MACs {
		mac, ok := deploy.NormalMAC(m)
		if !ok {
			bad = append(bad, deploy.FieldError{Field: fmt.Sprintf("mac_addresses.%d", i), Code: deploy.CodeInvalid, Message: "is not a MAC address"})
			continue
		}
		in.MACs[i] = mac
	}
	if in.Serial != "" && in.Provider != deploy.ProviderRack {
		bad = append(bad, deploy.FieldError{Field: "serial", Code: deploy.CodeInvalid, Message: "is for rack machines"})
	}
	bad = append(bad, deploy.CheckSerial("serial", in.Serial)...)
	bad = append(bad, checkLabels(in.Labels)...)
	if err := deploy.Invalid(bad); err != nil {
		return 0, err
	}
	in.Serial, _ = deploy.NormalSerial(in.Serial)
	err = w.Do(ctx, nil, nil, func(tx *Tx) error {
		n, err := tx.insertNode(in.Name, in.Provider, in.ServerProfile, in.ManagementIP, in.Serial, in.MACs, in.ClusterName, in.Labels)
		if err == nil {
			nodeID = n.id
		}
		return err
	})
	return nodeID, w.named(err)
}

// insertNode makes the row of a node whose name, address, MAC and serial number
// nobody holds.
func (tx *Tx) insertNode(name, provider, profile, ip, serial string, macs []string, cluster string, labels map[string]string) (*nodeRow, error) {
	mac := ""
	if len(macs) > 0 {
		mac = macs[0]
	}
	var taken, holder string
	err := tx.sql.QueryRowContext(tx.ctx, `SELECT CASE WHEN name=$1 THEN 'name' WHEN management_ip=$2 THEN 'management_ip' WHEN mac=$3 THEN 'mac' ELSE 'its serial' END, name
		FROM nodes WHERE name=$1 OR management_ip=$2 OR mac=$3 OR serial=$4 ORDER BY 1 DESC LIMIT 1`, name, nullText(ip), nullText(mac), nullText(serial)).Scan(&taken, &holder)
	switch {
	case err == nil:
		return nil, inUse(taken, holder)
	case !errors.Is(err, sql.ErrNoRows):
		return nil, fmt.Errorf("lifecycle: looking for the name %q: %w", name, err)
	}
	if labels == nil {
		labels = map[string]string{}
	}
	if macs == nil {
		macs = []string{}
	}
	var id int64
	err = tx.sql.QueryRowContext(tx.ctx, `INSERT INTO nodes (name, provider, server_profile, management_ip, mac, mac_addresses, cluster_name, labels, serial,
		deployment_status, state, stale, version, changed_position, created_at, updated_at)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$11,'pending','',$9,1,0,$10,$10) RETURNING id`,
		name, provider, profile, nullText(ip), nullText(mac), mustJSON(macs), nullText(cluster), mustJSON(labels), false, tx.at, nullText(serial)).Scan(&id)
	if err != nil {
		return nil, fmt.Errorf("lifecycle: inserting node %q: %w", name, err)
	}
	n, err := tx.node(id)
	if err == nil {
		n.dirty = true
	}
	return n, err
}

// UpdateNode renames or labels a node, if it is still the version that the
// caller saw.
func (w *Writer) UpdateNode(ctx context.Context, c NodeChange) error {
	var bad []deploy.FieldError
	if c.Name != nil {
		bad = deploy.CheckNodeName("name", *c.Name)
	}
	bad = append(bad, checkLabels(c.Labels)...)
	if err := deploy.Invalid(bad); err != nil {
		return err
	}
	err := w.Do(ctx, nil, []int64{c.ID}, func(tx *Tx) error {
		n, err := tx.node(c.ID)
		if err != nil {
			return err
		}
		if n.version != c.ExpectedVersion {
			return &deploy.Error{Code: deploy.CodeVersionMismatch, Message: fmt.Sprintf("the node is at version %d, not %d", n.version, c.ExpectedVersion), Hint: "read it again and repeat the change", Retryable: true}
		}
		if c.Name != nil && *c.Name != n.name {
			if phase.Active(n.state) {
				return &deploy.Error{Code: deploy.CodeRunActive, Message: fmt.Sprintf("%s is %s; what is being made carries its name", n.name, n.state), Hint: "rename it when its deployment has ended"}
			}
			var other int64
			err := tx.sql.QueryRowContext(tx.ctx, `SELECT id FROM nodes WHERE name=$1`, *c.Name).Scan(&other)
			if err == nil {
				return inUse("name", *c.Name)
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("lifecycle: looking for the name: %w", err)
			}
			n.name, n.dirty = *c.Name, true
		}
		if c.Labels != nil {
			n.labels, n.lists, n.dirty = c.Labels, true, true
		}
		return nil
	})
	return w.named(err)
}

// inUse refuses what a node has that another is to have; holder is that node's
// name, empty if it is not known.
func inUse(what, holder string) error {
	other := "another node"
	if holder != "" {
		other = "the node " + holder
	}
	switch what {
	case "name":
		return &deploy.Error{Code: deploy.CodeNameInUse, Message: fmt.Sprintf("a node named %s exists; nothing of it was touched", holder), Hint: "choose another name; or retry, reinitialize or clean up that node",
			Fields: []deploy.FieldError{{Field: "name", Code: deploy.CodeNameInUse, Message: "is in use"}}}
	case "management_ip":
		return &deploy.Error{Code: deploy.CodeAlreadyExists, Message: other + " holds this management address", Fields: []deploy.FieldError{{Field: "management_ip", Code: deploy.CodeAlreadyExists, Message: "is held by " + other}}}
	}
	if strings.HasSuffix(what, "serial") {
		return &deploy.Error{Code: deploy.CodeAlreadyExists, Message: other + " has this serial number", Fields: []deploy.FieldError{{Field: "serial", Code: deploy.CodeAlreadyExists, Message: "belongs to " + other}}}
	}
	return &deploy.Error{Code: deploy.CodeAlreadyExists, Message: other + " has this MAC address", Fields: []deploy.FieldError{{Field: "mac", Code: deploy.CodeAlreadyExists, Message: "belongs to " + other}}}
}

// named turns a lost race for a unique name into the answer that the check
// before it would have given.
func (w *Writer) named(err error) error {
	if err == nil {
		return nil
	}
	constraint, ok := w.store.IsUnique(err)
	if !ok {
		return err
	}
	switch {
	case contains(constraint, "one_active"):
		return &deploy.Error{Code: deploy.CodeRunActive, Message: "the node has an active deployment"}
	case contains(constraint, "idempotency"):
		return &deploy.Error{Code: deploy.CodeConflict, Message: "the same request is being worked on", Retryable: true}
	case contains(constraint, "management_ip"):
		return inUse("management_ip", "")
	case contains(constraint, "serial"):
		return inUse("serial", "")
	case contains(constraint, "mac"):
		return inUse("mac", "")
	case contains(constraint, "name"):
		return inUse("name", "that name")
	}
	return err
}
