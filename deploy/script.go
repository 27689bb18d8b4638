package deploy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// The states of a run of the deployment script.
const (
	RunStoring   = "storing"   // accepted; its files are being written
	RunRunning   = "running"   // the script was started
	RunSucceeded = "succeeded" // it exited with 0
	RunFailed    = "failed"    // it could not start, exited with another code, or was ended by a signal
	RunCanceled  = "canceled"  // it was ended because an operator asked for it
	RunLost      = "lost"      // it ran, and nobody can tell how it ended
)

// HostDocument is the configuration document of one node in a run.
type HostDocument struct {
	NodeID   int64
	NodeName string
	File     string // name in the directory of node files, "node_03.json"; never a path
	Body     []byte // as it is to be written, byte for byte
}

// RunKey names a run of the deployment script for all time. Its number alone does
// not: another database, or one that was restored, gives the same numbers again,
// and the host still has what it knows of the runs before.
type RunKey struct {
	ID       int64  `json:"id"`
	Identity string `json:"identity"` // 128 random bits, 32 hexadecimal digits
}

// identityBytes is the size of a run's identity.
const identityBytes = 16

// NewRunIdentity makes the identity of a new run.
func NewRunIdentity() string {
	b := make([]byte, identityBytes)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}

// Valid tells whether the key is complete.
func (k RunKey) Valid() bool {
	b, err := hex.DecodeString(k.Identity)
	return k.ID > 0 && err == nil && len(b) == identityBytes && strings.ToLower(k.Identity) == k.Identity
}

// String is the number, "-", and the identity.
func (k RunKey) String() string { return strconv.FormatInt(k.ID, 10) + "-" + k.Identity }

// ParseRunKey reads what String wrote; false if it is nothing of that kind.
func ParseRunKey(s string) (RunKey, bool) {
	digits, identity, _ := strings.Cut(s, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	k := RunKey{n, identity}
	if err != nil || !k.Valid() || k.String() != s {
		return RunKey{}, false
	}
	return k, true
}

// ScriptRun is a run with all that it is to write.
type ScriptRun struct {
	RunKey
	Documents []HostDocument
}

// NodeFile is a file in the directory of node files.
type NodeFile struct {
	Name   string
	Number int
	Body   []byte
	Mtime  time.Time
}

// NodeFiles is the directory that the deployment script reads.
type NodeFiles interface {
	// Ready tells whether files could be written and the script be run now. The
	// error is a ProviderError: it names what is missing, and where.
	Ready(ctx context.Context) error
	// List gives the node files that are there, by number. Files of other names
	// are left out.
	List(ctx context.Context) ([]NodeFile, error)
	// Write puts every document of the run in its file and then makes the
	// marker, or leaves everything as it was and says why. To write the same
	// run again changes nothing.
	Write(ctx context.Context, run ScriptRun) error
	// Undo takes back what Write of this run did: files that were there before
	// get their former content, others are removed, and so is the marker.
	Undo(ctx context.Context, run ScriptRun) error
}

// The states of a run's process, as its host tells.
const (
	ProcessNone    = "none"    // it was never started
	ProcessRunning = "running" // it runs
	ProcessEnded   = "ended"   // it ended, and how is known
	ProcessLost    = "lost"    // it was started and is gone without a word
)

// The states of the marker of a run in progress.
const (
	MarkerAbsent  = "absent"
	MarkerPresent = "present"
)

// RunProcess is what is known of a run on its host.
type RunProcess struct {
	State     string
	PID       int // of the script; 0 if it was never started
	StartedAt time.Time
	EndedAt   time.Time // zero unless ended
	ExitCode  int       // if ended and Signal is empty
	Signal    string    // that ended it, "SIGTERM"
	Problem   string    // why it could not be started, or what was odd: the script took the marker away itself, left it, …
	Marker    string
	LogBytes  int64 // written so far
	LogCut    bool  // the log's size limit was reached: its middle is missing
}

// ScriptRunner starts the deployment script and finds it again.
type ScriptRunner interface {
	// Start starts the script of a run whose files are written, in a session of
	// its own, unless it was started before: then it only looks. It returns once
	// the script runs or could not be started. A run that is to be canceled is
	// not started. If something is in the way for longer than 20 s, which does not
	// have to do with this run, the error is temporary and names it.
	Start(ctx context.Context, run RunKey) (RunProcess, error)
	// Look tells how a run stands. Once a run has ended its marker is taken away.
	Look(ctx context.Context, run RunKey) (RunProcess, error)
	// Stop asks the script and all that it started to end (SIGTERM to its
	// process group); hard ends them (SIGKILL). It does not wait for the end.
	Stop(ctx context.Context, run RunKey, hard bool) error
	// Log reads the run's output from an offset in bytes: at most limit bytes,
	// and the offset that follows them. What was cut out is replaced by a line
	// that says so; offsets stay valid.
	Log(ctx context.Context, run RunKey, offset int64, limit int) (text []byte, next int64, err error)
}

// Marker is the file that says that a run is in progress.
type Marker struct {
	Path    string
	Present bool
	Since   time.Time
	// RunID is the run that made it, 0 if it is none of ours; Alive tells whether
	// that run's script is still there. RunIdentity belongs to RunID: only both say
	// which run it is.
	RunID       int64
	RunIdentity string
	Alive       bool
}

// MarkerKeeper knows the marker of a host.
type MarkerKeeper interface {
	Marker(ctx context.Context) (Marker, error)
	// ClearMarker removes a marker whose script is not alive; refused with
	// run_active if it is.
	ClearMarker(ctx context.Context) error
}

// ScriptHost is a host on which the deployment script runs.
type ScriptHost interface {
	NodeFiles
	ScriptRunner
	MarkerKeeper
	// Host names it; one run is active on a host.
	Host() string
}
