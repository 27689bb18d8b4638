package cvm

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy/health"
)

// Job is a command that changes a cluster. It takes minutes, so it runs apart
// from the connection that began it: neither a cut connection nor the end of
// Slipway ends it.
type Job string

// The jobs.
const (
	JobCreate  Job = "create"   // cluster -s … create
	JobAddNode Job = "add-node" // ncli cluster add-node
	JobStop    Job = "stop"     // cluster stop
	JobDestroy Job = "destroy"  // cluster destroy
)

// Record is what a controller VM's disk says of a job.
type Record struct {
	// Known: it was looked at. Everything below is only then of worth.
	Known bool
	// Busy: a job of Slipway's runs on this controller VM at this moment, this
	// one or another. The kernel's lock says so, not a file that could be old.
	Busy bool
	// Token is who began the last job of this kind; empty if none ever was.
	Token string
	// Ended: it left its exit status. A job that is neither Busy nor Ended was
	// killed, or its controller VM restarted.
	Ended bool
	Exit  int
	// Tail is the end of what it printed, secrets removed.
	Tail []string
}

// Begun is how a job's start ended.
type Begun string

// The ends of a start.
const (
	BegunNow     Begun = "begun"   // it runs
	BegunBusy    Begun = "busy"    // another job holds the lock: nothing was begun
	BegunAlready Begun = "already" // this token has begun it before: nothing was begun
)

// Exit statuses of the two scripts below, from sysexits(3) and upwards.
const (
	exitNoRoom  = 74 // the folder cannot be made
	exitBusy    = 75
	exitAlready = 76
)

// startScript begins a job, for the login shell of Nutanix's user, bash.
//
// The lock is held by the background part for as long as the job lives; its
// children are not given it (9>&-), so that a service they leave behind does
// not hold it. The token is written before the command begins: a crash between
// the two leaves a job that was killed, never one that is begun twice.
func startScript(job Job, token, line string) string {
	return profile +
		`cd && mkdir -m 700 -p .slipway && exec 9>.slipway/lock || exit 74; flock -n 9 || exit 75; ` +
		fmt.Sprintf(`[ "$(cat .slipway/%[1]s.id 2>/dev/null)" != '%[2]s' ] || exit 76; `+
			`rm -f .slipway/%[1]s.exit .slipway/%[1]s.log && echo '%[2]s' >.slipway/%[1]s.id || exit 74; `+
			`( trap '' HUP; { %[3]s; } >.slipway/%[1]s.log 2>&1 9>&-; echo $? >.slipway/%[1]s.exit ) </dev/null >/dev/null 2>&1 & echo slipway-begun`,
			job, token, line)
}

// lookScript reads a job's record under the lock, so that it does not see a
// start half-way. Lookers share the lock among themselves.
func lookScript(job Job) string {
	return `cd || exit 74; [ -e .slipway/lock ] || { echo 'slipway-job idle id= exit='; exit 0; }; ` +
		fmt.Sprintf(`exec 9<.slipway/lock || exit 74; r=busy; flock -s -n 9 && r=idle; `+
			`echo "slipway-job $r id=$(cat .slipway/%[1]s.id 2>/dev/null) exit=$(cat .slipway/%[1]s.exit 2>/dev/null)"; `+
			`tail -c %[2]d .slipway/%[1]s.log 2>/dev/null; exit 0`, job, tailBytes)
}

var recordLine = regexp.MustCompile(`^slipway-job (idle|busy) id=([A-Za-z0-9._-]{0,64}) exit=([0-9]{0,3})$`)

// tailBytes of a job's output are read, and maxTail lines of them are kept.
const (
	tailBytes = 16384
	maxTail   = 20
)

// parseRecord reads lookScript's answer.
func parseRecord(text string) (Record, error) {
	first, rest, found := strings.Cut(text, "\n")
	m := recordLine.FindStringSubmatch(first)
	if !found || m == nil {
		return Record{}, fmt.Errorf("%q is no record of a job", clean(first))
	}
	r := Record{Known: true, Busy: m[1] == "busy", Token: m[2]}
	if m[3] != "" {
		n, err := strconv.Atoi(m[3])
		if err != nil {
			return Record{}, fmt.Errorf("exit status %q: %w", m[3], err)
		}
		r.Ended, r.Exit = true, n
	}
	if len(rest) >= tailBytes { // its first line may be the second half of a secret
		_, rest, _ = strings.Cut(rest, "\n")
	}
	for line := range strings.Lines(rest) {
		line = clean(line)
		if line != "" && (len(r.Tail) == 0 || r.Tail[len(r.Tail)-1] != line) { // it repeats what it waits for
			r.Tail = append(r.Tail, line)
		}
	}
	r.Tail = r.Tail[max(0, len(r.Tail)-maxTail):]
	return r, nil
}

// Job looks at a job's record.
func (c *Client) Job(ctx context.Context, t Target, job Job) (Record, error) {
	op := "look at " + string(job)
	out, err := c.run(ctx, t, op, lookScript(job))
	if err != nil {
		return Record{}, err
	}
	if out.exit != 0 {
		return Record{}, failed(health.ClassCommandFailed, op, t.Addr, nil, "exit status %d: %s", out.exit, clean(out.text()))
	}
	r, err := parseRecord(out.stdout)
	if err != nil {
		return Record{}, failed(ClassUnclear, op, t.Addr, err, "%v", err)
	}
	return r, nil
}

// begin starts a job unless one runs or this token has begun it before.
func (c *Client) begin(ctx context.Context, t Target, job Job, token, line string) (Begun, error) {
	op := "begin " + string(job)
	if !tokenForm.MatchString(token) {
		return "", failed(ClassRequest, op, t.Addr, nil, "%q is no token of an attempt", token)
	}
	out, err := c.run(ctx, t, op, startScript(job, token, line))
	if err != nil {
		return "", err
	}
	switch {
	case out.exit == exitBusy:
		return BegunBusy, nil
	case out.exit == exitAlready:
		return BegunAlready, nil
	case out.exit == exitNoRoom:
		return "", failed(health.ClassCommandFailed, op, t.Addr, nil, "its home folder cannot be written: %s", clean(out.text()))
	case out.exit == 0 && strings.Contains(out.stdout, "slipway-begun"):
		return BegunNow, nil
	}
	return "", failed(ClassUnclear, op, t.Addr, nil, "exit status %d: %s", out.exit, clean(out.text()))
}

// Create begins `cluster -s … create` on the first member. token names the
// attempt, [A-Za-z0-9][A-Za-z0-9._-]{0,63}: with the same token it is never
// begun twice, whoever asks and whatever died in between. An error leaves open
// whether it was begun: ask Job.
func (c *Client) Create(ctx context.Context, first Target, token string, spec CreateSpec) (Begun, error) {
	line, err := spec.Command()
	if err != nil {
		return "", failed(ClassRequest, "cluster create", first.Addr, err, "%v", err)
	}
	return c.begin(ctx, first, JobCreate, token, line)
}

// AddNode begins `ncli cluster add-node` on a member of the cluster, for a node
// that DiscoverNodes found.
func (c *Client) AddNode(ctx context.Context, member Target, token, nodeUUID string) (Begun, error) {
	if !uuidForm.MatchString(nodeUUID) {
		return "", failed(ClassRequest, "ncli cluster add-node", member.Addr, nil, "%q is no UUID", clean(nodeUUID))
	}
	line, err := commandLine("ncli", "cluster", "add-node", "node-uuid="+nodeUUID)
	if err != nil {
		return "", failed(ClassRequest, "ncli cluster add-node", member.Addr, err, "%v", err)
	}
	return c.begin(ctx, member, JobAddNode, token, line)
}

// Both commands ask before they begin; their prompts are
// "… (I agree/[N]):" and "… (Y/[N]):".
const (
	stopLine    = `echo 'I agree' | cluster stop`
	destroyLine = `echo Y | cluster destroy`
)

// StopCluster begins `cluster stop` on a member. Guests must be off.
func (c *Client) StopCluster(ctx context.Context, member Target, token string) (Begun, error) {
	return c.begin(ctx, member, JobStop, token, stopLine)
}

// DestroyCluster begins `cluster destroy` on a member: every byte that the
// cluster holds is lost. The cluster must be stopped. Destroy does it with the
// looks that belong before it.
func (c *Client) DestroyCluster(ctx context.Context, member Target, token string) (Begun, error) {
	return c.begin(ctx, member, JobDestroy, token, destroyLine)
}
