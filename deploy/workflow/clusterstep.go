package workflow

import (
	"context"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// What a member of a cluster waits for.
const (
	awaitedMembers   = "cluster"           // others, with its own clock standing
	awaitedFormation = "cluster_formation" // the controller VMs
	awaitedHealth    = "cluster_health"    // the cluster's health
)

// formCluster waits at the barrier for the other members, and then for the
// cluster.
func (s *step) formCluster(ctx context.Context) (time.Duration, error) {
	if s.engine.opts.Clusters == nil {
		return 0, s.fail(ctx, &deploy.ProviderError{Code: deploy.CodeInvalid, Message: "this server forms no clusters"})
	}
	stand, err := s.engine.opts.Clusters.Form(ctx, s.DeploymentID)
	if err != nil {
		return 0, err
	}
	return s.stands(ctx, stand, awaitedFormation)
}

// clusterHealth looks at the cluster of a node that is well itself.
func (s *step) clusterHealth(ctx context.Context) (deploy.ClusterStand, time.Duration, error) {
	if s.engine.opts.Clusters == nil {
		return deploy.ClusterStand{Move: deploy.ClusterFail}, 0, s.fail(ctx, &deploy.ProviderError{Code: deploy.CodeInvalid, Message: "this server forms no clusters"})
	}
	stand, err := s.engine.opts.Clusters.Validate(ctx, s.DeploymentID)
	if err != nil || stand.Move == deploy.ClusterDone {
		return stand, 0, err
	}
	again, err := s.stands(ctx, stand, awaitedHealth)
	return stand, again, err
}

// stands records how a member stands: while others are waited for, its clock
// stands still.
func (s *step) stands(ctx context.Context, stand deploy.ClusterStand, awaited string) (time.Duration, error) {
	every := s.engine.opts.ProbeEvery
	if stand.Move == deploy.ClusterHold {
		return every, s.write(ctx, "hold", func(tx *lifecycle.Tx) error {
			return tx.WaitForOthers(s.DeploymentID, s.Phase, awaitedMembers, stand.Message)
		})
	}
	if s.awaiting == awaitedMembers {
		// What begins for it now is another formation than any before: those have
		// ended, or it would not have been held.
		err := s.write(ctx, "go on", func(tx *lifecycle.Tx) error {
			return tx.WithOthers(s.DeploymentID, s.Phase, awaited == awaitedFormation)
		})
		if err != nil {
			return 0, err
		}
	}
	switch stand.Move {
	case deploy.ClusterAlone:
		return 0, s.write(ctx, "dismiss", func(tx *lifecycle.Tx) error {
			_, err := tx.Dismiss(lifecycle.Dismissal{DeploymentID: s.DeploymentID, Attempt: s.Attempt, Why: stand.Message, Actor: deploy.System})
			return err
		})
	case deploy.ClusterFail:
		return 0, s.fail(ctx, stand.Failure)
	case deploy.ClusterDone:
		return 0, s.tell(ctx, s.report(phase.Success, stand.Message))
	case deploy.ClusterGo, deploy.ClusterHold:
	}
	if err := s.tell(ctx, s.report(phase.InProgress, stand.Message)); err != nil {
		return 0, err
	}
	return every, s.await(ctx, awaited, stand.Evidence)
}
