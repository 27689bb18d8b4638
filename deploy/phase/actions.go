package phase

import (
	"fmt"
	"slices"

	"github.com/slipwayhq/slipway/deploy"
)

// Action is something that an operator can ask of a deployment.
type Action = string

// The actions.
const (
	ActionCancel       Action = "cancel"
	ActionRetry        Action = "retry"            // from the phase that failed
	ActionRetryFrom    Action = "retry_from_phase" // from an earlier one
	ActionCleanup      Action = "cleanup"
	ActionReinitialize Action = "reinitialize"
	// Of a host that the deployment script has configured.
	ActionSkipPolling   Action = "skip_polling"
	ActionProbeNow      Action = "probe_now"
	ActionAcceptHostKey Action = "accept_host_key"
)

// CodeWrongHost is the failure code of a host that showed another key than the
// one it is known by, and the class of an attempt that found that.
const CodeWrongHost = "wrong_host"

// ActionFacts is what decides which actions there are.
type ActionFacts struct {
	Provider     string
	State        State
	FailurePhase Key // of a failed deployment
	FailureCode  string
	Open         Key    // the open phase
	ProbeClass   string // how the last attempt to reach the host ended, as far as it is known
	Current      bool   // the deployment is its node's current one
	Clustered    bool   // the node is a member of a formed cluster, or may be: it is not canceled
	Protected    bool   // the node is held, or is a member of a formed cluster, or may be: it is neither released nor installed anew
}

// AllowedActions lists what may be asked of a deployment now. The list is
// advice to people; each action is decided again when it is asked for.
func AllowedActions(f ActionFacts) []Action {
	out := []Action{}
	if !f.Current {
		return out
	}
	switch f.State {
	case Queued, Running, Canceling:
		if !f.Clustered {
			out = append(out, ActionCancel)
		}
		return append(out, f.ofHost()...)
	case StateFail:
		out = append(out, f.ofHost()...)
		if start, err := Retry(f.Provider, f.FailurePhase, "", ""); err == nil && !(f.Protected && (start == Pending || Installs(f.Provider, start))) {
			out = append(out, ActionRetry)
			if index(f.Provider, start) > 1 && !f.Protected {
				out = append(out, ActionRetryFrom)
			}
		}
	case Succeeded, StateStop:
	default:
		return out
	}
	if f.Protected {
		return out
	}
	out = append(out, ActionCleanup)
	if f.Provider != deploy.ProviderScript && f.FailurePhase != Cleanup {
		out = append(out, ActionReinitialize)
	}
	return out
}

// ofHost lists what may be asked of a host that the deployment script has
// configured.
func (f ActionFacts) ofHost() (out []Action) {
	switch {
	case f.Provider != deploy.ProviderScript:
	case f.State == Running && Polls(f.Open):
		out = append(out, ActionSkipPolling, ActionProbeNow)
		if f.ProbeClass == CodeWrongHost {
			out = append(out, ActionAcceptHostKey)
		}
	case f.State == StateFail && f.FailureCode == CodeWrongHost && Polls(f.FailurePhase):
		out = append(out, ActionAcceptHostKey)
	}
	return out
}

// Retry says where the next attempt of a failed deployment begins. from is the
// phase that was asked for, empty for the one that failed; code is the
// failure's. What a machine does itself it can only do again after another
// boot, so such a phase leads back to where its first boot request is awaited.
// A phase behind the one that failed cannot be begun with, nor one that the
// deployment skips.
func Retry(provider string, failed Key, code string, from Key, skip ...Key) (start Key, err *deploy.Error) {
	if failed == Cleanup {
		return "", &deploy.Error{Code: deploy.CodeWrongState, Message: "it is the cleanup that failed, and part of the node is gone", Hint: "ask for the cleanup again"}
	}
	at := index(provider, failed)
	if at < 0 {
		return "", deploy.Errorf(deploy.CodeWrongState, "the phase that failed, %q, is not one that can be retried", failed)
	}
	start = from
	if start == "" {
		start = failed
		if failed == MonitoringStart && code != "" && code != CodeDeadlinePassed && index(provider, ServerRequested) >= 0 {
			start = ServerRequested // the provider gave the server up: another one is needed
		}
	}
	def, known := definitions[start]
	switch i := index(provider, start); {
	case !known || i < 0:
		return "", badFrom(fmt.Sprintf("there is no phase %q in this deployment", from), deploy.CodeInvalid)
	case slices.Contains(skip, start):
		return "", badFrom(fmt.Sprintf("%s is not needed for this deployment", start), deploy.CodeInvalid)
	case i > at:
		return "", badFrom(fmt.Sprintf("%s comes after %s, where the deployment failed", start, failed), deploy.CodeOutOfRange)
	case start == Pending:
		return Pending, nil // it waits for a slot again
	case !def.Repeatable:
		return "", badFrom(fmt.Sprintf("%s cannot be repeated", start), deploy.CodeInvalid)
	}
	if def.Owner != OwnerWorkflow {
		start = MonitoringStart
	}
	return start, nil
}

// Installs reports whether an attempt that begins at this phase has a machine
// installed, or ordered, anew.
func Installs(provider string, start Key) bool {
	return start != Pending && Before(provider, start, ClusterFormation)
}

// CodeDeadlinePassed is the failure code of a phase whose deadline passed.
const CodeDeadlinePassed = "deadline_passed"

func badFrom(message string, code deploy.Code) *deploy.Error {
	return &deploy.Error{Code: code, Message: message, Fields: []deploy.FieldError{{Field: "from_phase", Code: code, Message: message}}}
}

// RetryFrom lists the phases that a failed deployment may be retried from, in
// order; empty if there is none.
func RetryFrom(provider string, failed Key, skip ...Key) []Key {
	out := []Key{}
	for _, k := range sequences[provider] {
		if _, err := Retry(provider, failed, "", k, skip...); err == nil && k != Pending && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// Cancel says what becomes of a deployment that is to be canceled: it ends at
// once if immediate is set or if nothing is being done but waiting, else when
// the open phase ends.
func Cancel(f Facts, immediate bool) (Verdict, *deploy.Error) {
	switch f.State {
	case Queued, Running, Canceling:
	case CleaningUp:
		return Verdict{}, &deploy.Error{Code: deploy.CodeWrongState, Message: "the deployment is being cleaned up, which is not canceled half-way"}
	default:
		return Verdict{}, deploy.Errorf(deploy.CodeDeploymentEnded, "the deployment has ended (%s)", f.State)
	}
	if immediate || f.State == Queued || f.OpenStatus == Waiting || f.Open == MonitoringStart {
		return Verdict{Outcome: Accept, State: StateStop, At: f.Open, Moves: []Move{{Phase: f.Open, Status: CanceledBy}}}, nil
	}
	return Verdict{Outcome: Accept, State: Canceling, At: f.Open}, nil
}

// cleaning decides a report while a node is being cleaned up. Only the
// workflow, which has seen the proof, can say that everything is gone; an
// operator can give it up.
func cleaning(f Facts, r Report) Verdict {
	switch {
	case !mayFailCleanup(r.As):
		return refuse(f, r, deploy.CodeDeploymentEnded, "the deployment has ended; its node is being cleaned up")
	case r.Phase == Failed, r.Phase == Cleanup && r.Status == FailedRun:
		return fail(f, f.Open)
	case r.Phase != Cleanup:
		if d, known := definitions[r.Phase]; !known || !r.As.owns(d.Owner) {
			return Verdict{Outcome: Step, State: f.State, At: r.Phase}
		}
		return refuse(f, r, deploy.CodeDeploymentEnded, "the deployment has ended; its node is being cleaned up")
	case r.As != ByWorkflow:
		return refuse(f, r, deploy.CodeIllegalJump, "only the release itself can tell how far it is: its end is proven, not reported")
	}
	v := Verdict{Outcome: Accept, State: f.State, At: Cleanup, Moves: []Move{{Phase: Cleanup, Status: r.Status}}}
	if r.Status == Success {
		v.State = CleanedUp
		v.Moves = append(v.Moves, Move{Phase: CleanupCompleted, Enter: true, Status: Success, Implied: true})
	}
	return v
}

// SkipPolling says what becomes of a host that an operator vouches for: its
// polling and the check after it are passed over, and it is deployed.
func SkipPolling(f Facts) (Verdict, *deploy.Error) {
	if f.State != Running || f.Provider != deploy.ProviderScript || !Polls(f.Open) {
		return Verdict{}, &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("the host is not being waited for: the deployment is %s at %s", f.State, f.Open)}
	}
	v := Verdict{Outcome: Accept, State: Succeeded, At: f.Open, Moves: []Move{{Phase: f.Open, Status: Skipped}}}
	keys := sequences[f.Provider]
	for _, k := range keys[index(f.Provider, f.Open)+1:] {
		s := Skipped
		if k == Deployed {
			s = Success
		}
		v.Moves = append(v.Moves, Move{Phase: k, Enter: true, Status: s})
	}
	return v, nil
}

// Polls reports whether a host that the deployment script has configured is
// being waited for in a phase.
func Polls(k Key) bool { return k == RebootWait || k == SSHPolling || k == HealthValidation }
