package operation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/clustermember"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/deploymentevent"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/resource"
)

// CleanupPlan tells what a cleanup of a deployment's node would remove, in
// order; it changes nothing. It is refused where the cleanup would be: the node
// is protected, another deployment holds it, or the deployment is active. The
// plan of a cleanup that is under way is how its steps stand.
func (s *Service) CleanupPlan(ctx context.Context, deploymentID int64) ([]deploy.ReleaseStep, error) {
	d, n, err := s.deployment(ctx, deploymentID)
	if err != nil {
		return nil, err
	}
	joining, err := s.read.ClusterMember.Query().
		Where(clustermember.NodeID(n.ID), clustermember.StateIn("member", "late"), clustermember.FormedAtIsNil()).Exist(ctx)
	if err != nil {
		return nil, fmt.Errorf("operation: reading the cluster of node %d: %w", n.ID, err)
	}
	if err := mayCleanUp(d, n, joining); err != nil {
		return nil, err
	}
	return s.releasePlan(ctx, d, n)
}

// ReleasePlan tells what the release of a deployment's node would remove, in
// order, whatever stands in the way of a cleanup at the moment; it changes
// nothing.
func (s *Service) ReleasePlan(ctx context.Context, deploymentID int64) ([]deploy.ReleaseStep, error) {
	d, n, err := s.deployment(ctx, deploymentID)
	if err != nil {
		return nil, err
	}
	return s.releasePlan(ctx, d, n)
}

func (s *Service) deployment(ctx context.Context, id int64) (*ent.Deployment, *ent.Node, error) {
	d, err := s.read.Deployment.Query().Where(deployment.ID(id)).WithNode().Only(ctx)
	if ent.IsNotFound(err) {
		return nil, nil, deploy.Errorf(deploy.CodeNotFound, "there is no deployment %d", id)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("operation: reading deployment %d: %w", id, err)
	}
	return d, d.Edges.Node, nil
}

// mayCleanUp gives the refusal that a cleanup would meet. It is advice: the
// cleanup itself is decided where it is written. joining: the node is in a cluster
// that does not count it yet.
func mayCleanUp(d *ent.Deployment, n *ent.Node, joining bool) error {
	switch {
	case n.CurrentDeploymentID == nil || *n.CurrentDeploymentID != d.ID:
		return &deploy.Error{
			Code: deploy.CodeWrongState, Message: fmt.Sprintf("deployment #%d no longer holds %s; nothing of the node was touched", d.Number, n.Name),
			Hint: "clean up the node's current deployment",
		}
	case d.State == phase.CleaningUp:
		return nil
	case n.Clustered && n.ClusterName != nil:
		return lifecycle.InCluster(n.Name, *n.ClusterName, joining)
	case n.Protected:
		return &deploy.Error{Code: deploy.CodeWrongState, Message: n.Name + " is protected" + because(n.ProtectNote), Hint: "take the protection off first"}
	case d.State == phase.CleanedUp:
		return deploy.Errorf(deploy.CodeWrongState, "%s has been cleaned up", n.Name)
	case phase.Active(d.State):
		return &deploy.Error{Code: deploy.CodeRunActive, Message: fmt.Sprintf("deployment #%d of %s is %s", d.Number, n.Name, d.State), Hint: "wait for its end, or cancel it"}
	}
	return nil
}

func because(note string) string {
	if note == "" {
		return ""
	}
	return ": " + note
}

// releasePlan asks the provider. One that cannot release has nothing to, as
// long as the journal holds nothing of it.
func (s *Service) releasePlan(ctx context.Context, d *ent.Deployment, n *ent.Node) ([]deploy.ReleaseStep, error) {
	releaser, err := ask[deploy.Releaser](s, n.Provider, "release machines")
	if err != nil {
		held, dbErr := s.read.Resource.Query().Where(resource.NodeID(n.ID), resource.StateNEQ(deploy.ResourceGone)).Count(ctx)
		if dbErr != nil {
			return nil, fmt.Errorf("operation: counting resources: %w", dbErr)
		}
		if held == 0 {
			return []deploy.ReleaseStep{}, nil
		}
		return nil, err
	}
	asking, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	steps, err := releaser.PlanRelease(asking, deploy.Release{NodeID: n.ID, NodeName: n.Name, DeploymentID: d.ID})
	if err != nil {
		return nil, refusal(ctx, n.Provider, err)
	}
	if steps == nil {
		steps = []deploy.ReleaseStep{}
	}
	return steps, nil
}

// CleanupsMax is the most ended cleanups that Cleanups gives of each kind.
const CleanupsMax = 50

// Cleanup is how the release of a node stands.
type Cleanup struct {
	Deployment *ent.Deployment
	Node       *ent.Node
	// Steps are as the release last told of them; a step that is done carries
	// its proof. Empty until the first one begins.
	Steps     []deploy.ReleaseStep
	Message   string // of the last event
	StartedAt *time.Time
	UpdatedAt time.Time
}

// Cleanups lists every cleanup that is under way, and the newest of those that
// failed and of those that ended, in this order.
func (s *Service) Cleanups(ctx context.Context) ([]Cleanup, error) {
	newest := func(q *ent.DeploymentQuery) *ent.DeploymentQuery {
		return q.WithNode().Order(ent.Desc(deployment.FieldUpdatedAt), ent.Desc(deployment.FieldID))
	}
	var all []*ent.Deployment
	for _, q := range []*ent.DeploymentQuery{
		newest(s.read.Deployment.Query().Where(deployment.State(phase.CleaningUp))),
		newest(s.read.Deployment.Query().Where(deployment.State(phase.StateFail), deployment.FailurePhase(phase.Cleanup))).Limit(CleanupsMax),
		newest(s.read.Deployment.Query().Where(deployment.State(phase.CleanedUp))).Limit(CleanupsMax),
	} {
		list, err := q.All(ctx)
		if err != nil {
			return nil, fmt.Errorf("operation: reading cleanups: %w", err)
		}
		all = append(all, list...)
	}
	out := make([]Cleanup, 0, len(all))
	for part := range slices.Chunk(all, 200) {
		more, err := s.cleanups(ctx, part)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// CleanupOf gives how the cleanup of a deployment stands.
func (s *Service) CleanupOf(ctx context.Context, deploymentID int64) (Cleanup, error) {
	d, n, err := s.deployment(ctx, deploymentID)
	if err != nil {
		return Cleanup{}, err
	}
	d.Edges.Node = n
	list, err := s.cleanups(ctx, []*ent.Deployment{d})
	if err != nil {
		return Cleanup{}, err
	}
	return list[0], nil
}

func (s *Service) cleanups(ctx context.Context, of []*ent.Deployment) ([]Cleanup, error) {
	ids := make([]int64, len(of))
	for i, d := range of {
		ids[i] = d.ID
	}
	events, err := s.read.DeploymentEvent.Query().
		Where(deploymentevent.DeploymentIDIn(ids...), deploymentevent.PhaseIn(phase.Cleanup, phase.CleanupCompleted)).
		Order(ent.Asc(deploymentevent.FieldPosition), ent.Asc(deploymentevent.FieldID)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("operation: reading the events of cleanups: %w", err)
	}
	found := map[int64]*Cleanup{}
	for _, d := range of {
		found[d.ID] = &Cleanup{Deployment: d, Node: d.Edges.Node, Steps: []deploy.ReleaseStep{}, UpdatedAt: d.UpdatedAt}
	}
	for _, e := range events {
		c := found[e.DeploymentID]
		if c.StartedAt == nil {
			at := e.RecordedAt.UTC()
			c.StartedAt = &at
		}
		c.Message, c.UpdatedAt = e.Message, e.RecordedAt.UTC()
		if steps := stepsOf(e.Details); steps != nil {
			c.Steps = steps
		}
	}
	out := make([]Cleanup, len(of))
	for i, d := range of {
		out[i] = *found[d.ID]
	}
	return out, nil
}

// stepsOf reads the steps of a cleanup's event; nil if it tells of none.
func stepsOf(details json.RawMessage) []deploy.ReleaseStep {
	var doc struct {
		Steps []deploy.ReleaseStep `json:"steps"`
	}
	if len(details) == 0 || json.Unmarshal(details, &doc) != nil {
		return nil
	}
	return doc.Steps
}

// node reads a node by id.
func (s *Service) node(ctx context.Context, id int64) (*ent.Node, error) {
	n, err := s.one(ctx, s.read.Node.Query().Where(node.ID(id)))
	if err == nil && n == nil {
		err = deploy.Errorf(deploy.CodeNotFound, "there is no node %d", id)
	}
	return n, err
}
