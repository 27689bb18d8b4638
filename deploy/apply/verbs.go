package apply

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
)

// Cancel asks for the end of a run.
type Cancel struct {
	RunID  int64
	Reason string
	// Force ends the script at once and does not give it time to end by itself.
	Force bool
	Actor deploy.Actor
}

// Cancel has a running script ended: it is asked to end, and made to if it does
// not in time. Its deployments are canceled then. A run that is being canceled
// is left alone, unless it is to be forced now. A run of another host is only
// written off, and only if it is forced. Errors: not_found, wrong_state (it has
// ended, or is of another host), out_of_range.
func (s *Service) Cancel(ctx context.Context, c Cancel) (*Run, error) {
	if err := s.equipped(); err != nil {
		return nil, err
	}
	if len(c.Reason) > 500 {
		return nil, deploy.Invalid([]deploy.FieldError{{Field: "reason", Code: deploy.CodeOutOfRange, Message: "is longer than 500 bytes"}})
	}
	r, err := s.Get(ctx, c.RunID)
	switch {
	case err != nil:
		return nil, err
	case !r.Active():
		return r, deploy.Errorf(deploy.CodeWrongState, "run %d has ended (%s)", r.ID, r.State)
	case r.Host != s.deps.Host.Host() && c.Force:
		return s.writeOff(ctx, r, c)
	case r.Host != s.deps.Host.Host():
		return r, &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("run %d is on the host %s", r.ID, r.Host), Hint: "ask the server there; if that host is gone for good, force it: the run is written off as lost then"}
	}
	if r.CancelAt == nil || c.Force {
		at := s.now()
		if c.Force {
			at = at.Add(-s.deps.KillAfter)
		}
		if err := s.set(ctx, r.ID, `cancel_at = $2, cancel_by = $3, cancel_reason = $4`, at, c.Actor.Name, strings.TrimSpace(c.Reason)); err != nil {
			return r, err
		}
		s.deps.Logger.Info("audit", "verb", "cancel_run", "run", r.ID, "force", c.Force, "reason", c.Reason, "actor_kind", string(c.Actor.Kind), "actor", c.Actor.Name)
	}
	s.hurry()
	return s.Get(ctx, r.ID)
}

// writeOff ends the row of a run whose host is gone, or has another name now:
// nobody will ever tell how it ended. Nothing is done to the host.
func (s *Service) writeOff(ctx context.Context, r *Run, c Cancel) (*Run, error) {
	problem := fmt.Sprintf("written off by %s: its host %s does not answer for it any more", c.Actor.Name, r.Host)
	if c.Reason != "" {
		problem += " (" + strings.TrimSpace(c.Reason) + ")"
	}
	if err := s.set(ctx, r.ID, `state = $2, problem = $3, ended_at = $4`, deploy.RunLost, problem, s.now()); err != nil {
		return r, err
	}
	s.deps.Logger.Warn("audit", "verb", "write_off_run", "run", r.ID, "host", r.Host, "reason", c.Reason, "actor_kind", string(c.Actor.Kind), "actor", c.Actor.Name)
	return s.Get(ctx, r.ID)
}

// Marker tells how the marker of a run in progress stands on this host.
func (s *Service) Marker(ctx context.Context) (deploy.Marker, error) {
	if err := s.equipped(); err != nil {
		return deploy.Marker{}, err
	}
	m, err := s.deps.Host.Marker(ctx)
	if err != nil || m.RunID == 0 {
		return m, refusal(err)
	}
	// A run of that number may be another: the database was lost or restored since.
	ours, err := oneRun(ctx, s.deps.Store.Read, `id = $1 AND identity = $2`, m.RunID, m.RunIdentity)
	if ours == nil {
		m.RunID, m.RunIdentity = 0, ""
	}
	return m, err
}

// ClearMarker removes a marker that no living script has made. Errors:
// run_active.
func (s *Service) ClearMarker(ctx context.Context, actor deploy.Actor) (deploy.Marker, error) {
	if err := s.equipped(); err != nil {
		return deploy.Marker{}, err
	}
	active, err := s.activeRun(ctx, s.deps.Store.Read)
	if err != nil {
		return deploy.Marker{}, err
	}
	if active != nil {
		return deploy.Marker{}, active.busy()
	}
	err = s.deps.Host.ClearMarker(ctx)
	s.deps.Logger.Info("audit", "verb", "clear_marker", "host", s.deps.Host.Host(), "actor_kind", string(actor.Kind), "actor", actor.Name, "error", err)
	if err != nil {
		return deploy.Marker{}, refusal(err)
	}
	return s.Marker(ctx)
}

// Host names the host whose script this server runs; empty if it runs none.
func (s *Service) Host() string {
	if s.deps.Host == nil {
		return ""
	}
	return s.deps.Host.Host()
}

// Ready tells why a run could not begin now; nil if it could.
func (s *Service) Ready(ctx context.Context) error {
	if err := s.equipped(); err != nil {
		return err
	}
	obstacle, err := s.obstacle(ctx)
	if err != nil {
		return err
	}
	return obstacle
}

// Active gives the run of this host that has not ended; nil if there is none.
func (s *Service) Active(ctx context.Context) (*Run, error) {
	if s.deps.Host == nil {
		return nil, nil
	}
	return s.activeRun(ctx, s.deps.Store.Read)
}
