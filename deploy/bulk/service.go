package bulk

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
)

// Writer changes deployments; package lifecycle's Writer does.
type Writer interface {
	Do(ctx context.Context, deployments, nodes []int64, apply func(*lifecycle.Tx) error) error
}

// Chooser finds deployments; package query's Fleet does.
type Chooser interface {
	Candidates(ctx context.Context, c query.Choice, most int) ([]query.Candidate, error)
}

// Deps are what a Service is made of.
type Deps struct {
	Store  *store.Store
	Writer Writer
	Fleet  Chooser
	// LookEvery is the pause between looks at operations that are not over.
	// Default 500 ms.
	LookEvery time.Duration
	// Boundary is told each point between which something changes for good. A
	// test stops the process there. nil = nobody.
	Boundary func(point string)
	Now      func() time.Time // nil = time.Now
	Logger   *slog.Logger     // nil = slog.Default()
}

// Service takes and drives operations. It is safe for concurrent use, also by
// several processes on one database.
type Service struct {
	deps Deps
	wake chan struct{}
}

// New makes a Service.
func New(d Deps) *Service {
	if d.LookEvery <= 0 {
		d.LookEvery = 500 * time.Millisecond
	}
	if d.Boundary == nil {
		d.Boundary = func(string) {}
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	return &Service{deps: d, wake: make(chan struct{}, 1)}
}

func (s *Service) now() time.Time { return s.deps.Now().UTC().Truncate(time.Microsecond) }

// Actions are the verbs that can be asked of many.
func Actions() []phase.Action {
	return []phase.Action{phase.ActionCancel, phase.ActionRetry, phase.ActionCleanup, phase.ActionReinitialize}
}

// Confirmation is what must be typed before n nodes lose what they have; empty
// for a verb that destroys nothing.
func Confirmation(action string, n int) string {
	switch action {
	case phase.ActionCleanup:
		return fmt.Sprintf("clean up %d", n)
	case phase.ActionReinitialize:
		return fmt.Sprintf("reinitialize %d", n)
	}
	return ""
}

// Preview tells what an operation would be asked of now; it changes nothing.
// Errors: invalid for the action or the choice, out_of_range for more than Most.
func (s *Service) Preview(ctx context.Context, action string, c query.Choice) (Preview, error) {
	out := Preview{LeftOut: map[string]int{}}
	if err := deploy.Invalid(checkChoice(action, c)); err != nil {
		return out, err
	}
	list, err := s.deps.Fleet.Candidates(ctx, c, Most)
	if err != nil {
		return out, err
	}
	out.Chosen = len(list)
	for _, one := range list {
		if why := leftOut(action, one.Facts); why != "" {
			out.LeftOut[why]++
			continue
		}
		out.matched = append(out.matched, one)
	}
	out.Matched = len(out.matched)
	out.Confirmation = Confirmation(action, out.Matched)
	return out, nil
}

// leftOut says why a verb is not asked of a deployment; empty = it is.
func leftOut(action string, f phase.ActionFacts) string {
	allowed := func(f phase.ActionFacts) bool { return slices.Contains(phase.AllowedActions(f), action) }
	switch {
	case allowed(f):
		return ""
	case !f.Current:
		return LeftOld
	case f.Protected:
		f.Protected = false
		if allowed(f) {
			return LeftProtected
		}
	}
	return LeftState
}

func checkChoice(action string, c query.Choice) (bad []deploy.FieldError) {
	if !slices.Contains(Actions(), action) {
		bad = append(bad, deploy.FieldError{Field: "action", Code: deploy.CodeInvalid, Message: "cannot be asked of many; only cancel, retry, cleanup and reinitialize can"})
	}
	given := 0
	for _, set := range []bool{c.IDs != nil, c.Deployments != nil, c.Nodes != nil} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		bad = append(bad, deploy.FieldError{Field: "ids", Code: deploy.CodeInvalid, Message: "exactly one of ids, filter and node_filter must be given"})
	case len(c.IDs) > Most:
		bad = append(bad, deploy.FieldError{Field: "ids", Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("has more than %d entries", Most)})
	}
	return bad
}

func (r *Request) check() (bad []deploy.FieldError) {
	bad = checkChoice(r.Action, r.Choice)
	add := func(field string, code deploy.Code, message string) {
		bad = append(bad, deploy.FieldError{Field: field, Code: code, Message: message})
	}
	if r.MaxParallel == 0 {
		r.MaxParallel = DefaultParallel
	}
	if r.MaxParallel < 1 || r.MaxParallel > MostParallel {
		add("max_parallel", deploy.CodeOutOfRange, fmt.Sprintf("must be 1 to %d", MostParallel))
	}
	if r.StopAfterFailures != nil && (*r.StopAfterFailures < 1 || *r.StopAfterFailures > Most) {
		add("stop_after_failures", deploy.CodeOutOfRange, fmt.Sprintf("must be 1 to %d", Most))
	}
	if r.Expected < 1 {
		add("expected_count", deploy.CodeOutOfRange, "must be at least 1")
	}
	if len(r.Reason) > reasonMax {
		add("reason", deploy.CodeOutOfRange, fmt.Sprintf("is longer than %d bytes", reasonMax))
	}
	if len(r.IdempotencyKey) > 200 {
		add("idempotency_key", deploy.CodeOutOfRange, "is longer than 200 bytes")
	}
	if r.Immediate && r.Action != phase.ActionCancel {
		add("mode", deploy.CodeInvalid, "is for cancel only")
	}
	return bad
}

// Run drives the operations of this database until ctx ends. Others may do the
// same at the same time.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(s.deps.LookEvery)
	defer ticker.Stop()
	var pruned time.Time
	for {
		err := s.Tick(ctx)
		if now := s.now(); err == nil && now.Sub(pruned).Abs() >= pruneEvery {
			pruned = now
			_, err = s.Prune(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.deps.Logger.Warn("a look at bulk operations will be repeated", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-ticker.C:
		}
	}
}

// How long operations are kept after they were over, and how they are removed.
const (
	Keep       = 90 * 24 * time.Hour
	pruneEvery = time.Hour
	pruneMost  = 50 // operations of one pass
)

// Prune removes operations that were over before Keep, the oldest first; what
// they did stays in the history of their deployments.
func (s *Service) Prune(ctx context.Context) (removed int64, err error) {
	old := s.now().Add(-Keep)
	which := fmt.Sprintf(`(SELECT id FROM bulk_operations WHERE finished_at < $1 ORDER BY id LIMIT %d)`, pruneMost)
	err = s.deps.Store.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM bulk_items WHERE operation_id IN `+which, old); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `DELETE FROM bulk_operations WHERE id IN `+which, old)
		if err != nil {
			return err
		}
		removed, err = res.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("bulk: removing old operations: %w", err)
	}
	return removed, nil
}

// hurry has the next look come at once.
func (s *Service) hurry() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
