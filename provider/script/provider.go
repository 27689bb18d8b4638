package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// kindFile is the journal's kind of a node file.
const kindFile = "node_file"

// Provider is the provider of nodes that the deployment script configures. It
// keeps no state and may be used concurrently.
type Provider struct {
	host    *Host
	journal deploy.Journal
}

var (
	_ deploy.Provider = (*Provider)(nil)
	_ deploy.Releaser = (*Provider)(nil)
	_ deploy.Planner  = (*Provider)(nil)
)

// New makes a provider of a host.
func New(host *Host, journal deploy.Journal) *Provider { return &Provider{host, journal} }

// record is the details of a row.
type record struct {
	Host string `json:"host"`
	// Runs are the runs that were to write the file, the newest first: only they
	// are asked about it.
	Runs  []deploy.RunKey `json:"runs,omitempty"`
	File  *workdir.Owned  `json:"file,omitempty"` // nil: there is none by what is known
	Proof string          `json:"proof,omitempty"`
	Kept  bool            `json:"kept,omitempty"` // the file was somebody else's by then
}

func recordOf(row deploy.Resource) record {
	var r record
	_ = json.Unmarshal(row.Details, &r) // only this package writes them
	return r
}

func (r record) json() json.RawMessage {
	b, err := json.Marshal(r)
	if err != nil { // texts, numbers and times can always be written
		panic(err)
	}
	return b
}

// rowName is unique for all time: a name is given again only after a cleanup,
// and then to another deployment.
func rowName(o deploy.Order) string { return fmt.Sprintf("%s-%d", o.NodeName, o.DeploymentID) }

// runsKept is how many runs a row knows: what one of them wrote is taken back
// before the next one begins, or stays.
const runsKept = 32

// by puts a run before those that the row knows.
func (r record) by(run deploy.RunKey) []deploy.RunKey {
	if run.ID == 0 || slices.Contains(r.Runs, run) {
		return r.Runs
	}
	runs := append([]deploy.RunKey{run}, r.Runs...)
	return runs[:min(len(runs), runsKept)]
}

// runsOf are the runs that rows of one node know, the newest first.
func runsOf(rows []deploy.Resource) []deploy.RunKey {
	var runs []deploy.RunKey
	for _, row := range slices.Backward(rows) {
		if row.Provider == deploy.ProviderScript && row.Kind == kindFile && row.State != deploy.ResourceGone {
			runs = append(runs, recordOf(row).Runs...)
		}
	}
	return runs
}

// Order journals the node's file; Host.Write, which is for all nodes of a run at
// once, makes it. So it is called before that. Called again after it, it notes
// which file the node has; it fails if what this run wrote is gone since. Called
// after Undo it notes what is there by the runs before.
func (p *Provider) Order(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	machine, err := p.order(ctx, o)
	return machine, ended(ctx, err)
}

func (p *Provider) order(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	if err := ctx.Err(); err != nil {
		return deploy.Machine{}, err
	}
	machine, err := described(o)
	if err != nil {
		return machine, err
	}
	rows, row, err := p.rowsOf(ctx, o)
	if err != nil {
		return machine, err
	}
	known := runsOf(rows)
	if o.Run.ID != 0 && !slices.Contains(known, o.Run) {
		known = append([]deploy.RunKey{o.Run}, known...)
	}
	owned, state, err := p.seen(ctx, o.NodeID, known)
	if err != nil {
		return machine, err
	}
	if row == nil {
		made, err := p.journal.Intend(ctx, deploy.Intent{
			NodeID: o.NodeID, DeploymentID: o.DeploymentID, Provider: deploy.ProviderScript, Kind: kindFile, Role: "configuration",
			Name: rowName(o), Generation: 1, Details: record{Host: p.host.Host(), Runs: record{}.by(o.Run)}.json(),
		})
		if err != nil {
			return machine, err
		}
		row = &made
	}
	rec := recordOf(*row)
	if gone, err := p.vanished(ctx, o.Run, owned, state); err != nil || gone {
		if gone {
			err = vanished(p.path(*owned))
		}
		return machine, err
	}
	next := record{Host: p.host.Host(), Runs: rec.by(o.Run)}
	if state != workdir.FileAbsent {
		next.File = owned
	}
	if row.State == deploy.ResourcePresent && string(next.json()) == string(rec.json()) {
		return machine, nil
	}
	return machine, p.journal.Settle(ctx, row.ID, deploy.ResourcePresent, next.name(), next.json(), "")
}

// name is the file's, if there is one.
func (r record) name() string {
	if r.File == nil {
		return deploy.NoCloudID
	}
	return r.File.File
}

// vanished tells whether a file that the present run has put in place is not
// there any more. As long as it has not, or when it was taken back, that is as
// it should be.
func (p *Provider) vanished(ctx context.Context, run deploy.RunKey, owned *workdir.Owned, state string) (bool, error) {
	if owned == nil || owned.Run != run || state != workdir.FileAbsent {
		return false, nil
	}
	return p.host.dir.Written(ctx, run)
}

func vanished(path string) *deploy.ProviderError {
	return workdir.Refuse(deploy.CodeNotFound, "Apply the changes to this node again.", "the node file %s was removed by somebody", path)
}

// described is the node as the order has it.
func described(o deploy.Order) (deploy.Machine, error) {
	refuse := func(hint, format string, args ...any) error {
		return workdir.Refuse(deploy.CodeInvalid, hint, format, args...)
	}
	if len(o.Spec.Document) == 0 || !json.Valid(o.Spec.Document) {
		return deploy.Machine{}, refuse("Fill in the node's card, and apply it again.", "document: a node that the script configures needs its document, as JSON")
	}
	if len(deploy.CheckIP("", o.Spec.ManagementIP)) > 0 {
		return deploy.Machine{}, refuse("Correct the node's address, and apply it again.", "management_ip: this is no address")
	}
	machine := deploy.Machine{ManagementIP: o.Spec.ManagementIP}
	if o.Spec.MAC == "" { // a card does not say it
		return machine, nil
	}
	mac, ok := deploy.NormalMAC(o.Spec.MAC)
	if !ok {
		return deploy.Machine{}, refuse("Correct the node's MAC address, and apply it again.", "mac: this is no MAC address")
	}
	machine.MACs = []string{mac}
	return machine, nil
}

// seen looks for the node's file, as these runs have written it.
func (p *Provider) seen(ctx context.Context, nodeID int64, runs []deploy.RunKey) (*workdir.Owned, string, error) {
	owned, err := p.host.dir.FileOf(ctx, runs, nodeID)
	if err != nil || owned == nil {
		return nil, workdir.FileAbsent, err
	}
	state, err := p.host.dir.State(ctx, *owned)
	return owned, state, err
}

func (p *Provider) path(o workdir.Owned) string { return p.host.dir.FilePath(o) }

// rowsOf gives the node's rows, and the order's among them: its deployment's, or
// nil. A newer deployment's means that the order is late.
func (p *Provider) rowsOf(ctx context.Context, o deploy.Order) (rows []deploy.Resource, mine *deploy.Resource, err error) {
	rows, err = p.journal.Held(ctx, o.NodeID)
	if err != nil {
		return nil, nil, err
	}
	for i, row := range rows {
		switch {
		case row.Provider != deploy.ProviderScript || row.Kind != kindFile:
		case row.HeldBy == o.DeploymentID:
			mine = &rows[i]
		case row.HeldBy > o.DeploymentID:
			return nil, nil, workdir.Refuse(deploy.CodeConflict, "Look at the node's current deployment.", "the file of node %s is held by deployment %d now", o.NodeName, row.HeldBy)
		}
	}
	return rows, mine, nil
}

// Observe tells how the node's file stands.
func (p *Provider) Observe(ctx context.Context, nodeID int64) (deploy.Observation, error) {
	seen, err := p.observe(ctx, nodeID)
	return seen, ended(ctx, err)
}

func (p *Provider) observe(ctx context.Context, nodeID int64) (deploy.Observation, error) {
	rows, err := p.journal.Held(ctx, nodeID)
	if err != nil {
		return deploy.Observation{}, err
	}
	var file *workdir.Owned
	for _, row := range rows {
		if row.Provider == deploy.ProviderScript && row.Kind == kindFile {
			file = recordOf(row).File
		}
	}
	if file == nil {
		return deploy.Observation{}, nil
	}
	now, state, err := p.seen(ctx, nodeID, runsOf(rows))
	switch {
	case err != nil:
		return deploy.Observation{}, err
	case now == nil:
		return p.unwritten(ctx, *file)
	case state == workdir.FileAbsent:
		return deploy.Observation{Failed: vanished(p.path(*file))}, nil
	case state == workdir.FileChanged:
		return deploy.Observation{ServerStatus: state, Reasons: []string{p.path(*now) + " was changed by somebody since it was written"}}, nil
	}
	return deploy.Observation{ServerStatus: "stored"}, nil
}

// unwritten is for a file that no run that is known here has in place: it was
// taken back, or the records of its run are gone, and then the row is all that
// is known.
func (p *Provider) unwritten(ctx context.Context, file workdir.Owned) (deploy.Observation, error) {
	known, err := p.host.dir.Known(ctx, file.Run)
	if err != nil || known {
		return deploy.Observation{}, err
	}
	state, err := p.host.dir.State(ctx, file)
	switch {
	case err != nil:
		return deploy.Observation{}, err
	case state == workdir.FileAbsent:
		return deploy.Observation{Failed: vanished(p.path(file))}, nil
	case state == workdir.FileChanged:
		return deploy.Observation{ServerStatus: state, Reasons: []string{p.path(file) + " was changed by somebody since it was written"}}, nil
	}
	return deploy.Observation{ServerStatus: "stored"}, nil
}

// RegisterNames does nothing: names of such nodes are not Slipway's.
func (p *Provider) RegisterNames(context.Context, deploy.Names) error { return nil }

// HasNames is false.
func (p *Provider) HasNames() bool { return false }

// ended is how a method ends: whatever was reached when the caller gave up, it
// is called again. The refusals of the journal are typed.
func ended(ctx context.Context, err error) error {
	if err == nil && ctx.Err() != nil {
		return fmt.Errorf("script: %w", ctx.Err())
	}
	var known *deploy.ProviderError
	if errors.As(err, &known) {
		return known
	}
	if refused, ok := deploy.AsError(err); ok && !refused.Retryable {
		hint := refused.Hint
		if hint == "" {
			hint = "Look at the node's current deployment: another one, a cancel or a cleanup may have come first."
		}
		return workdir.Refuse(refused.Code, hint, "%s", refused.Message)
	}
	return err
}

// waitRun is how long to wait for the end of a script.
const waitRun = 15 * time.Second
