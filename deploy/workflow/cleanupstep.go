package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// cleanup lets the provider release what the node holds, and records how each
// thing stands whenever that changes.
func (s *step) cleanup(ctx context.Context) (time.Duration, error) {
	if s.status == phase.Waiting {
		if err := s.tell(ctx, s.report(phase.InProgress, "releasing what the node holds")); err != nil {
			return 0, err
		}
	}
	releaser, ok := s.provider.(deploy.Releaser)
	if !ok {
		return 0, s.tell(ctx, s.report(phase.Success, fmt.Sprintf("%s holds nothing for this node", s.spec.Provider)))
	}
	steps, err := releaser.Release(ctx, deploy.Release{NodeID: s.nodeID, NodeName: s.nodeName, DeploymentID: s.DeploymentID})
	var cause *deploy.ProviderError
	if err != nil && !errors.As(err, &cause) && ctx.Err() != nil {
		return 0, err
	}
	if len(steps) > 0 && err != nil { // the last word, when all is gone, is said below
		if err := s.tell(ctx, s.released(phase.InProgress, steps)); err != nil {
			return 0, err
		}
	}
	switch {
	case err == nil:
		return 0, s.tell(ctx, s.released(phase.Success, steps))
	case cause != nil && !cause.Temporary:
		r := s.released(phase.FailedRun, steps)
		r.Message, r.Code, r.Hint = cause.Message, string(cause.Code), cause.Hint
		return 0, s.tell(ctx, r)
	}
	return s.settle(ctx, err, "cleanup")
}

// released is the report of how a release stands. The same standing is the
// same report, which the history keeps once.
func (s *step) released(status phase.Status, steps []deploy.ReleaseStep) lifecycle.Report {
	done := 0
	now := ""
	for _, step := range steps {
		switch step.Status {
		case deploy.ReleaseDone, deploy.ReleaseKept:
			done++
		case deploy.ReleaseActive:
			if now == "" {
				now = fmt.Sprintf("; %s %s: %s", step.Kind, step.Name, step.Message)
			}
		}
	}
	r := s.report(status, fmt.Sprintf("%d of %d resources are gone%s", done, len(steps), now))
	r.Source = deploy.SourceCloudAPI
	if len(steps) == 0 {
		r.Message = "the node holds nothing"
		return r
	}
	percent := done * 100 / len(steps)
	r.Progress = &percent
	details, err := json.Marshal(map[string]any{"steps": steps})
	if err == nil { // strings and numbers always can be written
		r.Details = details
	}
	return r
}

// bootAgain has the node's machine boot from us again, if it is older than
// this attempt. again > 0 means that this takes more time.
func (s *step) bootAgain(ctx context.Context) (again time.Duration, err error) {
	reinstaller, ok := s.provider.(deploy.Reinstaller)
	if s.since.IsZero() || !ok {
		return 0, nil
	}
	machine, err := reinstaller.Reinstall(ctx, s.orderFor())
	if err != nil {
		again, err = s.settle(ctx, err, "provider")
		if err == nil && again == 0 {
			again = -1 // the phase has failed
		}
		return again, err
	}
	return 0, s.write(ctx, "learnt", func(tx *lifecycle.Tx) error { return tx.LearnFor(s.DeploymentID, s.learnt(machine)) })
}
