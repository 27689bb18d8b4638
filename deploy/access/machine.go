package access

import (
	"context"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/token"
)

// CreateLocator mints another boot locator of a deployment; those given out
// before stay valid. It is part of the URL that the machine boots from.
func (s *Service) CreateLocator(ctx context.Context, nodeID, deploymentID int64) (locator string, err error) {
	locator = newSecret(kindLocator)
	now := s.clock()
	err = s.inTx(ctx, func(tx *ent.Client) error {
		return tx.Token.Create().SetKind(kindLocator).SetHash(digest(locator)).SetNodeID(nodeID).
			SetDeploymentID(deploymentID).SetCreatedAt(now).Exec(ctx)
	})
	if err != nil {
		return "", fmt.Errorf("create boot locator: %w", err)
	}
	return locator, nil
}

// Located is what a boot locator points at.
type Located struct {
	NodeID       int64
	DeploymentID int64
	// Active is false when the deployment is over: then the machine is told
	// so, and no report token may be made.
	Active bool
}

// Locate tells which deployment a boot locator belongs to. A bad one is
// unauthenticated. It changes nothing.
func (s *Service) Locate(ctx context.Context, locator string) (Located, error) {
	if !looksLike(locator, kindLocator) {
		return Located{}, errUnauthenticated()
	}
	row, err := s.find(ctx, digest(locator), kindLocator)
	if err != nil {
		return Located{}, err
	}
	if row.RevokedAt != nil || row.NodeID == nil || row.DeploymentID == nil {
		return Located{}, errUnauthenticated()
	}
	d, err := s.read.Deployment.Query().Where(deployment.ID(*row.DeploymentID)).Only(ctx)
	if ent.IsNotFound(err) {
		return Located{}, errUnauthenticated()
	}
	if err != nil {
		return Located{}, fmt.Errorf("look up deployment of a boot locator: %w", err)
	}
	s.touch(row.ID, use{at: s.clock()})
	return Located{NodeID: *row.NodeID, DeploymentID: *row.DeploymentID, Active: phase.Active(d.State)}, nil
}

// CreateReportToken mints the secret that a machine reports with, bound to its
// node, deployment and attempt. The older ones of the deployment stay valid
// until this one is used for the first time: the boot script that carries it
// may never arrive.
func (s *Service) CreateReportToken(ctx context.Context, nodeID, deploymentID int64, attempt int, nodeName string) (secret string, err error) {
	secret = newSecret(kindReport)
	now := s.clock()
	err = s.inTx(ctx, func(tx *ent.Client) error {
		return tx.Token.Create().SetKind(kindReport).SetHash(digest(secret)).SetName(nodeName).SetNodeID(nodeID).
			SetDeploymentID(deploymentID).SetAttempt(attempt).SetCreatedAt(now).Exec(ctx)
	})
	if err != nil {
		return "", fmt.Errorf("create report token: %w", err)
	}
	return secret, nil
}

// firstUse marks a report token as used and takes back the older ones of its
// deployment.
func (s *Service) firstUse(ctx context.Context, row *ent.Token, now time.Time) error {
	err := s.inTx(ctx, func(tx *ent.Client) error {
		n, err := tx.Token.Update().Where(token.ID(row.ID), token.FirstUsedAtIsNil(), token.RevokedAtIsNil()).
			SetFirstUsedAt(now).SetLastUsedAt(now).Save(ctx)
		if err != nil || n == 0 {
			return err // with n == 0 a request beside this one was the first, or it was just taken back
		}
		return tx.Token.Update().
			Where(token.Kind(kindReport), token.DeploymentID(*row.DeploymentID), token.IDLT(row.ID), token.RevokedAtIsNil()).
			SetRevokedAt(now).Exec(ctx)
	})
	if err != nil {
		return fmt.Errorf("record first use of a report token: %w", err)
	}
	s.cache.drop(func(p *Principal) bool {
		return p.Kind == KindMachine && p.DeploymentID == *row.DeploymentID && p.TokenID < row.ID
	})
	return nil
}
