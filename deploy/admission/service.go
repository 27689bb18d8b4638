package admission

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
)

// Awaiting is the code of the wait for a download slot on a phase run.
const Awaiting = "download_slot"

// queueLock is the PostgreSQL advisory lock under which slots are counted. It
// is the one that the workflow's slots are counted under, for a transaction of
// the writer may do both, and two locks could be taken in either order. It is
// taken after the rows of deployments and nodes and before the stream counter.
const queueLock = 0x736c6970 // "slip"

// beats is how many heartbeats a machine may miss before it holds no slot.
const beats = 3

// Options tune a Service.
type Options struct {
	// Slots bounds how many machines download at once; 8 if 0.
	Slots int
	// Budget bounds the bytes of the downloads under way; 0 = no bound.
	Budget int64
	// Heartbeat is how often machines give a sign of life; 30 s if 0.
	Heartbeat time.Duration
	Now       func() time.Time // nil = the system's clock
	Logger    *slog.Logger     // nil = slog.Default()
}

// Service admits machines to their downloads.
type Service struct {
	store  *store.Store
	writer *lifecycle.Writer
	opts   Options
	begun  time.Time // silence before it may be ours: nobody loses a slot for that
}

// New makes a Service on a running writer.
func New(st *store.Store, w *lifecycle.Writer, opts Options) *Service {
	if opts.Slots <= 0 {
		opts.Slots = 8
	}
	if opts.Heartbeat <= 0 {
		opts.Heartbeat = 30 * time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	return &Service{store: st, writer: w, opts: opts, begun: opts.Now()}
}

// Request is a machine's question whether it may download bytes now. An
// admitted machine stays so until its phase ends, however often it asks.
// Errors: not_found; deployment_ended; wrong_state when the token's attempt
// is over; out_of_order when image_download was not reported yet.
func (s *Service) Request(ctx context.Context, deploymentID int64, attempt int, bytes int64) (Answer, error) {
	if bytes < 0 {
		return Answer{}, deploy.Invalid([]deploy.FieldError{{Field: "bytes", Code: deploy.CodeOutOfRange, Message: "must not be negative"}})
	}
	var answer Answer
	err := s.writer.Do(ctx, []int64{deploymentID}, nil, func(tx *lifecycle.Tx) error {
		answer = Answer{}
		key, current, _, state, err := tx.OpenPhase(deploymentID)
		if err != nil {
			return err
		}
		if at, err := place(key, state, attempt, current); err != nil || at > 0 {
			answer.Admitted = at > 0
			return err
		}
		answer, err = s.admit(ctx, tx, deploymentID, bytes)
		return err
	})
	if err != nil {
		return Answer{}, err
	}
	return answer, nil
}

// place compares where a deployment is with image_download: 0 there, 1 beyond,
// where there is nothing to wait for any more.
func place(key phase.Key, state phase.State, attempt, current int) (int, error) {
	switch {
	case !phase.Active(state):
		return 0, deploy.Errorf(deploy.CodeDeploymentEnded, "the deployment is %s", state)
	case attempt < current:
		return 0, deploy.Errorf(deploy.CodeWrongState, "the token belongs to attempt %d, the deployment is at attempt %d", attempt, current)
	case key == phase.ImageDownload:
		return 0, nil
	}
	open, _ := phase.Lookup(key)
	download, _ := phase.Lookup(phase.ImageDownload)
	if open.Ordinal > download.Ordinal {
		return 1, nil
	}
	return 0, &deploy.Error{Code: deploy.CodeOutOfOrder, Message: fmt.Sprintf("the deployment is in %s: %s was not reported yet", key, phase.ImageDownload),
		Hint: "report image_download in_progress, then ask again", Retryable: true}
}

// admit counts and decides for an open run of image_download.
func (s *Service) admit(ctx context.Context, tx *lifecycle.Tx, deploymentID, bytes int64) (Answer, error) {
	if s.store.Dialect == store.PostgreSQL {
		if _, err := tx.SQL().ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, queueLock); err != nil {
			return Answer{}, fmt.Errorf("admission: locking the download slots: %w", err)
		}
	}
	own, err := ownRun(ctx, tx.SQL(), deploymentID)
	if errors.Is(err, sql.ErrNoRows) {
		// Opened in this very transaction: the table does not show it yet.
		return Answer{RetryAfter: time.Second}, nil
	}
	if err != nil {
		return Answer{}, fmt.Errorf("admission: reading the run of deployment %d: %w", deploymentID, err)
	}
	if own.admitted {
		return Answer{Admitted: true}, tx.GoOn(deploymentID, phase.ImageDownload)
	}
	f, err := s.count(ctx, tx, own)
	if err != nil {
		return Answer{}, err
	}
	f.Bytes = bytes
	answer := Decide(f, s.opts.Heartbeat)
	if answer.Admitted {
		return answer, tx.Admit(deploymentID, phase.ImageDownload, bytes)
	}
	if own.since == nil {
		if err := tx.LineUp(deploymentID, phase.ImageDownload, Awaiting, bytes); err != nil {
			return Answer{}, err
		}
	}
	return answer, tx.Hold(deploymentID, phase.ImageDownload, Awaiting, answer.Evidence())
}

// run is the open image_download run of a machine that asks.
type run struct {
	id       int64
	admitted bool
	since    *time.Time // since when it waits; nil = it asks for the first time
}

func ownRun(ctx context.Context, tx *sql.Tx, deploymentID int64) (run, error) {
	var r run
	var awaiting string
	err := tx.QueryRowContext(ctx, `SELECT id, admitted_at IS NOT NULL, awaiting, awaiting_since FROM phase_runs
		WHERE deployment_id = $1 AND phase = 'image_download' AND finished_at IS NULL`, deploymentID).Scan(&r.id, &r.admitted, &awaiting, store.NullTime(&r.since))
	if awaiting != Awaiting {
		r.since = nil
	}
	return r, err
}

// downloads is the SQL of the open downloads. They are found by what runs: of
// the phases that are open, most may be of deployments that still wait.
const downloads = `FROM deployments d JOIN phase_runs r ON r.deployment_id = d.id AND r.finished_at IS NULL JOIN nodes n ON n.id = d.node_id
		WHERE d.state IN ('running', 'canceling', 'cleaning_up') AND r.phase = 'image_download'`

const countQuery = `SELECT
			COALESCE(SUM(CASE WHEN r.admitted_at IS NOT NULL THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN r.admitted_at IS NOT NULL THEN r.admitted_bytes ELSE 0 END), 0),
			COALESCE(SUM(CASE WHEN r.admitted_at IS NULL THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN r.admitted_at IS NULL THEN r.admitted_bytes ELSE 0 END), 0)
		` + downloads + ` AND r.id <> $1
			AND (r.admitted_at IS NOT NULL OR r.awaiting = 'download_slot' AND (r.awaiting_since < $2 OR r.awaiting_since = $2 AND r.id < $1))
			AND COALESCE(n.last_seen_at, r.entered_at) >= $3`

const sweepQuery = `SELECT r.deployment_id ` + downloads + ` AND r.awaiting = 'download_slot' AND r.clock_stopped_at IS NOT NULL AND d.maintenance = $1
			AND COALESCE(n.last_seen_at, r.entered_at) < $2 ORDER BY r.id LIMIT 500`

// count counts who downloads and who waits before a run. Those of which
// nothing was heard for some heartbeats are left out.
func (s *Service) count(ctx context.Context, tx *lifecycle.Tx, own run) (Facts, error) {
	since := tx.Now()
	if own.since != nil {
		since = *own.since
	}
	f := Facts{Slots: s.opts.Slots, Budget: s.opts.Budget}
	err := tx.SQL().QueryRowContext(ctx, countQuery, own.id, since, s.silent()).Scan(&f.Running, &f.RunningBytes, &f.Ahead, &f.AheadBytes)
	if err != nil {
		return f, fmt.Errorf("admission: counting the downloads: %w", err)
	}
	return f, nil
}

// silent is the time before which a machine's last sign of life must lie to
// call it silent. What was missed while we were away is not silence.
func (s *Service) silent() time.Time {
	limit := s.opts.Now().UTC().Add(-beats * s.opts.Heartbeat)
	if s.begun.After(limit) {
		return time.Time{}
	}
	return limit
}

// Run lets the clocks of machines go on that have stopped asking, until ctx
// ends.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(min(s.opts.Heartbeat, 10*time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.opts.Logger.Warn("the sweep over waiting downloads will be repeated", "error", err)
		}
	}
}

// Sweep lets the clocks of those go on that wait for a slot and were not heard
// for some heartbeats, so that their deadline can act. A machine that asks
// again stops its clock again.
func (s *Service) Sweep(ctx context.Context) error {
	limit := s.silent()
	if limit.IsZero() {
		return nil
	}
	rows, err := s.store.Read.QueryContext(ctx, sweepQuery, false, limit)
	if err != nil {
		return fmt.Errorf("admission: looking for silent machines: %w", err)
	}
	defer rows.Close()
	var silent []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return fmt.Errorf("admission: looking for silent machines: %w", err)
		}
		silent = append(silent, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("admission: looking for silent machines: %w", err)
	}
	for _, id := range silent {
		if err := s.writer.Do(ctx, []int64{id}, nil, func(tx *lifecycle.Tx) error { return tx.LetRun(id, phase.ImageDownload, Awaiting) }); err != nil {
			return fmt.Errorf("admission: deployment %d: %w", id, err)
		}
	}
	return nil
}
