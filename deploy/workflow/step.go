package workflow

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// worker is River's face of the engine.
type worker struct {
	river.WorkerDefaults[stepArgs]
	engine *Engine
}

// Timeout is how long a step may take: one that asks a host, or a cluster's
// controller VMs, has what an attempt may take besides, or the attempt would be
// broken off without being counted.
func (w *worker) Timeout(job *river.Job[stepArgs]) time.Duration {
	if job.Queue == queuePoll || strings.HasPrefix(job.Queue, queuePoll+"-") {
		return w.engine.opts.Polling.AttemptLimit + stepLimit
	}
	if job.Args.Phase == phase.ClusterFormation || job.Args.Phase == phase.HealthValidation {
		return clusterLimit
	}
	return stepLimit
}

// Work does one step. A step whose phase has been left is over.
func (w *worker) Work(ctx context.Context, job *river.Job[stepArgs]) error {
	defer w.engine.desk.begin(job.ID)()
	s, err := w.engine.load(ctx, job.Args)
	if err != nil {
		return err
	}
	if s == nil {
		return nil
	}
	if !s.here() {
		return w.leave(ctx, s, job.ID)
	}
	if err := s.taken(ctx); err != nil {
		return err
	}
	s.at("begins")
	again, err := s.do(ctx)
	s.at("ends")
	if err != nil {
		w.engine.opts.Logger.Warn("a step failed and will be repeated", "deployment", s.DeploymentID, "phase", s.Phase, "error", err)
		return err
	}
	if again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

// step is one step with the facts it works on.
type step struct {
	stepArgs
	engine   *Engine
	provider deploy.Provider

	nodeID       int64
	nodeName     string
	number       int
	batchID      sql.NullInt64
	spec         deploy.Spec
	managementIP string
	hostKey      string
	bootID       string
	sshPort      int
	entered      time.Time
	status       phase.Status
	probe        *deploy.Probe // of the open phase
	since        time.Time     // when the attempt began, if the node had a machine then; else zero
	awaiting     string        // what the open phase waits for
	clusterID    sql.NullInt64 // of the cluster that the node is to belong to
	runHost      string        // host of the deployment's newest run of the script, if it has one
}

// load reads the step's facts; nil if its phase is no longer open, or is being
// tried again: that try has a step of its own. An order goes on although the
// machine has booted meanwhile, which ends its phase: what was ordered must
// still be learnt.
func (e *Engine) load(ctx context.Context, a stepArgs) (*step, error) {
	s := &step{stepArgs: a, engine: e}
	var config, probe []byte
	var ip, key, boot sql.NullString
	var port sql.NullInt64
	var provider, kind string
	var began time.Time
	err := e.store.Read.QueryRowContext(ctx, `SELECT n.id, n.name, d.number, d.batch_id, d.cluster_id, d.provider, d.kind, d.config, n.management_ip, n.ssh_host_key, n.boot_id, n.ssh_port, r.entered_at, r.status, r.probe, r.awaiting,
			(SELECT f.entered_at FROM phase_runs f WHERE f.deployment_id = r.deployment_id AND f.attempt = r.attempt ORDER BY f.id LIMIT 1),
			COALESCE(CASE WHEN d.provider = 'script' THEN (SELECT sr.host FROM script_documents sd JOIN script_runs sr ON sr.id = sd.run_id WHERE sd.deployment_id = d.id ORDER BY sr.id DESC LIMIT 1) END, '')
		FROM phase_runs r JOIN deployments d ON d.id = r.deployment_id JOIN nodes n ON n.id = d.node_id
		WHERE r.deployment_id = $1 AND r.attempt = $2 AND r.phase = $3 AND r.tries = $4 AND (r.finished_at IS NULL OR r.awaiting = 'order' AND d.attempt = r.attempt) AND d.state IN ('queued', 'running', 'canceling', 'cleaning_up')`,
		a.DeploymentID, a.Attempt, a.Phase, a.Tries).Scan(&s.nodeID, &s.nodeName, &s.number, &s.batchID, &s.clusterID, &provider, &kind, &config, &ip, &key, &boot, &port, &s.entered, &s.status, &probe, &s.awaiting, &began, &s.runHost)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("workflow: reading deployment %d: %w", a.DeploymentID, err)
	}
	if err := json.Unmarshal(config, &s.spec); err != nil {
		return nil, fmt.Errorf("workflow: deployment %d: config: %w", a.DeploymentID, err)
	}
	if len(probe) > 0 {
		s.probe = &deploy.Probe{}
		if err := json.Unmarshal(probe, s.probe); err != nil {
			return nil, fmt.Errorf("workflow: deployment %d: probe: %w", a.DeploymentID, err)
		}
	}
	s.managementIP, s.hostKey, s.bootID, s.sshPort = ip.String, key.String, boot.String, int(port.Int64)
	s.provider = e.opts.Providers[provider]
	if a.Attempt > 1 || kind != deploy.KindInstall {
		s.since = began.UTC()
	}
	return s, nil
}

// do runs the step; again > 0 asks for it to be repeated after that time.
func (s *step) do(ctx context.Context) (again time.Duration, err error) {
	if s.provider == nil && s.Phase != phase.Pending {
		return 0, s.fail(ctx, &deploy.ProviderError{Code: deploy.CodeInvalid, Message: fmt.Sprintf("the provider %s is not set up here", s.spec.Provider), Hint: "Start Slipway with this provider's settings, then deploy again."})
	}
	switch s.Phase {
	case phase.Pending:
		return s.admit(ctx)
	case phase.ConfigStored:
		return s.storeConfig(ctx)
	case phase.ScriptStarted:
		return s.runScript(ctx)
	case phase.RebootWait:
		return s.awaitRestart(ctx)
	case phase.SSHPolling:
		return s.pollHost(ctx)
	case phase.ServerRequested:
		return s.order(ctx)
	case phase.MonitoringStart:
		return s.awaitBoot(ctx)
	case phase.ClusterFormation:
		return s.formCluster(ctx)
	case phase.DNSRegistration:
		return s.registerNames(ctx)
	case phase.HealthValidation:
		if s.spec.Provider == deploy.ProviderScript {
			return s.validateHost(ctx)
		}
		return s.validateHealth(ctx)
	case phase.Cleanup:
		return s.cleanup(ctx)
	}
	return 0, fmt.Errorf("workflow: phase %s has no step", s.Phase)
}

func (s *step) report(status phase.Status, message string) lifecycle.Report {
	return lifecycle.Report{DeploymentID: s.DeploymentID, Phase: s.Phase, Status: status, Message: message,
		Source: deploy.SourceOrchestrator, Actor: deploy.System, As: phase.ByWorkflow}
}

// tell records a report; that the machine is already further is no problem.
func (s *step) tell(ctx context.Context, r lifecycle.Report) error {
	s.at("before " + string(r.Status))
	_, err := s.engine.writer.Report(ctx, r)
	s.at("after " + string(r.Status))
	if e, ok := deploy.AsError(err); ok {
		s.engine.opts.Logger.Info("the workflow's report was refused", "deployment", s.DeploymentID, "phase", s.Phase, "code", e.Code, "reason", e.Message)
		return nil
	}
	return err
}

func (s *step) fail(ctx context.Context, cause *deploy.ProviderError) error {
	r := s.report(phase.FailedRun, cause.Message)
	r.Code, r.Hint, r.NotRetryable = string(cause.Code), cause.Hint, false
	return s.tell(ctx, r)
}

// await records what the phase waits for and the last thing learnt.
func (s *step) await(ctx context.Context, what, evidence string) error {
	return s.write(ctx, "await", func(tx *lifecycle.Tx) error {
		return tx.Await(s.DeploymentID, s.Phase, what, evidence)
	})
}

// write changes the deployment in a transaction of the writer.
func (s *step) write(ctx context.Context, what string, apply func(*lifecycle.Tx) error) error {
	s.at("before " + what)
	err := s.engine.writer.Do(ctx, []int64{s.DeploymentID}, nil, apply)
	s.at("after " + what)
	return err
}

// at tells a boundary; see Options.
func (s *step) at(point string) { s.engine.opts.Boundary(s.Phase + " " + point) }

// settle turns a provider's error into a wait or the end of the deployment.
func (s *step) settle(ctx context.Context, err error, awaiting string) (time.Duration, error) {
	var cause *deploy.ProviderError
	if !errors.As(err, &cause) {
		if ctx.Err() != nil {
			return 0, err
		}
		cause = &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: err.Error(), Temporary: true}
	}
	if !cause.Temporary {
		return 0, s.fail(ctx, cause)
	}
	if err := s.await(ctx, awaiting, cause.Message); err != nil {
		return 0, err
	}
	return max(cause.Wait, s.engine.opts.ShortestWait), nil
}

// order makes the machine at its provider.
func (s *step) order(ctx context.Context) (time.Duration, error) {
	if s.status == phase.Waiting {
		if err := s.tell(ctx, s.report(phase.InProgress, "ordering the server")); err != nil {
			return 0, err
		}
	}
	machine, err := s.provider.Order(ctx, s.orderFor())
	if err != nil {
		return s.settle(ctx, err, "provider")
	}
	return 0, s.write(ctx, "ordered", func(tx *lifecycle.Tx) error {
		if err := tx.LearnFor(s.DeploymentID, s.learnt(machine)); err != nil {
			return err
		}
		r := s.report(phase.Success, fmt.Sprintf("server %s was accepted; management address %s", machine.ServerID, machine.ManagementIP))
		r.ServerStatus, r.Source = machine.ServerStatus, deploy.SourceCloudAPI
		_, err := tx.Report(r)
		if _, refused := deploy.AsError(err); refused {
			return nil // recorded; the deployment has ended meanwhile
		}
		return err
	})
}

// orderFor is what the provider is asked for.
func (s *step) orderFor() deploy.Order {
	return deploy.Order{
		NodeID: s.nodeID, NodeName: s.nodeName, DeploymentID: s.DeploymentID, Attempt: s.Attempt, AttemptSince: s.since, Spec: s.spec,
		BootURL: func(ctx context.Context) (string, error) { return s.engine.opts.BootURL(ctx, s.nodeID, s.DeploymentID) },
		Note: func(ctx context.Context, message string) {
			if err := s.tell(ctx, s.report(phase.InProgress, message)); err != nil {
				s.engine.opts.Logger.Warn("a note of the order was not recorded", "deployment", s.DeploymentID, "error", err)
			}
		},
	}
}

func (s *step) learnt(m deploy.Machine) lifecycle.NodeFacts {
	return lifecycle.NodeFacts{NodeID: s.nodeID, ServerID: m.ServerID, ServerStatus: m.ServerStatus,
		ManagementIP: m.ManagementIP, WorkloadIP: m.WorkloadIP, AHVIP: m.AHVIP, CVMIP: m.CVMIP, MACs: m.MACs}
}

// awaitBoot watches the server until its first boot request, which leaves
// the phase.
func (s *step) awaitBoot(ctx context.Context) (time.Duration, error) {
	// A provider whose machines exist already has no phase of ordering: it
	// brings the machine to boot here, before the phase is in progress.
	if s.status == phase.Waiting && !phase.Before(s.spec.Provider, phase.ServerRequested, s.Phase) {
		machine, err := s.provider.Order(ctx, s.orderFor())
		if err != nil {
			return s.settle(ctx, err, "provider")
		}
		if err := s.write(ctx, "ordered", func(tx *lifecycle.Tx) error { return tx.LearnFor(s.DeploymentID, s.learnt(machine)) }); err != nil {
			return 0, err
		}
	}
	switch again, err := s.bootAgain(ctx); {
	case err != nil || again > 0:
		return again, err
	case again < 0:
		return 0, nil
	}
	seen, err := s.provider.Observe(ctx, s.nodeID)
	if err != nil {
		return s.settle(ctx, err, "boot_request")
	}
	if seen.Failed != nil {
		return 0, s.fail(ctx, seen.Failed)
	}
	message := "waiting for the first boot request"
	if seen.ServerStatus != "" {
		message = fmt.Sprintf("waiting for the first boot request; the server is %s", seen.ServerStatus)
	}
	for _, reason := range seen.Reasons {
		message += "; " + reason
	}
	r := s.report(phase.InProgress, message)
	r.ServerStatus, r.Source = seen.ServerStatus, deploy.SourceCloudAPI
	if err := s.tell(ctx, r); err != nil {
		return 0, err
	}
	if err := s.await(ctx, "boot_request", message); err != nil {
		return 0, err
	}
	return s.engine.opts.ObserveEvery, nil
}

func (s *step) registerNames(ctx context.Context) (time.Duration, error) {
	if s.status == phase.Waiting {
		if err := s.tell(ctx, s.report(phase.InProgress, "registering names")); err != nil {
			return 0, err
		}
	}
	names := deploy.Names{NodeID: s.nodeID, NodeName: s.nodeName, DeploymentID: s.DeploymentID, ManagementIP: s.managementIP}
	message := fmt.Sprintf("address and pointer records of %s exist", s.nodeName)
	if s.clusterID.Valid && s.engine.opts.Clusters != nil {
		var err error
		if names.ClusterName, names.ClusterVIP, err = s.engine.opts.Clusters.Address(ctx, s.DeploymentID); err != nil {
			return 0, err
		}
		if names.ClusterVIP != "" {
			message = fmt.Sprintf("address and pointer records of %s and of the cluster %s exist", s.nodeName, names.ClusterName)
		}
	}
	if err := s.provider.RegisterNames(ctx, names); err != nil {
		return s.settle(ctx, err, "dns")
	}
	r := s.report(phase.Success, message)
	r.Source = deploy.SourceCloudAPI
	return 0, s.tell(ctx, r)
}
