package workflow

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Scripts tells where the runs of the deployment script stand; package apply's
// Service does.
type Scripts interface {
	// Host names the host of this process's script; runs of others are not its.
	Host() string
	Stand(ctx context.Context, deploymentID int64, attempt int) (apply.Stand, error)
	ForAttempt(ctx context.Context, deploymentID int64, attempt int) (*apply.Run, *apply.Document, error)
	Log(ctx context.Context, runID, offset int64, limit int) (text []byte, next int64, run *apply.Run, err error)
}

// Polling is how a host is asked whether it is back.
type Polling struct {
	Scripts Scripts
	Prober  Prober // with the key, user and port of the hosts that the script configures
	User    string
	Port    int
	// Wait is how long a host is left alone after its script has ended. Default
	// 90 s.
	Wait time.Duration
	// Every is the time from the beginning of one attempt to the next. Default 5 s.
	Every time.Duration
	// Attempts is after how many a host is given up. Default 120.
	Attempts int
	// AttemptLimit is the most that one attempt may take; it must be more than
	// the Prober's own limits together. Default 2 min.
	AttemptLimit time.Duration
	// AtOnce bounds how many hosts this process asks together, and how many more
	// that other replicas left to it. Default 32, at most 10,000.
	AtOnce int
}

func (p Polling) withDefaults() Polling {
	if p.Wait <= 0 {
		p.Wait = 90 * time.Second
	}
	if p.Every <= 0 {
		p.Every = 5 * time.Second
	}
	if p.Attempts <= 0 {
		p.Attempts = 120
	}
	if p.AtOnce <= 0 {
		p.AtOnce = 32
	}
	p.AtOnce = min(p.AtOnce, river.QueueNumWorkersMax)
	if p.AttemptLimit <= 0 {
		p.AttemptLimit = 2 * time.Minute
	}
	if p.User == "" {
		p.User = "root"
	}
	if p.Port == 0 {
		p.Port = 22
	}
	return p
}

// lookAgain is the pause between looks at a run of the script: the row of it
// changes when something has happened.
const lookAgain = time.Second

// logTail is how much of a failed script's output the failure carries, in bytes.
const logTail = 16 << 10

// storeConfig waits until the node's document is written and the script begun.
func (s *step) storeConfig(ctx context.Context) (time.Duration, error) {
	at, err := s.engine.opts.Polling.Scripts.Stand(ctx, s.DeploymentID, s.Attempt)
	if err != nil {
		return s.unsettled(ctx, err)
	}
	if at.Busy != nil {
		return s.awaitHost(ctx, at.Busy)
	}
	r := at.Run
	if err := s.goesOn(ctx, fmt.Sprintf("%s is being written (run %d)", at.Document.File, r.ID)); err != nil {
		return 0, err
	}
	switch {
	case r.StoredAt != nil:
		return 0, s.tell(ctx, s.report(phase.Success, fmt.Sprintf("%s is written (run %d)", at.Document.File, r.ID)))
	case r.State == deploy.RunCanceled:
		return 0, s.canceled(ctx, r)
	case !r.Active():
		return 0, s.fail(ctx, &deploy.ProviderError{Code: "script_not_started", Message: r.Problem, Hint: "Nothing was written. See to the cause, then retry."})
	}
	return lookAgain, nil
}

// unsettled is settle for trouble of the host: the clock that stood while
// another had the host runs again.
func (s *step) unsettled(ctx context.Context, err error) (time.Duration, error) {
	if err := s.write(ctx, "unsettled", func(tx *lifecycle.Tx) error { return tx.LetRun(s.DeploymentID, s.Phase, "script_run") }); err != nil {
		return 0, err
	}
	return s.settle(ctx, err, "script_host")
}

// awaitHost waits until the host is free for a run of this deployment; the
// phase's clock stands still meanwhile.
func (s *step) awaitHost(ctx context.Context, busy error) (time.Duration, error) {
	return 2 * lookAgain, s.write(ctx, "await", func(tx *lifecycle.Tx) error {
		return tx.Hold(s.DeploymentID, s.Phase, "script_run", busy.Error())
	})
}

// goesOn says that what the phase is for has begun, if it was not said before.
func (s *step) goesOn(ctx context.Context, message string) error {
	if s.status != phase.Waiting {
		return nil
	}
	if err := s.write(ctx, "begin", func(tx *lifecycle.Tx) error { return tx.GoOn(s.DeploymentID, s.Phase) }); err != nil {
		return err
	}
	return s.tell(ctx, s.report(phase.InProgress, message))
}

// runScript waits for the end of the script.
func (s *step) runScript(ctx context.Context) (time.Duration, error) {
	at, err := s.engine.opts.Polling.Scripts.Stand(ctx, s.DeploymentID, s.Attempt)
	if err != nil {
		return s.unsettled(ctx, err)
	}
	if at.Busy != nil {
		return s.awaitHost(ctx, at.Busy)
	}
	r := at.Run
	message := fmt.Sprintf("the script runs as process %d on %s (run %d)", r.PID, r.Host, r.ID)
	if r.StartedAt != nil { // it may have ended since
		if err := s.goesOn(ctx, message); err != nil {
			return 0, err
		}
	}
	switch {
	case r.State == deploy.RunStoring:
		return lookAgain, s.await(ctx, "script_run", "the script is being started")
	case r.State == deploy.RunRunning:
		if r.CancelAt != nil {
			message = fmt.Sprintf("the script was asked to end by %s", r.CancelBy)
		}
		return lookAgain, s.await(ctx, "script", message)
	case r.State == deploy.RunCanceled:
		return 0, s.canceled(ctx, r)
	case r.State == deploy.RunSucceeded:
		message := fmt.Sprintf("the script ended with 0 after %s (run %d)", lasted(r), r.ID)
		if r.Problem != "" {
			message += "; " + r.Problem
		}
		return 0, s.tell(ctx, s.report(phase.Success, message))
	}
	report := s.report(phase.FailedRun, fmt.Sprintf("the script failed after %s: %s (run %d)", lasted(r), r.Problem, r.ID))
	report.Code, report.Hint = "script_"+r.State, "Read its log; then retry, which runs it again for this node."
	report.LogTail = s.scriptLog(ctx, r)
	return 0, s.tell(ctx, report)
}

// scriptLog reads the end of a run's output; empty if it cannot be read.
func (s *step) scriptLog(ctx context.Context, r *apply.Run) string {
	text, _, _, err := s.engine.opts.Polling.Scripts.Log(ctx, r.ID, max(0, r.LogBytes-logTail), logTail)
	if err != nil {
		s.engine.opts.Logger.Warn("the log of a failed script could not be read", "run", r.ID, "error", err)
		return ""
	}
	// A text of the database has no NUL, and the cut may be in a character.
	return strings.ReplaceAll(strings.ToValidUTF8(string(text), "\uFFFD"), "\x00", "\uFFFD")
}

func lasted(r *apply.Run) time.Duration {
	if r.StartedAt == nil || r.EndedAt == nil {
		return 0
	}
	return r.EndedAt.Sub(*r.StartedAt).Round(time.Second / 10)
}

// canceled ends a deployment whose run was ended by an operator.
func (s *step) canceled(ctx context.Context, r *apply.Run) error {
	reason := "the run of the script was canceled"
	if r.CancelReason != "" {
		reason += ": " + r.CancelReason
	}
	_, err := s.engine.writer.Cancel(ctx, lifecycle.Cancel{DeploymentID: s.DeploymentID, Immediate: true, Reason: reason, Actor: deploy.Actor{Kind: deploy.ActorUser, Name: r.CancelBy}})
	if _, refused := deploy.AsError(err); refused {
		return nil // it has ended by itself meanwhile
	}
	return err
}

// awaitRestart leaves the host alone for a while after its script has ended.
func (s *step) awaitRestart(ctx context.Context) (time.Duration, error) {
	p := s.engine.opts.Polling
	until := s.entered.UTC().Add(p.Wait)
	if s.status == phase.Waiting {
		probe := deploy.Probe{Target: s.target(), MaxAttempts: p.Attempts, NextAt: &until}
		err := s.write(ctx, "probe", func(tx *lifecycle.Tx) error { return tx.Probe(s.DeploymentID, s.Phase, probe) })
		if err != nil {
			return 0, err
		}
		if err := s.tell(ctx, s.report(phase.InProgress, fmt.Sprintf("the host has %s to restart", p.Wait))); err != nil {
			return 0, err
		}
	}
	if left := until.Sub(s.engine.opts.Now()); left > 0 {
		return max(left, 10*time.Millisecond), nil
	}
	return 0, s.tell(ctx, s.report(phase.Success, "the wait is over"))
}

// target is where the host is asked, "address:port".
func (s *step) target() string {
	port := s.sshPort
	if port == 0 {
		port = s.engine.opts.Polling.Port
	}
	return net.JoinHostPort(s.managementIP, strconv.Itoa(port))
}

// pollHost asks the host once over SSH, and says when it is asked next.
func (s *step) pollHost(ctx context.Context) (time.Duration, error) {
	p := s.engine.opts.Polling
	before, err := s.bootIDBefore(ctx)
	if err != nil {
		return 0, err
	}
	probe := s.probe
	if probe == nil {
		probe = &deploy.Probe{}
	}
	if s.status == phase.Waiting {
		if err := s.tell(ctx, s.report(phase.InProgress, "asking "+s.target()+" over SSH")); err != nil {
			return 0, err
		}
	}
	begun := s.engine.opts.Now().UTC()
	result := s.ask(ctx, before)
	if result.Class == health.ClassCanceled {
		return 0, ctx.Err()
	}
	now := deploy.Probe{Target: s.target(), Attempt: probe.Attempt + 1, MaxAttempts: p.Attempts, LastAt: &begun, Class: string(result.Class), Message: result.Message}
	if result.Class == health.ClassWrongHost {
		now.OfferedKey, now.Fingerprint, now.PinnedPrint = result.HostKey, result.Fingerprint, health.Fingerprint(s.hostKey)
	}
	over := result.OK() || result.Permanent() || now.Attempt >= p.Attempts
	next := begun.Add(p.Every)
	if !over {
		now.NextAt = &next
	}
	return s.polled(ctx, result, now, over, next, before)
}

// ask makes one attempt to reach the host. One that takes longer than an
// attempt may has found out that the host does not answer.
func (s *step) ask(ctx context.Context, bootIDBefore string) health.Result {
	p := s.engine.opts.Polling
	asking, cancel := context.WithTimeout(ctx, p.AttemptLimit)
	defer cancel()
	result := p.Prober.Check(asking, health.Target{Host: s.managementIP, Port: s.portOr(p.Port), User: p.User, HostKey: s.hostKey, TrustFirst: true, BootIDBefore: bootIDBefore})
	if result.Class == health.ClassCanceled && asking.Err() != nil && ctx.Err() == nil {
		result = health.Result{Class: health.ClassTimeout, Message: fmt.Sprintf("no proof within %s, which is all that an attempt may take", p.AttemptLimit)}
	}
	return result
}

// bootIDBefore is the boot id that the host had before the script ran, as it
// said then or, if it did not answer, when it was last proven; empty if it never
// was.
func (s *step) bootIDBefore(ctx context.Context) (string, error) {
	_, doc, err := s.engine.opts.Polling.Scripts.ForAttempt(ctx, s.DeploymentID, s.Attempt)
	if err != nil {
		return "", err
	}
	if doc != nil && doc.BootIDBefore != "" {
		return doc.BootIDBefore, nil
	}
	return s.bootID, nil
}

func (s *step) portOr(port int) int {
	if s.sshPort != 0 {
		return s.sshPort
	}
	return port
}

// polled records what an attempt found: the host is back, is another, is given
// up, or is asked again.
func (s *step) polled(ctx context.Context, result health.Result, probe deploy.Probe, over bool, next time.Time, before string) (time.Duration, error) {
	err := s.write(ctx, "probe", func(tx *lifecycle.Tx) error {
		if result.HostKey != "" && s.hostKey == "" && result.Class != health.ClassAuthFailed {
			if err := tx.LearnFor(s.DeploymentID, lifecycle.NodeFacts{SSHHostKey: result.HostKey}); err != nil {
				return err
			}
		}
		if err := tx.Probe(s.DeploymentID, s.Phase, probe); err != nil || over {
			return err
		}
		return tx.Await(s.DeploymentID, s.Phase, "ssh", fmt.Sprintf("attempt %d of %d: %s: %s", probe.Attempt, probe.MaxAttempts, result.Class, result.Message))
	})
	switch {
	case err != nil:
		return 0, err
	case !over:
		// Hosts of one run would all be asked in the same instant otherwise.
		jitter := time.Duration(rand.Int64N(int64(s.engine.opts.Polling.Every)/10 + 1)) //nolint:gosec // nothing is kept secret by it
		return max(next.Sub(s.engine.opts.Now())+jitter, 10*time.Millisecond), nil
	case result.OK():
		r := s.report(phase.Success, fmt.Sprintf("%s answered at attempt %d; %s", probe.Target, probe.Attempt, restarted(before, result)))
		return 0, s.tell(ctx, r)
	}
	r := s.report(phase.FailedRun, fmt.Sprintf("%s did not come back in %d attempts; the last: %s", probe.Target, probe.Attempt, result.Message))
	r.Code, r.Hint = string(result.Class), scriptHint(result)
	if result.Class == health.ClassWrongHost {
		r.Message = fmt.Sprintf("%s shows the host key %s, known is %s", probe.Target, firstNonEmpty(probe.Fingerprint, "of another type"), probe.PinnedPrint)
	}
	return 0, s.tell(ctx, r)
}

// restarted says what an answer tells about the host's restart: without a boot
// id of before, or of now, nothing.
func restarted(before string, result health.Result) string {
	switch {
	case result.BootID == "":
		return "boot id not readable, so whether it has restarted is not known"
	case before == "":
		return fmt.Sprintf("boot id %s; whether it has restarted is not known, for it had not told its boot id before the script ran", result.BootID)
	}
	return fmt.Sprintf("boot id %s, before the script %s", result.BootID, before)
}

// scriptHint is what to do about a host that the script configured.
func scriptHint(r health.Result) string {
	switch r.Class { //nolint:exhaustive // the others have hints that hold for every machine
	case health.ClassAuthFailed:
		return "The host does not accept the key for this user: see the settings --script-ssh-key and --script-ssh-user, and the host's authorized keys."
	case health.ClassTimeout, health.ClassUnreachable:
		return "The host may still be restarting, or it has not got the address that its document gives it: look at its console, and at the routes and firewalls between it and Slipway. Then retry from here."
	case health.ClassNotRestarted:
		return "The host answers, but has not restarted since the script ran: see what the script did, or restart the host and retry from here."
	case health.ClassWrongHost:
		return "Another machine has this address, or the host was installed anew. Compare the fingerprint with the host's own; if it is right, trust the new key, then retry from here."
	}
	return r.Hint
}

// validateHost asks the host once more: it must still be there, with the same
// key, and run commands.
func (s *step) validateHost(ctx context.Context) (time.Duration, error) {
	if s.status == phase.Waiting {
		if err := s.tell(ctx, s.report(phase.InProgress, "asking "+s.target()+" once more")); err != nil {
			return 0, err
		}
	}
	p := s.engine.opts.Polling
	before, err := s.bootIDBefore(ctx)
	if err != nil {
		return 0, err
	}
	result := s.ask(ctx, before)
	switch {
	case result.Class == health.ClassCanceled:
		return 0, ctx.Err()
	case result.OK():
		return 0, s.write(ctx, "proven", func(tx *lifecycle.Tx) error {
			if err := tx.LearnFor(s.DeploymentID, lifecycle.NodeFacts{BootID: result.BootID, SSHHostKey: result.HostKey}); err != nil {
				return err
			}
			_, err := tx.Report(s.report(phase.Success, fmt.Sprintf("logged in to %s with the key %s and ran a command; %s", s.target(), result.Fingerprint, restarted(before, result))))
			if _, refused := deploy.AsError(err); refused {
				return nil
			}
			return err
		})
	case result.Permanent():
		at := s.engine.opts.Now().UTC()
		probe := deploy.Probe{Target: s.target(), Attempt: 1, MaxAttempts: 1, LastAt: &at, Class: string(result.Class), Message: result.Message,
			OfferedKey: result.HostKey, Fingerprint: result.Fingerprint, PinnedPrint: health.Fingerprint(s.hostKey)}
		if err := s.write(ctx, "probe", func(tx *lifecycle.Tx) error { return tx.Probe(s.DeploymentID, s.Phase, probe) }); err != nil {
			return 0, err
		}
		r := s.report(phase.FailedRun, result.Message)
		r.Code, r.Hint = string(result.Class), scriptHint(result)
		return 0, s.tell(ctx, r)
	}
	if err := s.await(ctx, "ssh", fmt.Sprintf("%s: %s", result.Class, result.Message)); err != nil {
		return 0, err
	}
	return p.Every, nil
}

func firstNonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
