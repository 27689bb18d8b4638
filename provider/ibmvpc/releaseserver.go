package ibmvpc

import (
	"context"
	"time"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// More words of the API (BareMetalServer.status).
const (
	statusRunning        = "running"
	statusStarting       = "starting"
	statusRestarting     = "restarting"
	statusStopped        = "stopped"
	statusMaintenance    = "maintenance"
	statusReinitializing = "reinitializing"
)

const (
	// softStopPatience is how long an operating system is given to shut down
	// before the power is cut. A machine in the middle of an installation does
	// not answer at all.
	softStopPatience = 2 * time.Minute
	// hardStopAgain is how far apart hard stops are.
	hardStopAgain = 30 * time.Second
	// waitStop is between two looks at a server that stops.
	waitStop = 5 * time.Second
)

// stopping is how far a server is on its way to being stopped.
type stopping struct {
	Since  *time.Time `json:"since,omitempty"`   // it is wanted stopped
	SoftAt *time.Time `json:"soft_at,omitempty"` // the operating system was asked
	HardAt *time.Time `json:"hard_at,omitempty"` // the power was cut, the last time
}

// takeDown deletes a server: it is stopped first, and only one that is seen
// stopped is deleted. It gives a temporary error as long as it stops, and nil
// once the deletion was accepted; note records each step before it is asked for.
func (p *Provider) takeDown(ctx context.Context, s *vpcv1.BareMetalServer, so *stopping, note func(context.Context, stopping) error) error {
	if value(s.LifecycleState) == lifecycleSuspended {
		return permanent(deploy.CodeForbidden, "IBM suspended it: it cannot be deleted. Open a case with IBM support.", "the server %s is suspended", value(s.Name))
	}
	switch value(s.Status) {
	case statusDeleting:
		return waiting(deploy.CodeConflict, waitStop, "the server %s is being deleted", value(s.Name))
	case statusStopped, statusFailed, statusMaintenance:
		_, err := get(ctx, p, "deleting the server", func(ctx context.Context) (struct{}, *core.DetailedResponse, error) {
			response, err := p.vpc.DeleteBareMetalServerWithContext(ctx, p.vpc.NewDeleteBareMetalServerOptions(value(s.ID)))
			return struct{}{}, response, err
		})
		return err
	}
	return p.switchOff(ctx, s, so, note)
}

// switchOff asks a server that is not stopped to stop: its operating system
// first, and the power switch if that takes too long. It always gives an
// error: whoever wants the server stopped looks at it again.
func (p *Provider) switchOff(ctx context.Context, s *vpcv1.BareMetalServer, so *stopping, note func(context.Context, stopping) error) error {
	var state stopping
	if so != nil {
		state = *so
	}
	now := p.now()
	if state.Since == nil {
		state.Since = &now
		if err := note(ctx, state); err != nil {
			return err
		}
	}
	from := *state.Since
	if state.SoftAt != nil {
		from = *state.SoftAt
	}
	how := ""
	switch {
	case now.Sub(from) >= softStopPatience && (state.HardAt == nil || now.Sub(*state.HardAt) >= hardStopAgain):
		state.HardAt, how = &now, vpcv1.StopBareMetalServerOptionsTypeHardConst
	case state.SoftAt == nil && value(s.Status) == statusRunning:
		state.SoftAt, how = &now, vpcv1.StopBareMetalServerOptionsTypeSoftConst
	}
	if how != "" {
		if err := note(ctx, state); err != nil {
			return err
		}
		if err := p.stop(ctx, value(s.ID), how); err != nil {
			return err
		}
	}
	return waiting(deploy.CodeConflict, waitStop, "the server %s is %s; waiting until it is stopped", value(s.Name), value(s.Status))
}

func (p *Provider) stop(ctx context.Context, id, how string) error {
	_, err := get(ctx, p, "stopping the server", func(ctx context.Context) (struct{}, *core.DetailedResponse, error) {
		response, err := p.vpc.StopBareMetalServerWithContext(ctx, p.vpc.NewStopBareMetalServerOptions(id, how))
		return struct{}{}, response, err
	})
	return err
}
