package apply

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// Run is one execution of the deployment script.
type Run struct {
	ID           int64
	Identity     string // of all runs of all databases: see deploy.RunKey
	Host         string
	State        string // deploy.RunStoring …
	Nodes        int
	PID          int // 0 = never started
	ExitCode     *int
	Signal       string
	Problem      string
	LogBytes     int64
	LogCut       bool
	CancelAt     *time.Time
	CancelBy     string
	CancelReason string
	RequestedBy  deploy.Actor
	CreatedAt    time.Time
	StoredAt     *time.Time
	StartedAt    *time.Time
	EndedAt      *time.Time
}

// Active tells whether the run has not ended.
func (r *Run) Active() bool { return r.State == deploy.RunStoring || r.State == deploy.RunRunning }

// Document is what a run stored for one node.
type Document struct {
	RunID        int64
	DeploymentID int64
	Attempt      int
	NodeID       int64
	NodeName     string
	File         string
	Number       int
	Body         []byte
	SHA256       string
	BootIDBefore string
	CreatedAt    time.Time

	target   string // address of the node
	identity string // of the run
}

// key names the run to its host.
func (r *Run) key() deploy.RunKey { return deploy.RunKey{ID: r.ID, Identity: r.Identity} }

// busy is the refusal of whoever wants to begin a run beside this one.
func (r *Run) busy() error {
	what := "is being prepared"
	if r.State == deploy.RunRunning {
		what = fmt.Sprintf("runs as process %d", r.PID)
	}
	return &deploy.Error{Code: deploy.CodeRunActive, Retryable: true,
		Message: fmt.Sprintf("the deployment script %s on %s since %s: run %d of %s, for %d node(s)", what, r.Host, r.CreatedAt.UTC().Format(time.RFC3339), r.ID, r.RequestedBy.Name, r.Nodes),
		Hint:    "wait for its end, or cancel it"}
}

// reader is a pool or a transaction.
type reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

const runColumns = `id, identity, host, state, nodes, COALESCE(pid, 0), exit_code, signal, problem, log_bytes, log_cut, cancel_at, cancel_by, cancel_reason,
	requested_by_kind, requested_by, created_at, stored_at, started_at, ended_at`

func scanRun(row interface{ Scan(...any) error }) (*Run, error) {
	r := &Run{}
	var kind string
	err := row.Scan(&r.ID, &r.Identity, &r.Host, &r.State, &r.Nodes, &r.PID, &r.ExitCode, &r.Signal, &r.Problem, &r.LogBytes, &r.LogCut, &r.CancelAt, &r.CancelBy, &r.CancelReason,
		&kind, &r.RequestedBy.Name, &r.CreatedAt, &r.StoredAt, &r.StartedAt, &r.EndedAt)
	r.RequestedBy.Kind = deploy.ActorKind(kind)
	return r, err
}

// oneRun reads the run that a condition chooses; nil if there is none.
func oneRun(ctx context.Context, from reader, where string, args ...any) (*Run, error) {
	r, err := scanRun(from.QueryRowContext(ctx, `SELECT `+runColumns+` FROM script_runs WHERE `+where, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("apply: reading a run: %w", err)
	}
	return r, nil
}

// activeRun gives the run of this host that has not ended; nil if there is none.
func (s *Service) activeRun(ctx context.Context, from reader) (*Run, error) {
	return oneRun(ctx, from, `host = $1 AND state IN ('storing', 'running')`, s.deps.Host.Host())
}

// Get reads a run. Errors: not_found.
func (s *Service) Get(ctx context.Context, id int64) (*Run, error) {
	r, err := oneRun(ctx, s.deps.Store.Read, `id = $1`, id)
	if err == nil && r == nil {
		return nil, deploy.Errorf(deploy.CodeNotFound, "there is no run %d of the deployment script", id)
	}
	return r, err
}

// RunsMax is the most runs in a page.
const RunsMax = 100

// List reads runs, the newest first; before bounds their ids, 0 = from the
// newest on. more tells whether there are older ones.
func (s *Service) List(ctx context.Context, before int64, limit int) (runs []*Run, more bool, err error) {
	limit = min(max(limit, 1), RunsMax)
	if before <= 0 {
		before = 1<<63 - 1
	}
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT `+runColumns+` FROM script_runs WHERE id < $1 ORDER BY id DESC LIMIT $2`, before, limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("apply: reading runs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return nil, false, fmt.Errorf("apply: reading runs: %w", err)
		}
		runs = append(runs, r)
	}
	if more = len(runs) > limit; more {
		runs = runs[:limit]
	}
	return runs, more, rows.Err()
}

// Documents lists what a run stores, in the order of the request.
func (s *Service) Documents(ctx context.Context, runID int64) ([]Document, error) {
	return readDocuments(ctx, s.deps.Store.Read, `d.run_id = $1 ORDER BY d.id`, runID)
}

// History lists what was ever stored for a node, the newest first.
func (s *Service) History(ctx context.Context, nodeID int64, limit int) ([]Document, error) {
	return readDocuments(ctx, s.deps.Store.Read, `d.node_id = $1 AND r.stored_at IS NOT NULL ORDER BY d.id DESC LIMIT $2`, nodeID, min(max(limit, 1), RunsMax))
}

// ForAttempt gives what is stored for an attempt of a deployment, and the run
// that does; nil if there is none yet.
func (s *Service) ForAttempt(ctx context.Context, deploymentID int64, attempt int) (*Run, *Document, error) {
	docs, err := readDocuments(ctx, s.deps.Store.Read, `d.deployment_id = $1 AND d.attempt <= $2 ORDER BY d.id DESC LIMIT 1`, deploymentID, attempt)
	if err != nil || len(docs) == 0 {
		return nil, nil, err
	}
	r, err := s.Get(ctx, docs[0].RunID)
	return r, &docs[0], err
}

func readDocuments(ctx context.Context, from reader, where string, args ...any) ([]Document, error) {
	rows, err := from.QueryContext(ctx, `SELECT d.run_id, d.deployment_id, d.attempt, d.node_id, n.name, d.file, d.number, d.body, d.sha256, d.boot_id_before, d.created_at, COALESCE(n.management_ip, ''), r.identity
		FROM script_documents d JOIN nodes n ON n.id = d.node_id JOIN script_runs r ON r.id = d.run_id WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("apply: reading documents: %w", err)
	}
	defer rows.Close()
	var out []Document
	for rows.Next() {
		var d Document
		if err := rows.Scan(&d.RunID, &d.DeploymentID, &d.Attempt, &d.NodeID, &d.NodeName, &d.File, &d.Number, &d.Body, &d.SHA256, &d.BootIDBefore, &d.CreatedAt, &d.target, &d.identity); err != nil {
			return nil, fmt.Errorf("apply: reading documents: %w", err)
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// Log reads a run's output from an offset in bytes, at most limit bytes of it,
// and the offset that follows. Errors: not_found; wrong_state if the run is of
// another host, which alone has its log.
func (s *Service) Log(ctx context.Context, id, offset int64, limit int) (text []byte, next int64, run *Run, err error) {
	if err := s.equipped(); err != nil {
		return nil, 0, nil, err
	}
	run, err = s.Get(ctx, id)
	if err != nil {
		return nil, 0, nil, err
	}
	if run.Host != s.deps.Host.Host() {
		return nil, 0, run, &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("the log of run %d is on the host %s", id, run.Host), Hint: "ask the server there"}
	}
	if run.StartedAt == nil {
		return nil, offset, run, nil
	}
	text, next, err = s.deps.Host.Log(ctx, run.key(), max(offset, 0), limit)
	return text, next, run, refusal(err)
}

// HostError is the refusal of a host, and not of what was asked for: its files
// cannot be written, or its script cannot be run.
type HostError struct{ refusal *deploy.Error }

// Error is the refusal's text.
func (e *HostError) Error() string { return e.refusal.Error() }

// Unwrap gives the refusal.
func (e *HostError) Unwrap() error { return e.refusal }

// refusal turns a host's error into one that faces may show.
func refusal(err error) error {
	var p *deploy.ProviderError
	if !errors.As(err, &p) {
		return err
	}
	return &HostError{&deploy.Error{Code: p.Code, Message: p.Message, Hint: p.Hint, Retryable: p.Temporary}}
}
