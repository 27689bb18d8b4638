package apply

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/hostconfig"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
)

// Stand is where the run of a deployment's attempt stands.
type Stand struct {
	Run      *Run
	Document *Document
	// Busy says which run has the host, if there is no run of this attempt yet
	// for that reason.
	Busy error
}

// Stand tells where the run stands that covers an attempt of a deployment. If
// there is none yet, for it is another attempt or was asked for alone, one is
// begun for this deployment, as soon as no other has the host.
func (s *Service) Stand(ctx context.Context, deploymentID int64, attempt int) (Stand, error) {
	docs, err := readDocuments(ctx, s.deps.Store.Read, `d.deployment_id = $1 AND d.attempt = $2`, deploymentID, attempt)
	if err != nil {
		return Stand{}, err
	}
	if len(docs) == 0 {
		return s.alone(ctx, deploymentID, attempt)
	}
	r, err := s.Get(ctx, docs[0].RunID)
	return Stand{Run: r, Document: &docs[0]}, err
}

// alone begins a run for one deployment.
func (s *Service) alone(ctx context.Context, deploymentID int64, attempt int) (Stand, error) {
	if err := s.equipped(); err != nil {
		return Stand{}, asProvider(err)
	}
	if active, err := s.activeRun(ctx, s.deps.Store.Read); err != nil || active != nil {
		return Stand{Busy: active.orNil()}, err
	}
	p, actor, err := s.planOf(ctx, deploymentID)
	if err != nil {
		return Stand{}, err
	}
	if err := s.deps.Host.Ready(ctx); err != nil {
		// A script that is just ending, or somebody else's: it is waited for.
		if e, ok := deploy.AsError(refusal(err)); ok && e.Code == deploy.CodeRunActive {
			return Stand{Busy: e}, nil
		}
		return Stand{}, err
	}
	seen := s.look(ctx, []Plan{p})
	err = s.deps.Writer.Do(ctx, []int64{deploymentID}, nil, func(tx *lifecycle.Tx) error {
		if active, err := s.activeRun(ctx, tx.SQL()); err != nil || active != nil {
			return busyOr(err, active)
		}
		if now, err := highestNumber(ctx, tx.SQL()); err != nil || now >= p.Number && (p.known == nil || p.known.last == nil) {
			return orOvertaken(err)
		}
		id, err := s.insertRun(ctx, tx, actor, "", "", 1)
		if err != nil {
			return err
		}
		return s.insertDocument(ctx, tx, id, deploymentID, attempt, p.NodeID, p.File, p.Number, p.Body, p.bootIDBefore(seen[0]))
	})
	if err = s.named(ctx, err); err != nil {
		if e, ok := deploy.AsError(err); ok && (e.Code == deploy.CodeRunActive || e.Code == deploy.CodeConflict) {
			return Stand{Busy: e}, nil
		}
		return Stand{}, err
	}
	s.hurry()
	docs, err := readDocuments(ctx, s.deps.Store.Read, `d.deployment_id = $1 AND d.attempt = $2`, deploymentID, attempt)
	if err != nil || len(docs) == 0 {
		return Stand{}, errors.Join(err, fmt.Errorf("apply: the run of deployment %d is not to be seen yet", deploymentID))
	}
	r, err := s.Get(ctx, docs[0].RunID)
	return Stand{Run: r, Document: &docs[0]}, err
}

func (r *Run) orNil() error {
	if r == nil {
		return nil
	}
	return r.busy()
}

// asProvider makes a refusal one that a step understands.
func asProvider(err error) error {
	if e, ok := deploy.AsError(err); ok {
		return &deploy.ProviderError{Code: e.Code, Message: e.Message, Hint: e.Hint}
	}
	return err
}

// planOf says what a deployment's own document writes.
func (s *Service) planOf(ctx context.Context, deploymentID int64) (Plan, deploy.Actor, error) {
	var config []byte
	var node int64
	var actor deploy.Actor
	var kind string
	err := s.deps.Store.Read.QueryRowContext(ctx, `SELECT d.node_id, d.config, d.requested_by_kind, d.requested_by FROM deployments d WHERE d.id = $1`, deploymentID).Scan(&node, &config, &kind, &actor.Name)
	if err != nil {
		return Plan{}, actor, fmt.Errorf("apply: reading deployment %d: %w", deploymentID, err)
	}
	actor.Kind = deploy.ActorKind(kind)
	var spec deploy.Spec
	if err := json.Unmarshal(config, &spec); err != nil {
		return Plan{}, actor, fmt.Errorf("apply: the spec of deployment %d: %w", deploymentID, err)
	}
	cards, bad := hostconfig.Parse(append(append([]byte("["), spec.Document...), ']'))
	if len(bad) > 0 || len(cards) != 1 {
		return Plan{}, actor, &deploy.ProviderError{Code: deploy.CodeInvalid, Message: "the document of this deployment is not one that can be written any more", Hint: "apply the node's configuration again"}
	}
	f, err := s.fleet(ctx)
	if err != nil {
		return Plan{}, actor, err
	}
	files, err := s.deps.Host.List(ctx)
	if err != nil {
		return Plan{}, actor, err
	}
	var name string
	if err := s.deps.Store.Read.QueryRowContext(ctx, `SELECT name FROM nodes WHERE id = $1`, node).Scan(&name); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Plan{}, actor, fmt.Errorf("apply: reading node %d: %w", node, err)
	}
	cards[0].Key = name
	plans, _ := f.plan(cards, files)
	return plans[0], actor, nil
}
