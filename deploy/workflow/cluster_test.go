package workflow_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/deploy/workflow"
)

// clusters answers as it is told.
type clusters struct {
	mu             sync.Mutex
	form, validate deploy.ClusterStand
}

func (c *clusters) Form(context.Context, int64) (deploy.ClusterStand, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.form, nil
}

func (c *clusters) Validate(context.Context, int64) (deploy.ClusterStand, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.validate, nil
}

func (c *clusters) Address(context.Context, int64) (name, vip string, err error) {
	return "prod", "127.64.9.200", nil
}

func (c *clusters) set(f func(*clusters)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c)
}

func (h *house) deployMember(t *testing.T, name string) lifecycle.Deployed {
	t.Helper()
	d, err := h.writer.Deploy(t.Context(), lifecycle.NewDeployment{Name: name, ClusterID: 1, ClusterName: "prod",
		Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}, Actor: deploy.Actor{Kind: deploy.ActorToken, Name: "test"}})
	require.NoError(t, err)
	return d
}

// open reads what the open phase waits for, and whether its clock stands.
func (h *house) open(t *testing.T, id int64) (key, awaiting, evidence string, stands bool) {
	t.Helper()
	var stopped sql.NullTime
	err := h.store.Read.QueryRow(`SELECT phase, awaiting, evidence, clock_stopped_at FROM phase_runs WHERE deployment_id = $1 AND finished_at IS NULL`, id).Scan(&key, &awaiting, &evidence, &stopped)
	if err != nil {
		require.ErrorIs(t, err, sql.ErrNoRows)
	}
	return key, awaiting, evidence, stopped.Valid
}

func TestAMemberOfAClusterWaitsGoesOnAndIsHealthy(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := &clusters{form: deploy.ClusterStand{Move: deploy.ClusterHold, Message: "1 of 3 nodes are ready"}, validate: deploy.ClusterStand{Move: deploy.ClusterHold, Message: "b is down"}}
		h := build(t, st, workflow.Options{Prober: healthy, Clusters: c, Slots: 1}, newCloud())
		d := h.deployMember(t, "n1")
		next := h.deploy(t, "n2")
		h.until(t, d.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		h.machine(t, d)
		h.eventually(t, "it is held", func() bool {
			key, awaiting, evidence, stands := h.open(t, d.DeploymentID)
			return key == phase.ClusterFormation && awaiting == "cluster" && evidence == "1 of 3 nodes are ready" && stands
		})
		h.until(t, next.DeploymentID, at(phase.ServerRequested, phase.InProgress)) // it gave its slot back

		c.set(func(c *clusters) {
			c.form = deploy.ClusterStand{Move: deploy.ClusterGo, Message: "services start", Evidence: "Zeus UP"}
		})
		h.eventually(t, "it goes on", func() bool {
			_, awaiting, evidence, stands := h.open(t, d.DeploymentID)
			return awaiting == "cluster_formation" && evidence == "Zeus UP" && !stands
		})
		c.set(func(c *clusters) {
			c.form = deploy.ClusterStand{Move: deploy.ClusterDone, Message: "127.64.9.1 says that it is a member"}
		})
		h.eventually(t, "it waits for the cluster's health", func() bool {
			key, awaiting, evidence, stands := h.open(t, d.DeploymentID)
			return key == phase.HealthValidation && awaiting == "cluster" && evidence == "b is down" && stands
		})
		c.set(func(c *clusters) {
			c.validate = deploy.ClusterStand{Move: deploy.ClusterDone, Message: "the cluster prod is normal"}
		})
		events := h.ended(t, d.DeploymentID)
		text := describe(events)
		for _, want := range []string{"services start", "127.64.9.1 says that it is a member", "of the cluster prod exist", "logged in to 127.64.9.1; boot id after; the cluster prod is normal", "deployed success"} {
			require.Contains(t, text, want)
		}
		h.cloud.set(func() {
			require.Equal(t, []string{"prod", "127.64.9.200"}, []string{h.cloud.named.ClusterName, h.cloud.named.ClusterVIP})
		})
	})
}

func TestAMemberWhoseFormationFails(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := &clusters{form: deploy.ClusterStand{Move: deploy.ClusterFail, Failure: &deploy.ProviderError{Code: "half_formed", Message: "without b", Hint: "retry b"}}}
		h := build(t, st, workflow.Options{Prober: healthy, Clusters: c}, newCloud())
		d := h.deployMember(t, "n1")
		h.until(t, d.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		h.machine(t, d)
		h.ended(t, d.DeploymentID)
		require.Equal(t, failure{"failed", phase.ClusterFormation, "half_formed", "without b", "retry b"}, h.failure(t, d.DeploymentID))
		// Retried, it begins where it was, and nothing is installed.
		c.set(func(c *clusters) {
			c.form, c.validate = deploy.ClusterStand{Move: deploy.ClusterDone, Message: "formed"}, deploy.ClusterStand{Move: deploy.ClusterDone, Message: "normal"}
		})
		_, err := h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: d.DeploymentID, Actor: deploy.System})
		require.NoError(t, err)
		h.eventually(t, "it succeeds", func() bool { return h.failure(t, d.DeploymentID).state == phase.Succeeded })
		h.cloud.set(func() { require.Equal(t, 1, h.cloud.orders["n1"]) })
	})
}
