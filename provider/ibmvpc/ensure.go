package ibmvpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// record are the details of a row in the journal: what is planned, when it was
// asked for, and what came of it.
type record struct {
	AskedAt    *time.Time `json:"asked_at,omitempty"`       // the last create; of a present one, the earliest that can have made it
	FirstAsked *time.Time `json:"first_asked_at,omitempty"` // the first create whose end is not known
	Taken      int        `json:"taken,omitempty"`          // creates so far that were answered with "exists already"

	Stop      *stopping     `json:"stop,omitempty"`      // the server is being switched off
	Reinstall *reinstalling `json:"reinstall,omitempty"` // the server is being made to boot anew, or was
	Gone      *gone         `json:"gone,omitempty"`      // the proof, of a row that is gone
	Adopted   bool          `json:"adopted,omitempty"`   // it was there before Slipway knew of it, and has a name of its own

	Zone         string   `json:"zone,omitempty"`
	Subnet       string   `json:"subnet,omitempty"`
	Address      string   `json:"address,omitempty"`
	CIDR         string   `json:"cidr,omitempty"` // of the subnet
	Gateway      string   `json:"gateway,omitempty"`
	DNSServers   []string `json:"dns_servers,omitempty"`
	MAC          string   `json:"mac,omitempty"`
	VNIs         []string `json:"vnis,omitempty"`
	Profile      string   `json:"profile,omitempty"`
	ManagementIP string   `json:"management_ip,omitempty"`
	WorkloadIP   string   `json:"workload_ip,omitempty"`
	MACs         []string `json:"macs,omitempty"`
	DNSName      string   `json:"dns_name,omitempty"`
	DNSZone      string   `json:"dns_zone,omitempty"`
}

func (r record) json() json.RawMessage {
	text, err := json.Marshal(r)
	if err != nil { // strings, numbers and times always can be written
		panic(err)
	}
	return text
}

func recordOf(row deploy.Resource) record {
	var r record
	// A row that somebody edited into something else only loses its hints.
	_ = json.Unmarshal(row.Details, &r)
	return r
}

// want is one thing that an order needs.
type want[T any] struct {
	intent deploy.Intent // without name and generation
	what   string        // for people: "server", "management interface" …
	plan   record
	name   func(generation int) string // of one that has no row yet
	// same narrows down which held row of the kind and role is the thing's; nil
	// for any.
	same func(deploy.Resource) bool
	// get reads the thing by its recorded id.
	get func(ctx context.Context, id string) (*T, error)
	// find looks for the name in all pages; nil if it is nowhere. What has the
	// name and is not ours is a permanent deploy.ProviderError.
	find func(ctx context.Context, name string) (*T, error)
	// create asks for it, once.
	create func(ctx context.Context, name string) (*T, error)
	// prepare makes what create needs, before the row becomes doubtful.
	prepare func(ctx context.Context, name string) error
	// id and made tell what came out.
	id   func(*T) string
	made func(*T, record) record
	note func(ctx context.Context, message string)
}

// settlePatience bounds the recording of what is known, which is done even
// when the caller has given up.
const settlePatience = 5 * time.Second

// ensure makes sure that the thing exists exactly once and is ours. See the
// package's documentation for the rules.
func ensure[T any](ctx context.Context, p *Provider, w want[T]) (deploy.Resource, *T, error) {
	row, err := current(ctx, p, w)
	if err != nil {
		return row, nil, err
	}
	if row.State == deploy.ResourcePresent {
		thing, err := w.get(ctx, row.CloudID)
		if isNotFound(err) {
			return row, nil, permanent(deploy.CodeConflict, "Somebody removed it outside Slipway. Clean up this deployment, then deploy again.",
				"the %s %s (%s) that was made for this node is gone", w.what, row.Name, row.CloudID)
		}
		return row, thing, err
	}
	thing, err := w.find(ctx, row.Name)
	if err != nil {
		return row, nil, err
	}
	if thing != nil {
		return present(ctx, p, w, row, thing)
	}
	if wait := p.doubt(row); wait > 0 {
		return row, nil, waiting(deploy.CodeUpstreamUnavailable, wait, "it is not known whether the %s %s was made; looking for it", w.what, row.Name)
	}
	return ask(ctx, p, w, row)
}

// current gives the row to work on: the one that the deployment holds for the
// thing, whatever its name is, since the node can have been renamed and the row
// be another deployment's before; else that of the first generation that is not
// gone.
func current[T any](ctx context.Context, p *Provider, w want[T]) (deploy.Resource, error) {
	held, err := p.journal.Held(ctx, w.intent.NodeID)
	if err != nil {
		return deploy.Resource{}, err
	}
	before := heldRow(held, w.intent, w.same)
	for generation := 1; ; generation++ {
		i := w.intent
		i.Provider, i.Generation, i.Name, i.Details = deploy.ProviderIBMVPC, generation, w.name(generation), w.plan.json()
		if before.ID != 0 { // its intent again: that is refused if the deployment has ended
			i.Generation, i.Name = before.Generation, before.Name
			before, generation = deploy.Resource{}, 0
		}
		row, err := p.journal.Intend(ctx, i)
		switch {
		case err != nil:
			return row, err
		case row.State == deploy.ResourceReleasing:
			return row, waiting(deploy.CodeConflict, waitConflict, "the %s %s is being released", w.what, row.Name)
		case row.State != deploy.ResourceGone:
			return row, nil
		}
	}
}

// standing orders the states of rows by how sure it is that there is something.
var standing = []string{deploy.ResourceIntent, deploy.ResourceDoubtful, deploy.ResourceReleasing, deploy.ResourcePresent}

// heldRow gives the row of an intent's kind and role that its deployment holds
// and that is the same (nil: any will do); a zero one if there is none. Of
// several it is the one of which it is surest that there is something, and of
// those the newest.
func heldRow(rows []deploy.Resource, i deploy.Intent, same func(deploy.Resource) bool) deploy.Resource {
	var found deploy.Resource
	for _, row := range rows {
		if row.Provider != deploy.ProviderIBMVPC || row.Kind != i.Kind || row.Role != i.Role || row.HeldBy != i.DeploymentID ||
			row.State == deploy.ResourceGone || same != nil && !same(row) {
			continue
		}
		if found.ID == 0 || slices.Index(standing, row.State) >= slices.Index(standing, found.State) {
			found = row
		}
	}
	return found
}

// doubt tells for how long yet a lost create must be looked for; 0 if it may
// be asked for (again). One that another deployment sent is looked for until
// it cannot arrive any more: nobody knows how that deployment ended.
func (p *Provider) doubt(row deploy.Resource) time.Duration {
	r := recordOf(row)
	if row.CreatedBy != row.HeldBy {
		return min(max(p.uncertain(row), 0), waitLook)
	}
	if row.State != deploy.ResourceDoubtful || r.AskedAt == nil {
		return 0
	}
	left := p.cfg.DoubtWindow - p.now().Sub(*r.AskedAt)
	return min(max(left, 0), waitLook)
}

// ask creates the thing.
func ask[T any](ctx context.Context, p *Provider, w want[T], row deploy.Resource) (deploy.Resource, *T, error) {
	if w.prepare != nil {
		if err := w.prepare(ctx, row.Name); err != nil {
			return row, nil, err
		}
	}
	w.note(ctx, fmt.Sprintf("asking for the %s %s", w.what, row.Name))
	r := w.plan
	now, before := p.now(), recordOf(row)
	r.AskedAt, r.FirstAsked, r.Taken = &now, before.FirstAsked, before.Taken
	if r.FirstAsked == nil {
		r.FirstAsked = &now
	}
	if err := p.journal.Settle(ctx, row.ID, deploy.ResourceDoubtful, "", r.json(), ""); err != nil {
		return row, nil, err
	}
	row.Details = r.json()
	thing, err := w.create(ctx, row.Name)
	if err == nil {
		row, err = recorded(ctx, p, w, row, thing, now)
		return row, thing, err
	}
	return refused(ctx, p, w, row, r, err)
}

// refused deals with a create that gave no result.
func refused[T any](ctx context.Context, p *Provider, w want[T], row deploy.Resource, r record, err error) (deploy.Resource, *T, error) {
	var f *callFailure
	if !errors.As(err, &f) {
		return row, nil, err // the caller gave up: the row stays doubtful
	}
	if f.unsent || f.barred() {
		return unmade(ctx, p, w, row, f, f.Error())
	}
	// Also a plain refusal is looked into: another process may have been
	// quicker with the same order, and its server be what used up the quota.
	thing, ferr := w.find(ctx, row.Name)
	var conflict *deploy.ProviderError
	switch {
	case errors.As(ferr, &conflict) && !conflict.Temporary: // the name is somebody else's
		return unmade(ctx, p, w, row, ferr, conflict.Message)
	case thing != nil:
		return present(ctx, p, w, row, thing)
	case ferr == nil && !f.doubtful() && !f.taken():
		return unmade(ctx, p, w, row, f, f.Error())
	}
	if f.taken() {
		r.Taken++
	}
	if serr := p.settle(ctx, row.ID, deploy.ResourceDoubtful, "", r, f.Error()); serr != nil {
		return row, nil, serr
	}
	switch {
	case ferr != nil:
		return row, nil, ferr
	case r.Taken > 1:
		return row, nil, permanent(deploy.CodeConflict, "Names stay taken for up to half an hour after something is deleted, and an interface can have one server only. See who has it, or deploy again later.",
			"IBM Cloud says that the %s %s exists already, but does not list it: %s", w.what, row.Name, f.Error())
	}
	return row, nil, waiting(deploy.CodeUpstreamUnavailable, min(waitLook, p.cfg.DoubtWindow), "it is not known whether the %s %s was made (%s); looking for it", w.what, row.Name, f.Error())
}

// unmade records that the create had no effect, and passes the reason on.
//
//nolint:unparam // what a step returns
func unmade[T any](ctx context.Context, p *Provider, w want[T], row deploy.Resource, reason error, problem string) (deploy.Resource, *T, error) {
	if err := p.settle(ctx, row.ID, deploy.ResourceIntent, "", w.plan, problem); err != nil {
		return row, nil, err
	}
	return row, nil, reason
}

// present records that the thing was found. Which create made it is not known:
// the first one can have been it.
func present[T any](ctx context.Context, p *Provider, w want[T], row deploy.Resource, thing *T) (deploy.Resource, *T, error) {
	var since time.Time
	if first := recordOf(row).FirstAsked; first != nil {
		since = *first
	}
	row, err := recorded(ctx, p, w, row, thing, since)
	if err != nil {
		return row, nil, err
	}
	return row, thing, nil
}

// recorded records that the thing exists, and since when it can.
func recorded[T any](ctx context.Context, p *Provider, w want[T], row deploy.Resource, thing *T, since time.Time) (deploy.Resource, error) {
	row.State, row.CloudID = deploy.ResourcePresent, w.id(thing)
	made := w.made(thing, w.plan)
	if !since.IsZero() {
		made.AskedAt = &since
	}
	row.Details = made.json()
	return row, p.settle(ctx, row.ID, row.State, row.CloudID, made, "")
}

// settle records what is known even if the caller has given up meanwhile.
func (p *Provider) settle(ctx context.Context, id int64, state, cloudID string, r record, problem string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settlePatience)
	defer cancel()
	return p.journal.Settle(ctx, id, state, cloudID, r.json(), problem)
}
