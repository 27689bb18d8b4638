package lifecycle

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

var (
	errNoNode       = deploy.Errorf(deploy.CodeNotFound, "there is no such node")
	errNoDeployment = deploy.Errorf(deploy.CodeNotFound, "there is no such deployment")
)

// Report records what somebody says of a phase, and answers when it is on
// disk. A refusal is recorded too and comes back as a *deploy.Error beside
// its receipt.
func (w *Writer) Report(ctx context.Context, r Report) (Receipt, error) {
	var deps, nodes []int64
	if r.DeploymentID != 0 {
		deps = []int64{r.DeploymentID}
	} else {
		nodes = []int64{r.NodeID}
	}
	var receipt *Receipt
	err := w.submit(&item{ctx: ctx, deps: deps, nodes: nodes, report: &r, result: make(chan error, 1), apply: func(tx *Tx) (err error) {
		receipt, err = tx.Report(r)
		return err
	}})
	w.observe(receipt, err)
	if receipt == nil {
		return Receipt{}, err
	}
	return *receipt, err
}

func (w *Writer) observe(receipt *Receipt, err error) {
	if w.opts.OnOutcome == nil {
		return
	}
	var code deploy.Code
	if e, ok := deploy.AsError(err); ok {
		code = e.Code
	}
	switch {
	case receipt == nil:
		w.opts.OnOutcome("error", code)
	case receipt.Duplicate:
		w.opts.OnOutcome("duplicate", code)
	default:
		w.opts.OnOutcome(string(receipt.Outcome), code)
	}
}

// Report records r in this transaction. See Writer.Report.
func (tx *Tx) Report(r Report) (*Receipt, error) {
	id := r.DeploymentID
	if id == 0 {
		n, err := tx.node(r.NodeID)
		if err != nil {
			return nil, err
		}
		if !n.current.Valid {
			return nil, deploy.Errorf(deploy.CodeNotFound, "the node %s has never been deployed", n.name)
		}
		id = n.current.Int64
	}
	d, n, err := tx.deployment(id)
	if err != nil {
		return nil, err
	}
	if r.OccurredAt.IsZero() {
		r.OccurredAt = tx.at
	}
	hash := identity(r)
	receipt, err := tx.repeated(d, n, r, hash)
	if receipt != nil || err != nil {
		return receipt, err
	}
	if r.TokenAttempt != 0 && r.TokenAttempt < d.attempt {
		return tx.refuse(d, r, hash, phase.Verdict{Code: deploy.CodeWrongState, At: r.Phase,
			Reason: fmt.Sprintf("the token belongs to attempt %d, the deployment is at attempt %d", r.TokenAttempt, d.attempt)})
	}
	v := phase.Decide(d.facts(), phase.Report{Phase: r.Phase, Status: r.Status, As: r.As})
	switch v.Outcome {
	case phase.Refuse:
		return tx.refuse(d, r, hash, v)
	case phase.Step:
		if r.As == phase.ByMachine {
			tx.seen(n, tx.at)
		}
		e := tx.event(d, v.At, r.Status, r, hash)
		e.outcome = Step
		tx.show(n)
		return tx.receipt(d, e, v.AlreadyPassed), tx.learn(n, r)
	default:
		receipt := tx.accept(d, n, r, hash, v)
		if err := tx.learn(n, r); err != nil {
			return nil, err
		}
		if d.state == phase.CleanedUp {
			return receipt, tx.vacate(n)
		}
		return receipt, nil
	}
}

func (d *depRow) facts() phase.Facts {
	return phase.Facts{Provider: d.provider, State: d.state, Open: d.phase, OpenStatus: d.phaseStatus, Skip: d.skip, Resume: d.resume}
}

// identity is the hash of all that a report says, but not when it says so.
func identity(r Report) string {
	progress := ""
	if r.Progress != nil {
		progress = fmt.Sprint(*r.Progress)
	}
	h := sha256.New()
	_ = json.NewEncoder(h).Encode([]string{r.Phase, string(r.Status), r.Message, progress, r.ServerStatus, string(r.Details), r.LogTail, r.Code})
	return hex.EncodeToString(h.Sum(nil))
}

func (tx *Tx) refuse(d *depRow, r Report, hash string, v phase.Verdict) (*Receipt, error) {
	refusal := &deploy.Error{Code: v.Code, Message: v.Reason, AcceptedPhases: v.Accepted}
	receipt := &Receipt{NodeID: d.nodeID, DeploymentID: d.id, Phase: d.phase, PhaseStatus: d.phaseStatus, State: d.state, Attempt: d.attempt, Outcome: Refused}
	if tx.w.mayRecordRefusal(d.id) {
		e := tx.event(d, r.Phase, r.Status, r, hash)
		e.outcome, e.refusedCode, e.receipt = Refused, string(v.Code), receipt
		receipt.Sequence = e.sequence
	}
	return receipt, refusal
}

// AwaitsOrder is what a phase of ordering goes on waiting for when the machine
// has booted before the order was answered: which machine it is.
const AwaitsOrder = "order"

// accept makes the verdict's moves and records them: what is implied before
// the report, the report itself, what follows from it.
func (tx *Tx) accept(d *depRow, n *nodeRow, r Report, hash string, v phase.Verdict) *Receipt {
	v.At = firstNonEmpty(v.At, r.Phase)
	var reported *eventRow
	for _, m := range v.Moves {
		if m.Implied {
			run := tx.move(d, m, "", nil)
			if m.Phase == phase.ServerRequested && m.Status == phase.Success {
				run.awaiting = AwaitsOrder
			}
			if m.Status != phase.Waiting {
				tx.implied(d, m, r)
			}
			continue
		}
		run := tx.move(d, m, r.Message, r.Progress)
		run.lastHash = hash
		if m.Status == phase.FailedRun {
			tx.fail(d, r, v.At)
		}
		reported = tx.event(d, v.At, r.Status, r, hash)
		reported.outcome = Accepted
		switch m.Status {
		case phase.FailedRun:
			reported.status = phase.FailedRun
			d.failure.sequence = reported.sequence
		case phase.CanceledBy:
			reported.status = phase.CanceledBy
		default: // as it was reported
		}
		run.lastSequence = reported.sequence
	}
	d.state = v.State
	if d.state == phase.Running && d.started == nil {
		d.started = &tx.at
	}
	if !phase.Active(d.state) {
		d.finished = &tx.at
	}
	for _, e := range tx.events {
		// Only the last event says that the deployment has ended: a reader that
		// stops there has seen all of them.
		if e.dep == d && e.sequence >= reported.sequence && (phase.Active(d.state) || e.sequence == d.sequence) {
			e.state = d.state
		}
	}
	if r.As == phase.ByMachine {
		tx.seen(n, tx.at)
	}
	tx.mirror(d, n)
	tx.wakeWorkflow(d)
	return tx.receipt(d, reported, false)
}

func firstNonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// move changes the open run, or closes it and opens another.
func (tx *Tx) move(d *depRow, m phase.Move, message string, progress *int) *runRow {
	d.dirty = true
	run := d.open
	if m.Enter || run == nil {
		run = &runRow{attempt: d.attempt, phase: m.Phase, tries: 1, entered: tx.at}
		if d.maintenance {
			run.stoppedAt = &tx.at
		}
		if def, ok := phase.Lookup(m.Phase); ok && def.Deadline > 0 && m.Status.Open() {
			at := tx.at.Add(tx.w.opts.Deadline(d.provider, d.profile, def))
			run.deadline = &at
		}
		d.open = run
	}
	run.status, run.dirty = m.Status, true
	if message != "" {
		run.message = message
	}
	if progress != nil {
		run.progress = sql.NullInt64{Int64: int64(*progress), Valid: true}
	}
	if m.Status != phase.Waiting && m.Status != phase.Skipped && run.started == nil {
		run.started = &tx.at
	}
	d.phase, d.phaseStatus = m.Phase, m.Status
	if m.Phase != phase.Pending {
		d.resume = ""
	}
	if !m.Status.Open() {
		run.finished = &tx.at
		run.resume(tx.at)
		d.closed = append(d.closed, run)
		d.open = nil
	}
	return run
}

// implied records a move that nobody reported, but the report proves.
func (tx *Tx) implied(d *depRow, m phase.Move, r Report) {
	message := fmt.Sprintf("done: %s was reported", r.Phase)
	switch {
	case m.Status == phase.Skipped && slices.Contains(d.skip, m.Phase):
		message = "skipped: not needed for this deployment"
	case m.Status == phase.Skipped:
		message = fmt.Sprintf("skipped: the machine went on to %s", r.Phase)
	case m.Phase == phase.Deployed:
		message = "deployed"
	case m.Phase == phase.CleanupCompleted:
		message = "cleaned up: the node holds nothing any more"
	}
	e := tx.event(d, m.Phase, m.Status, Report{Message: message, OccurredAt: tx.at, Source: deploy.SourceOrchestrator, Actor: deploy.System}, "")
	e.outcome = Accepted
}

// event makes the next history row of a deployment.
func (tx *Tx) event(d *depRow, key string, s phase.Status, r Report, hash string) *eventRow {
	d.sequence++
	d.dirty = true
	e := &eventRow{
		dep: d, sequence: d.sequence, attempt: d.attempt, phase: key, status: s, message: r.Message,
		source: r.Source, actor: r.Actor.Name, progress: r.Progress, serverStatus: r.ServerStatus, details: r.Details,
		logTail: r.LogTail, idempotencyKey: r.IdempotencyKey, hash: hash, state: d.state, occurred: r.OccurredAt.UTC().Truncate(time.Microsecond),
	}
	tx.events = append(tx.events, e)
	return e
}

func (tx *Tx) receipt(d *depRow, e *eventRow, passed bool) *Receipt {
	e.receipt = &Receipt{NodeID: d.nodeID, DeploymentID: d.id, Sequence: e.sequence, Phase: d.phase, PhaseStatus: d.phaseStatus,
		State: d.state, Attempt: d.attempt, Outcome: e.outcome, AlreadyPassed: passed}
	return e.receipt
}

func (tx *Tx) fail(d *depRow, r Report, at string) {
	code, hint := r.Code, r.Hint
	if code == "" {
		code = "reported_failure"
	}
	message := r.Message
	if message == "" {
		message = "no reason was given"
	}
	if hint == "" {
		hint = hintFor(at)
	}
	d.failure = &failure{phase: at, code: code, message: message, hint: hint, retryable: !r.NotRetryable, at: tx.at}
}

// mirror shows the deployment on its node.
func (tx *Tx) mirror(d *depRow, n *nodeRow) {
	if !n.current.Valid || n.current.Int64 != d.id {
		return
	}
	switch d.state {
	case phase.StateFail:
		n.status = phase.Failed
	case phase.StateStop:
		n.status = phase.Canceled
	case phase.CleanedUp:
		n.status = phase.CleanupCompleted
	default:
		n.status = d.phase
	}
	n.state = d.state
	if def, _ := phase.Lookup(d.phase); def.Owner != phase.OwnerMachine || !phase.Active(d.state) {
		n.stale = false
	}
	if d.state != phase.Running {
		n.late = false
	}
	n.dirty = true
}

func (tx *Tx) show(n *nodeRow) { n.dirty = true }

// wakeWorkflow enqueues the step of a phase that the workflow owns, when it
// was just entered.
func (tx *Tx) wakeWorkflow(d *depRow) {
	if d.open == nil || d.open.id != 0 || d.open.status != phase.Waiting {
		return
	}
	tx.enqueue(d)
}

func (tx *Tx) enqueue(d *depRow) {
	if def, _ := phase.Lookup(d.open.phase); def.Owner == phase.OwnerWorkflow {
		tx.entered = append(tx.entered, Entered{DeploymentID: d.id, NodeID: d.nodeID, Provider: d.provider, Attempt: d.attempt, Phase: d.open.phase, Tries: d.open.tries})
	}
}

// learn takes what a machine says of itself at the end of its install.
func (tx *Tx) learn(n *nodeRow, r Report) error {
	if r.ServerStatus != "" && r.As == phase.ByWorkflow {
		n.serverStatus = sql.NullString{String: r.ServerStatus, Valid: true}
	}
	if r.As != phase.ByMachine || r.Phase != phase.PostInstall || r.Status != phase.Success || len(r.Details) == 0 {
		return nil
	}
	var said struct {
		HostKey string `json:"ssh_host_key"`
		BootID  string `json:"boot_id"`
		Port    int    `json:"ssh_port"`
		CVM     string `json:"cvm_ssh_host_key"`
	}
	if json.Unmarshal(r.Details, &said) != nil {
		return nil // details are free-form; what is not ours to read is still recorded
	}
	f := NodeFacts{SSHHostKey: said.HostKey, BootID: said.BootID, SSHPort: said.Port, CVMHostKey: said.CVM}
	tx.facts(n, f)
	return tx.guests(n, f)
}
