package phase

import "strings"

// Status is how a phase run stands.
type Status string

// The statuses. A caller can send only in_progress, success and failed.
const (
	Waiting    Status = "waiting"
	InProgress Status = "in_progress"
	Success    Status = "success"
	FailedRun  Status = "failed"
	TimedOut   Status = "timed_out"
	Skipped    Status = "skipped"
	CanceledBy Status = "canceled"
)

// Open reports whether a run of this status is still under way.
func (s Status) Open() bool { return s == Waiting || s == InProgress }

// ParseStatus reads what a caller may send, with the aliases that old scripts
// use; letter case and surrounding space do not matter.
func ParseStatus(s string) (Status, bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "in_progress", "started", "starting", "running":
		return InProgress, true
	case "success", "completed", "complete", "ok", "succeeded", "done":
		return Success, true
	case "failed", "error", "failure":
		return FailedRun, true
	}
	return "", false
}

// State is how a deployment stands.
type State = string

// The states of a deployment.
const (
	Queued     State = "queued"
	Running    State = "running"
	Succeeded  State = "succeeded"
	StateFail  State = "failed"
	Canceling  State = "canceling"
	StateStop  State = "canceled"
	CleaningUp State = "cleaning_up"
	CleanedUp  State = "cleaned_up"
)

// States lists all states, in the order of a deployment's life.
func States() []State {
	return []State{Queued, Running, Succeeded, StateFail, Canceling, StateStop, CleaningUp, CleanedUp}
}

// Active reports whether a deployment in this state may still change by
// itself; a node has at most one such deployment.
func Active(s State) bool {
	return s == Queued || s == Running || s == Canceling || s == CleaningUp
}
