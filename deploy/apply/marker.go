package apply

import (
	"context"

	"github.com/slipwayhq/slipway/deploy"
)

// MarkerState is the marker beside what runs.
type MarkerState struct {
	deploy.Marker
	// Stale: it is there, but no run that is active or alive has made it.
	Stale bool
}

// MarkerState tells whether the marker of a run in progress is there, and
// whether there is such a run.
func (s *Service) MarkerState(ctx context.Context) (MarkerState, error) {
	m, err := s.Marker(ctx)
	if err != nil || !m.Present || m.Alive {
		return MarkerState{Marker: m}, err
	}
	// A run that is being prepared has made its marker before its script is alive.
	active, err := s.activeRun(ctx, s.deps.Store.Read)
	return MarkerState{Marker: m, Stale: active == nil}, err
}
