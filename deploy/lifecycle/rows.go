package lifecycle

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// depRow is a deployment, locked and held in memory for one transaction.
type depRow struct {
	id, nodeID      int64
	batchID         sql.NullInt64
	number, attempt int
	state           string
	phase           string
	phaseStatus     phase.Status
	provider        string
	profile         string
	skip            []string
	maintenance     bool
	sequence        int
	boots, reboots  int
	resume          string // queued: the phase that the attempt begins with
	failure         *failure
	started         *time.Time
	finished        *time.Time
	open            *runRow
	closed          []*runRow // runs changed or made in this transaction and closed
	dirty           bool
	was             depRare
}

// depRare is what most reports leave alone; it is written only when it changed.
type depRare struct {
	attempt, boots, reboots int
	state, phase, resume    string
	phaseStatus             phase.Status
	maintenance             bool
	failure                 *failure
	started, finished       *time.Time
}

func (d *depRow) rare() depRare {
	return depRare{d.attempt, d.boots, d.reboots, d.state, d.phase, d.resume, d.phaseStatus, d.maintenance, d.failure, d.started, d.finished}
}

type failure struct {
	phase, code, message, hint string
	retryable                  bool
	sequence                   int
	at                         time.Time
}

// runRow is a phase run; id 0 = not yet inserted.
type runRow struct {
	id           int64
	attempt      int
	phase        string
	status       phase.Status
	tries        int
	progress     sql.NullInt64
	message      string
	lastHash     string
	lastSequence int
	awaiting     string
	evidence     string
	awaitSince   *time.Time
	entered      time.Time
	started      *time.Time
	finished     *time.Time
	deadline     *time.Time
	stoppedAt    *time.Time
	stoppedMS    int64
	dirty        bool
	was          runRare
}

// runRare is what most reports leave alone.
type runRare struct {
	status                                        phase.Status
	tries                                         int
	awaiting, evidence                            string
	awaitSince, started, finished, deadline, stop *time.Time
	stoppedMS                                     int64
}

func (r *runRow) rare() runRare {
	return runRare{r.status, r.tries, r.awaiting, r.evidence, r.awaitSince, r.started, r.finished, r.deadline, r.stoppedAt, r.stoppedMS}
}

// stood is how long the run's clock has stood until at.
func (r *runRow) stood(at time.Time) time.Duration {
	d := time.Duration(r.stoppedMS) * time.Millisecond
	if r.stoppedAt != nil {
		d += at.Sub(*r.stoppedAt)
	}
	return d
}

// resume lets a stopped clock go on: the deadline moves by the time it stood.
func (r *runRow) resume(at time.Time) {
	if r.stoppedAt == nil {
		return
	}
	if r.deadline != nil {
		moved := r.deadline.Add(at.Sub(*r.stoppedAt))
		r.deadline = &moved
	}
	r.stoppedMS = r.stood(at).Milliseconds()
	r.stoppedAt = nil
}

// nodeRow is a node, locked and held in memory for one transaction.
type nodeRow struct {
	id           int64
	name         string
	provider     string
	profile      string
	managementIP sql.NullString
	workloadIP   sql.NullString
	mac          sql.NullString
	macs         []string
	labels       map[string]string
	status       string
	state        string
	current      sql.NullInt64
	serverID     sql.NullString
	serverStatus sql.NullString
	hostKey      sql.NullString
	bootID       sql.NullString
	sshPort      sql.NullInt64
	stale        bool
	late         bool
	version      int
	lastSeen     *time.Time
	dirty        bool // shown by the stream: version and position move
	touched      bool // only last_seen_at moved
	lists        bool // macs or labels changed
	was          nodeRare
}

// nodeRare is what most reports leave alone.
type nodeRare struct {
	name, profile, status, state                                           string
	stale, late                                                            bool
	managementIP, workloadIP, mac, serverID, serverStatus, hostKey, bootID sql.NullString
	current, sshPort                                                       sql.NullInt64
}

func (n *nodeRow) rare() nodeRare {
	return nodeRare{n.name, n.profile, n.status, n.state, n.stale, n.late, n.managementIP, n.workloadIP, n.mac, n.serverID, n.serverStatus, n.hostKey, n.bootID, n.current, n.sshPort}
}

// eventRow is a row of deployment_history that flush will insert.
type eventRow struct {
	id, position   int64
	dep            *depRow
	sequence       int
	attempt        int
	phase          string
	status         phase.Status
	message        string
	outcome        Outcome
	refusedCode    string
	source         deploy.Source
	actor          string
	progress       *int
	serverStatus   string
	details        json.RawMessage
	logTail        string
	idempotencyKey string
	hash           string
	state          string
	occurred       time.Time
	receipt        *Receipt
}

const depColumns = `id, node_id, batch_id, number, attempt, state, phase, phase_status, provider, skip_phases, maintenance,
	sequence, boots, reboots, resume_phase, failure_phase, failure_code, failure_message, failure_hint, failure_retryable, failure_sequence, failed_at,
	started_at, finished_at`

func scanDep(rows *sql.Rows) (*depRow, error) {
	d := &depRow{}
	var skip []byte
	var f struct {
		phase, code, message, hint sql.NullString
		retryable                  sql.NullBool
		sequence                   sql.NullInt64
		at                         *time.Time
	}
	err := rows.Scan(&d.id, &d.nodeID, &d.batchID, &d.number, &d.attempt, &d.state, &d.phase, &d.phaseStatus, &d.provider, &skip, &d.maintenance,
		&d.sequence, &d.boots, &d.reboots, &d.resume, &f.phase, &f.code, &f.message, &f.hint, &f.retryable, &f.sequence, &f.at,
		&d.started, &d.finished)
	if err != nil {
		return nil, fmt.Errorf("lifecycle: reading a deployment: %w", err)
	}
	if len(skip) > 0 {
		if err := json.Unmarshal(skip, &d.skip); err != nil {
			return nil, fmt.Errorf("lifecycle: deployment %d: skip_phases: %w", d.id, err)
		}
	}
	if f.at != nil {
		d.failure = &failure{f.phase.String, f.code.String, f.message.String, f.hint.String, f.retryable.Bool, int(f.sequence.Int64), *f.at}
	}
	d.was = d.rare()
	return d, nil
}

const runColumns = `id, deployment_id, attempt, phase, status, tries, progress, message, last_hash, last_sequence,
	awaiting, evidence, awaiting_since, entered_at, started_at, finished_at, deadline_at, clock_stopped_at, stopped_ms`

func scanRun(rows *sql.Rows) (deploymentID int64, r *runRow, err error) {
	r = &runRow{}
	err = rows.Scan(&r.id, &deploymentID, &r.attempt, &r.phase, &r.status, &r.tries, &r.progress, &r.message, &r.lastHash, &r.lastSequence,
		&r.awaiting, &r.evidence, &r.awaitSince, &r.entered, &r.started, &r.finished, &r.deadline, &r.stoppedAt, &r.stoppedMS)
	if err != nil {
		return 0, nil, fmt.Errorf("lifecycle: reading a phase run: %w", err)
	}
	r.was = r.rare()
	return deploymentID, r, nil
}

const nodeColumns = `id, name, provider, server_profile, management_ip, workload_ip, mac, mac_addresses, labels, deployment_status, state,
	current_deployment_id, server_id, server_status, ssh_host_key, boot_id, ssh_port, stale, late, version, last_seen_at`

func scanNode(rows *sql.Rows) (*nodeRow, error) {
	n := &nodeRow{}
	var macs, labels []byte
	err := rows.Scan(&n.id, &n.name, &n.provider, &n.profile, &n.managementIP, &n.workloadIP, &n.mac, &macs, &labels, &n.status, &n.state,
		&n.current, &n.serverID, &n.serverStatus, &n.hostKey, &n.bootID, &n.sshPort, &n.stale, &n.late, &n.version, &n.lastSeen)
	if err != nil {
		return nil, fmt.Errorf("lifecycle: reading a node: %w", err)
	}
	if len(macs) > 0 {
		if err := json.Unmarshal(macs, &n.macs); err != nil {
			return nil, fmt.Errorf("lifecycle: node %d: mac_addresses: %w", n.id, err)
		}
	}
	if len(labels) > 0 {
		if err := json.Unmarshal(labels, &n.labels); err != nil {
			return nil, fmt.Errorf("lifecycle: node %d: labels: %w", n.id, err)
		}
	}
	n.was = n.rare()
	return n, nil
}

func nullJSON(v json.RawMessage) any {
	if len(v) == 0 {
		return nil
	}
	return string(v)
}

func nullInt(v sql.NullInt64) any {
	if !v.Valid {
		return nil
	}
	return v.Int64
}

func nullText(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("lifecycle: encoding %T: %v", v, err)) // only our own types of strings come here
	}
	return string(b)
}
