package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Validate looks at the health of the cluster of a deployment's node. The node is
// well if the whole cluster is. If only others are not, it waits for them with
// its clock standing; the creator's clock runs, so that somebody's does.
func (s *Service) Validate(ctx context.Context, deploymentID int64) (deploy.ClusterStand, error) {
	c, me, err := s.ofDeployment(ctx, deploymentID)
	if err != nil {
		return deploy.ClusterStand{}, err
	}
	if c == nil || me == nil || me.FormedAt == nil {
		return failing(deploy.CodeWrongState, "retry from cluster_formation", "the node belongs to no formed cluster").ClusterStand, nil
	}
	h := s.look(ctx, c)
	if ctx.Err() != nil {
		return deploy.ClusterStand{}, ctx.Err()
	}
	// Every member looks; one of them writes it down, or whoever sees a change.
	if me == c.keeper() || c.Health == nil || c.Health.OK != h.OK {
		if err := s.keepHealth(ctx, c, h); err != nil {
			return deploy.ClusterStand{}, err
		}
	}
	if h.OK {
		return deploy.ClusterStand{Move: deploy.ClusterDone, Message: fmt.Sprintf("the cluster %s is normal: %d checks passed", c.Name, len(h.Checks))}, nil
	}
	var bad []string
	mine := me == c.keeper()
	for _, k := range h.Checks {
		if k.OK {
			continue
		}
		bad = append(bad, strings.TrimSpace(k.Address+" "+k.Message))
		mine = mine || k.Address == me.CVMIP
	}
	stand := deploy.ClusterStand{Move: deploy.ClusterHold, Message: "the cluster is not well yet: " + strings.Join(bad, "; ")}
	if mine {
		stand.Move = deploy.ClusterGo
	}
	stand.Evidence = stand.Message
	return stand, nil
}

// keeper is the member whose clock runs while the cluster is not well: its
// creator or, if that has its own end behind it, the first that still waits. A
// failed one has said what is wrong, and somebody has to decide.
func (c *Cluster) keeper() *Node {
	keeper := c.Creator()
	if keeper == nil || keeper.Deployment != phase.Succeeded {
		return keeper
	}
	for _, n := range c.Formed() {
		if phase.Active(n.Deployment) || n.Deployment == phase.StateFail {
			return n
		}
	}
	return keeper
}

// Look makes every check of a formed cluster now and keeps what it found.
// Errors: not_found, wrong_state if it is not formed.
func (s *Service) Look(ctx context.Context, id int64) (*Cluster, error) {
	c, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.FormedAt == nil || c.CleanupAt != nil {
		return nil, deploy.Errorf(deploy.CodeWrongState, "the cluster %s is %s; only a formed one has a health", c.Name, c.State())
	}
	h := s.look(ctx, c)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := s.keepHealth(ctx, c, h); err != nil {
		return nil, err
	}
	return s.Get(ctx, id)
}

func (s *Service) look(ctx context.Context, c *Cluster) *Health {
	formed := c.Formed()
	vip, _ := netip.ParseAddr(c.VIP)
	ctx, done := context.WithTimeout(ctx, s.deps.AskLimit)
	defer done()
	report := s.deps.CVMs.Health(ctx, s.targets(formed), vip)
	h := &Health{OK: report.OK(), At: s.now(), Checks: make([]HealthCheck, 0, len(report.Checks))}
	for _, k := range report.Checks {
		check := HealthCheck{Name: string(k.Name), OK: k.OK, Class: string(k.Class), Message: k.Message, Hint: k.Hint, Evidence: slices.Clone(k.Evidence)}
		if k.Addr.IsValid() {
			check.Address = k.Addr.String()
			for _, n := range formed {
				if n.CVMIP == check.Address {
					check.Node = n.Name
				}
			}
		}
		if k.Prism != nil {
			check.Evidence = append(check.Evidence, k.Prism.Evidence())
		}
		h.Checks = append(h.Checks, check)
	}
	return h
}

// keepHealth writes down what a look found. That nothing changed is not a change
// of the cluster, but when it was last seen so is kept.
func (s *Service) keepHealth(ctx context.Context, c *Cluster, h *Health) error {
	same := false
	if was := c.Health; was != nil {
		copied := *h
		copied.At = was.At
		same = reflect.DeepEqual(&copied, was)
	}
	if same {
		_, err := s.deps.Store.Write.ExecContext(ctx, `UPDATE clusters SET health = $1 WHERE id = $2`, mustJSON(h), c.ID)
		if err != nil {
			return fmt.Errorf("cluster: keeping the health of cluster %d: %w", c.ID, err)
		}
		return nil
	}
	return s.deps.Writer.Do(ctx, nil, c.teller(), func(tx *lifecycle.Tx) error {
		return s.update(ctx, tx, c.ID, `health = $3`, mustJSON(h))
	})
}

// Address gives name and address of the cluster that a deployment's node
// created.
func (s *Service) Address(ctx context.Context, deploymentID int64) (name, vip string, err error) {
	c, me, err := s.ofDeployment(ctx, deploymentID)
	if err != nil || c == nil || me == nil || me.FormedAt == nil || c.VIP == "" || me != c.Creator() {
		return "", "", err
	}
	return c.Name, c.VIP, nil
}
