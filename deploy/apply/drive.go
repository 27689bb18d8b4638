package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// driveAll takes the active run of this host a step further.
func (s *Service) driveAll(ctx context.Context) error {
	active, err := s.activeRun(ctx, s.deps.Store.Read)
	if err != nil || active == nil {
		return err
	}
	_, err = s.drive(ctx, active.ID)
	return err
}

// drive takes a run as far as it goes now: its files are written, then the
// script is started, then its end is recorded. It may be called again and again.
// The error, beside the run as it is then, says why it could not begin.
func (s *Service) drive(ctx context.Context, id int64) (*Run, error) {
	s.driving.Lock()
	defer s.driving.Unlock()
	r, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	switch r.State {
	case deploy.RunStoring:
		err = s.start(ctx, r)
	case deploy.RunRunning:
		err = s.watch(ctx, r)
	}
	now, bad := s.Get(ctx, id)
	if err == nil {
		err = bad
	}
	if bad != nil {
		now = r
	}
	return now, err
}

// start writes the run's files and starts the script.
func (s *Service) start(ctx context.Context, r *Run) error {
	docs, err := s.Documents(ctx, r.ID)
	if err != nil {
		return err
	}
	run := files(r.key(), docs)
	if err := s.letGo(ctx, r); err != nil {
		return err
	}
	if r.CancelAt != nil {
		// It may have been started, and Slipway killed before that was recorded.
		switch seen, err := s.deps.Host.Look(ctx, r.key()); {
		case err != nil:
			return err
		case seen.State != deploy.ProcessNone:
			return s.settle(ctx, r, seen)
		}
		return s.giveUp(ctx, r, docs, deploy.RunCanceled, errCanceled)
	}
	if r.StoredAt == nil {
		err := s.journal(ctx, docs)
		if err == nil {
			err = ofHost(s.deps.Host.Write(ctx, run))
		}
		if err == nil {
			err = s.journal(ctx, docs)
		}
		if err != nil {
			return s.stop(ctx, r, docs, err)
		}
		if err := s.set(ctx, r.ID, `stored_at = $2`, s.now()); err != nil {
			return err
		}
	}
	p, err := s.deps.Host.Start(ctx, r.key())
	if err != nil {
		// It may have been started all the same: that is looked at.
		if seen, look := s.deps.Host.Look(ctx, r.key()); look == nil && seen.State != deploy.ProcessNone {
			return s.settle(ctx, r, seen)
		}
		return s.stop(ctx, r, docs, ofHost(err))
	}
	if p.State == deploy.ProcessNone {
		return s.stop(ctx, r, docs, &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: "the deployment script could not be started: " + p.Problem})
	}
	s.deps.Logger.Info("the deployment script was started", "run", r.ID, "host", r.Host, "pid", p.PID, "nodes", r.Nodes)
	return s.settle(ctx, r, p)
}

// errCanceled is why a run that was canceled early never began.
var errCanceled = &deploy.ProviderError{Code: deploy.CodeWrongState, Message: "canceled before the script was started"}

// ofHost makes whatever the host says a refusal: nothing that it says for a
// reason of its own can be waited for, with somebody waiting for the answer.
func ofHost(err error) error {
	var cause *deploy.ProviderError
	if err == nil || errors.As(err, &cause) {
		return err
	}
	return &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: err.Error()}
}

// stop ends a run that cannot begin, and gives why. What is no answer of the
// host (the database is away, Slipway is ending) leaves it as it is: it is gone
// on with later.
func (s *Service) stop(ctx context.Context, r *Run, docs []Document, err error) error {
	var cause *deploy.ProviderError
	if ctx.Err() != nil || !errors.As(err, &cause) {
		return err
	}
	return firstOf(s.giveUp(ctx, r, docs, deploy.RunFailed, cause), err)
}

// words is what an error says to people.
func words(err error) string {
	if e, ok := deploy.AsError(refusal(err)); ok {
		return e.Message
	}
	return err.Error()
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// journal notes what the nodes of a run hold. A deployment that was canceled
// meanwhile notes nothing more.
func (s *Service) journal(ctx context.Context, docs []Document) error {
	for _, d := range docs {
		_, err := s.deps.Provider.Order(ctx, deploy.Order{NodeID: d.NodeID, NodeName: d.NodeName, DeploymentID: d.DeploymentID, Attempt: d.Attempt,
			Spec: deploy.Spec{Provider: deploy.ProviderScript, ManagementIP: d.target, Document: d.Body}, Run: deploy.RunKey{ID: d.RunID, Identity: d.identity}})
		var p *deploy.ProviderError
		if errors.As(err, &p) && p.Code == deploy.CodeWrongState {
			s.deps.Logger.Info("a node of a run holds nothing any more", "run", d.RunID, "node", d.NodeName, "reason", p.Message)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noted gives the documents that the journal knows of: those of deployments that
// hold something there. Of the others nothing was ever written.
func (s *Service) noted(ctx context.Context, run int64, docs []Document) ([]Document, error) {
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT DISTINCT x.deployment_id FROM script_documents x JOIN resources r ON r.held_by = x.deployment_id
		WHERE x.run_id = $1 AND r.provider = $2 AND r.state <> $3`, run, deploy.ProviderScript, deploy.ResourceGone)
	if err != nil {
		return nil, fmt.Errorf("apply: reading what the nodes of run %d hold: %w", run, err)
	}
	defer rows.Close()
	known := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("apply: reading what the nodes of run %d hold: %w", run, err)
		}
		known[id] = true
	}
	return slices.DeleteFunc(slices.Clone(docs), func(d Document) bool { return !known[d.DeploymentID] }), rows.Err()
}

// files gives what a run writes.
func files(run deploy.RunKey, docs []Document) deploy.ScriptRun {
	out := deploy.ScriptRun{RunKey: run}
	for _, d := range docs {
		out.Documents = append(out.Documents, deploy.HostDocument{NodeID: d.NodeID, NodeName: d.NodeName, File: d.File, Body: d.Body})
	}
	return out
}

// giveUp takes back what was written, and ends a run whose script never ran
// together with its deployments. A run whose script turns out to be alive is not
// ended. Where the journal was told what the nodes hold, by whatever process, it
// is told again.
func (s *Service) giveUp(ctx context.Context, r *Run, docs []Document, state string, cause *deploy.ProviderError) error {
	problem := cause.Message
	noted, err := s.noted(ctx, r.ID, docs)
	if err != nil {
		return err
	}
	if err = s.deps.Host.Undo(ctx, files(r.key(), docs)); err == nil {
		err := s.journal(ctx, noted)
		if _, refused := errors.AsType[*deploy.ProviderError](err); err != nil && !refused {
			return err // the database is away, or Slipway is ending: later
		}
		if err != nil {
			s.deps.Logger.Warn("what the nodes of a run hold could not be noted", "run", r.ID, "error", err)
		}
	} else {
		if e, ok := deploy.AsError(refusal(err)); ok && e.Code == deploy.CodeRunActive {
			return err
		}
		problem += "; and the files could not be put back: " + words(err)
		s.deps.Logger.Error("the files of a run that did not begin could not be put back", "run", r.ID, "error", err)
	}
	s.deps.Logger.Error("the deployment script did not begin", "run", r.ID, "host", r.Host, "problem", problem)
	var deployments []int64
	for _, d := range docs {
		deployments = append(deployments, d.DeploymentID)
	}
	return s.deps.Writer.Do(ctx, deployments, nil, func(tx *lifecycle.Tx) error {
		if err := end(ctx, tx, r.ID, `state = $2, problem = $3, ended_at = $4, stored_at = NULL`, state, problem, s.now()); err != nil || state != deploy.RunFailed {
			return err // of a canceled run, the deployments are canceled by their own steps
		}
		for _, d := range docs {
			_, attempt, _, _, err := tx.OpenPhase(d.DeploymentID)
			if err != nil || attempt != d.Attempt {
				return err
			}
			_, err = tx.Report(lifecycle.Report{DeploymentID: d.DeploymentID, Phase: phase.Failed, Status: phase.FailedRun, Message: problem, Code: CodeNotStarted, Hint: hintNotStarted(cause),
				As: phase.ByWorkflow, Source: deploy.SourceOrchestrator, Actor: deploy.System})
			if _, refused := deploy.AsError(err); err != nil && !refused {
				return err
			}
		}
		return nil
	})
}

// CodeNotStarted is the failure code of a deployment whose run did not begin.
const CodeNotStarted = "script_not_started"

func hintNotStarted(cause *deploy.ProviderError) string {
	if cause.Hint != "" {
		return "Nothing was written. " + cause.Hint
	}
	return "Nothing was written. See to the cause, then retry."
}

// watch looks at a running script, and ends it if it is to be canceled.
func (s *Service) watch(ctx context.Context, r *Run) error {
	seen, err := s.deps.Host.Look(ctx, r.key())
	if err != nil {
		return err
	}
	if seen.State == deploy.ProcessRunning {
		if err := s.stopIfWanted(ctx, r); err != nil {
			return err
		}
	}
	return s.settle(ctx, r, seen)
}

// letGo cancels a run that nobody waits for any more.
func (s *Service) letGo(ctx context.Context, r *Run) error {
	if r.CancelAt != nil {
		return nil
	}
	var left int
	err := s.deps.Store.Read.QueryRowContext(ctx, `SELECT COUNT(*) FROM script_documents x JOIN deployments d ON d.id = x.deployment_id
		WHERE x.run_id = $1 AND d.attempt = x.attempt AND d.state IN ('queued', 'running', 'canceling')`, r.ID).Scan(&left)
	if err != nil {
		return fmt.Errorf("apply: counting who waits for run %d: %w", r.ID, err)
	}
	if left > 0 {
		return nil
	}
	at := s.now()
	if err := s.set(ctx, r.ID, `cancel_at = $2, cancel_by = $3, cancel_reason = $4`, at, deploy.System.Name, "nobody waits for it any more: all of its deployments have ended"); err != nil {
		return err
	}
	r.CancelAt = &at
	return nil
}

// stopIfWanted ends a script that is to be canceled, or that nobody waits for
// any more.
func (s *Service) stopIfWanted(ctx context.Context, r *Run) error {
	if err := s.letGo(ctx, r); err != nil || r.CancelAt == nil {
		return err
	}
	hard := s.now().Sub(*r.CancelAt) >= s.deps.KillAfter
	if s.asked == r.ID && !hard {
		return nil // once is enough: a script that cleans up must not be told again and again
	}
	s.asked = r.ID
	return s.deps.Host.Stop(ctx, r.key(), hard)
}

// settle records how a run's process stands.
func (s *Service) settle(ctx context.Context, r *Run, p deploy.RunProcess) error {
	state, problem := outcome(r, p)
	switch {
	case state == deploy.RunRunning && r.State == state && p.LogBytes == r.LogBytes && p.LogCut == r.LogCut && problem == r.Problem:
		return nil
	case state == deploy.RunRunning:
		return s.set(ctx, r.ID, `state = $2, pid = $3, started_at = COALESCE(started_at, $4), log_bytes = $5, log_cut = $6, problem = $7`, state, p.PID, started(p, s), p.LogBytes, p.LogCut, problem)
	}
	var code any
	if p.State == deploy.ProcessEnded && p.Signal == "" {
		code = p.ExitCode
	}
	ended := p.EndedAt.UTC().Truncate(time.Microsecond)
	if p.EndedAt.IsZero() {
		ended = s.now()
	}
	s.deps.Logger.Info("the deployment script has ended", "run", r.ID, "host", r.Host, "pid", p.PID, "state", state, "exit_code", p.ExitCode, "signal", p.Signal, "problem", problem)
	return s.set(ctx, r.ID, `state = $2, pid = $3, started_at = COALESCE(started_at, $4), log_bytes = $5, log_cut = $6, problem = $7, exit_code = $8, signal = $9, ended_at = $10`,
		state, p.PID, started(p, s), p.LogBytes, p.LogCut, problem, code, p.Signal, ended)
}

// started is when a process began, by the host's clock.
func started(p deploy.RunProcess, s *Service) any {
	if p.StartedAt.IsZero() {
		return s.now()
	}
	return p.StartedAt.UTC().Truncate(time.Microsecond)
}

// outcome says what the state of a process means for its run.
func outcome(r *Run, p deploy.RunProcess) (state, problem string) {
	problem = p.Problem
	switch {
	case p.State == deploy.ProcessRunning:
		return deploy.RunRunning, problem
	case p.State == deploy.ProcessEnded && p.Signal == "" && p.ExitCode == 0 && p.Problem == "":
		return deploy.RunSucceeded, "" // also if it was to be canceled: it was done before
	case r.CancelAt != nil:
		return deploy.RunCanceled, firstText(problem, "ended because "+r.CancelBy+" asked for it")
	case p.State == deploy.ProcessLost:
		return deploy.RunLost, firstText(problem, "the script is gone, and how it ended is not known")
	case p.State == deploy.ProcessNone:
		return deploy.RunLost, firstText(problem, "nothing is known of the script on this host")
	case p.Signal != "":
		return deploy.RunFailed, firstText(problem, "ended by the signal "+p.Signal)
	case p.ExitCode == 0:
		return deploy.RunSucceeded, problem // it did what it had to, and something was odd
	}
	return deploy.RunFailed, firstText(problem, fmt.Sprintf("exited with %d", p.ExitCode))
}

func firstText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// set changes the row of a run that has not ended, through the one writer.
func (s *Service) set(ctx context.Context, id int64, columns string, args ...any) error {
	return s.deps.Writer.Do(ctx, nil, nil, func(tx *lifecycle.Tx) error { return end(ctx, tx, id, columns, args...) })
}

// end is set in a transaction. What has ended stays as it is, whoever comes late.
func end(ctx context.Context, tx *lifecycle.Tx, id int64, columns string, args ...any) error {
	_, err := tx.SQL().ExecContext(ctx, `UPDATE script_runs SET `+columns+` WHERE id = $1 AND state IN ('storing', 'running')`, append([]any{id}, args...)...)
	if err != nil {
		return fmt.Errorf("apply: recording run %d: %w", id, err)
	}
	return nil
}
