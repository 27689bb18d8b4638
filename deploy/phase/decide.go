package phase

import (
	"fmt"
	"slices"

	"github.com/slipwayhq/slipway/deploy"
)

// Reporter says whose phases somebody may report.
type Reporter string

// The reporters. An operator speaks for every owner.
const (
	ByWorkflow Reporter = "workflow"
	ByBoot     Reporter = "boot"
	ByMachine  Reporter = "machine"
	ByOperator Reporter = "operator"
)

func (r Reporter) owns(o Owner) bool { return r == ByOperator || string(r) == string(o) }

// maySkip reports whether the reporter may pass over a phase that nobody did:
// only the machine knows that it needs none of its own phases, and only an
// operator may say so in its place.
func (r Reporter) maySkip(d Definition) bool {
	return d.MachineMaySkip && (r == ByMachine || r == ByOperator)
}

// mayFailCleanup reports whether the reporter's failure concerns a cleanup: a
// machine that is being released has nothing more to say.
func mayFailCleanup(r Reporter) bool { return r == ByWorkflow || r == ByOperator }

// failedState is where a failure leads: what was to be canceled is canceled.
func failedState(s State) State {
	if s == Canceling {
		return StateStop
	}
	return StateFail
}

// Facts is what the decision needs to know of a deployment.
type Facts struct {
	Provider   string
	State      State
	Open       Key // the open phase; the last one if the deployment has ended
	OpenStatus Status
	Skip       []Key // phases that this deployment does not need
	Resume     Key   // where an attempt that is queued goes on; empty: with the phase after the queue
}

// Report is what is being said.
type Report struct {
	Phase  Key
	Status Status
	As     Reporter
}

// Outcome is what becomes of a report.
type Outcome string

// The outcomes.
const (
	Accept Outcome = "accepted" // the moves are made
	Step   Outcome = "step"     // recorded and shown, no transition
	Refuse Outcome = "refused"  // recorded, nothing changes
)

// Move is one change of a phase run.
type Move struct {
	Phase  Key
	Enter  bool   // a new run begins (as waiting, or with the status given)
	Status Status // the run's status after the move
	// Implied: nobody reported it; the next report proves it.
	Implied bool
}

// Verdict is the decision about a report.
type Verdict struct {
	Outcome       Outcome
	AlreadyPassed bool
	Code          deploy.Code // of a refusal
	Reason        string      // of a refusal, for people
	Accepted      []Key       // of a refusal: what would be accepted instead
	Moves         []Move
	State         State // after the moves
	// At is the phase the event belongs to; the reported one, except that a
	// failure that cannot be placed is put on the open phase.
	At Key
}

// Decide says what becomes of a report. It assumes that repeats of the last
// accepted report of a phase were found before.
func Decide(f Facts, r Report) Verdict {
	if !Active(f.State) {
		return refuse(f, r, deploy.CodeDeploymentEnded, fmt.Sprintf("the deployment has ended (%s)", f.State))
	}
	if f.State == CleaningUp {
		return cleaning(f, r)
	}
	open := index(f.Provider, f.Open)
	if r.Phase == Failed {
		return fail(f, f.Open)
	}
	def, known := definitions[r.Phase]
	at := index(f.Provider, r.Phase)
	if !known || !r.As.owns(def.Owner) || (at < 0 && r.As == ByMachine) {
		return Verdict{Outcome: Step, State: f.State, At: r.Phase}
	}
	if at < 0 || def.Terminal {
		return refuse(f, r, deploy.CodeIllegalJump, fmt.Sprintf("%s cannot be reported for this deployment", r.Phase))
	}
	switch {
	case at < open && (r.As == ByWorkflow || r.As == ByBoot):
		return Verdict{Outcome: Step, AlreadyPassed: true, State: f.State, At: r.Phase}
	case at < open:
		return refuse(f, r, deploy.CodeOutOfOrder, fmt.Sprintf("the deployment is already at %s", f.Open))
	case at == open:
		return settle(f, nil, r.Phase, false, r.Status)
	}
	passed, blocked := pass(f, r, open, at)
	if blocked != "" {
		if r.Status == FailedRun {
			return fail(f, f.Open) // a failure is never lost, wherever the machine was
		}
		return refuse(f, r, deploy.CodeIllegalJump, fmt.Sprintf("%s may not be skipped", blocked))
	}
	if f.State == Canceling && r.Status != FailedRun {
		// The phase that was to be waited for is over: the next is not begun.
		return Verdict{Outcome: Accept, State: StateStop, At: r.Phase, Moves: append(passed, Move{Phase: r.Phase, Enter: true, Status: CanceledBy})}
	}
	return settle(f, passed, r.Phase, true, r.Status)
}

// pass gives the moves that take the deployment from its open phase up to,
// not including, the phase at; or the phase that forbids it.
func pass(f Facts, r Report, open, at int) (moves []Move, blocked Key) {
	keys := sequences[f.Provider]
	switch d := definitions[f.Open]; {
	case f.OpenStatus == InProgress && passable(d, r):
		moves = append(moves, Move{Phase: f.Open, Status: Success, Implied: true})
	case r.As == ByBoot && (f.Open == ServerRequested || f.Open == MonitoringStart):
		moves = append(moves, Move{Phase: f.Open, Status: Success, Implied: true})
	case r.As.maySkip(d):
		moves = append(moves, Move{Phase: f.Open, Status: Skipped, Implied: true})
	default:
		return nil, f.Open
	}
	for _, k := range keys[open+1 : at] {
		switch {
		case slices.Contains(f.Skip, k), r.As.maySkip(definitions[k]):
			moves = append(moves, Move{Phase: k, Enter: true, Status: Skipped, Implied: true})
		case k == MonitoringStart && r.As == ByBoot:
			moves = append(moves, Move{Phase: k, Enter: true, Status: Success, Implied: true})
		default:
			return nil, k
		}
	}
	return moves, ""
}

// passable reports whether a report of a later phase proves that the open
// one, in progress, is done: a machine's own phase, the configuration that
// was served, or anything when an operator says so.
func passable(d Definition, r Report) bool {
	switch r.As {
	case ByOperator:
		return true
	case ByBoot:
		return d.Owner == OwnerBoot || d.Key == ServerRequested || d.Key == MonitoringStart
	case ByWorkflow:
		return d.Owner == OwnerWorkflow
	default:
		return d.Owner == OwnerMachine || d.Key == ConfigDownload
	}
}

// settle gives the verdict for a report of phase k that may be accepted,
// after the moves that lead to it.
func settle(f Facts, moves []Move, k Key, enter bool, s Status) Verdict {
	v := Verdict{Outcome: Accept, State: f.State, At: k}
	v.Moves = append(moves, Move{Phase: k, Enter: enter, Status: s})
	switch s {
	case FailedRun:
		v.State = failedState(f.State)
	case Success:
		if f.State == Canceling {
			v.State = StateStop
			return v
		}
		v.Moves = append(v.Moves, next(f, k)...)
		if last := v.Moves[len(v.Moves)-1]; last.Phase == Deployed {
			v.State = Succeeded
		}
	default: // the phase stays open
	}
	if v.State == Queued && k != Pending || k == Pending && s == Success {
		v.State = Running
	}
	return v
}

// next enters the first needed phase after k; those passed over get a
// skipped run. An attempt that had to queue again goes on where it is to begin:
// what lies between was done by another attempt and is kept.
func next(f Facts, k Key) []Move {
	if k == Pending && f.Resume != "" {
		return []Move{{Phase: f.Resume, Enter: true, Status: Waiting, Implied: true}}
	}
	var moves []Move
	keys := sequences[f.Provider]
	for _, n := range keys[index(f.Provider, k)+1:] {
		if slices.Contains(f.Skip, n) {
			moves = append(moves, Move{Phase: n, Enter: true, Status: Skipped, Implied: true})
			continue
		}
		s := Waiting
		if n == Deployed {
			s = Success
		}
		return append(moves, Move{Phase: n, Enter: true, Status: s, Implied: true})
	}
	return moves
}

func fail(f Facts, k Key) Verdict {
	return Verdict{Outcome: Accept, State: failedState(f.State), At: k, Moves: []Move{{Phase: k, Status: FailedRun}}}
}

func refuse(f Facts, r Report, code deploy.Code, reason string) Verdict {
	return Verdict{Outcome: Refuse, Code: code, Reason: reason, State: f.State, At: r.Phase, Accepted: Acceptable(f, r.As)}
}

// Acceptable lists the phases that the reporter could report now, in order;
// empty once the deployment has ended.
func Acceptable(f Facts, as Reporter) []Key {
	out := []Key{}
	switch {
	case !Active(f.State), f.State == CleaningUp && !mayFailCleanup(as):
		return out
	case f.State == CleaningUp && as == ByWorkflow:
		return []Key{Cleanup, Failed}
	case f.State == CleaningUp:
		return []Key{Failed}
	}
	open := index(f.Provider, f.Open)
	for i, k := range sequences[f.Provider] {
		d := definitions[k]
		if i < open || d.Terminal || !as.owns(d.Owner) {
			continue
		}
		if i > open {
			if _, blocked := pass(f, Report{Phase: k, As: as}, open, i); blocked != "" {
				continue
			}
		}
		out = append(out, k)
	}
	return append(out, Failed)
}

// TimeOut says what a passed deadline does to the open phase: another try if
// the phase has one left, else the deployment fails.
func TimeOut(f Facts, tries int) Verdict {
	d := definitions[f.Open]
	if tries <= d.Retries && f.State != Canceling {
		return Verdict{Outcome: Accept, State: f.State, At: f.Open, Moves: []Move{{Phase: f.Open, Status: Waiting}}}
	}
	return Verdict{Outcome: Accept, State: failedState(f.State), At: f.Open, Moves: []Move{{Phase: f.Open, Status: TimedOut}}}
}

// Owns reports whether the reporter may report phase k.
func (r Reporter) Owns(k Key) bool {
	d, known := definitions[k]
	return known && r.owns(d.Owner)
}
