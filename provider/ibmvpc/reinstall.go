package ibmvpc

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// reasonReinitialize is the status reason of a server whose initialization did
// not go through: it may be initialized again as it is.
const reasonReinitialize = "cannot_reinitialize"

// reinstalling is how far a server is on its way to booting anew, for one
// attempt of one deployment.
type reinstalling struct {
	Deployment int64      `json:"deployment"`
	Attempt    int        `json:"attempt"`
	Stop       *stopping  `json:"stop,omitempty"`
	Asks       int        `json:"asks,omitempty"`     // initializations that may have been accepted
	AskedAt    *time.Time `json:"asked_at,omitempty"` // the last of them
	DoneAt     *time.Time `json:"done_at,omitempty"`  // it was seen to start
}

// Reinstall stops the node's server, writes the network boot image on its boot
// disk anew with o.BootURL, and returns once it starts, which it does by
// itself. It happens once for a deployment and attempt, and not at all for a
// server that was ordered after o.AttemptSince. A server that never came is
// replaced by another one instead: the machine that is returned counts.
func (p *Provider) Reinstall(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	machine, err := p.reinstall(ctx, o)
	return machine, asProviderError(err)
}

func (p *Provider) reinstall(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	if err := checkOrder(o); err != nil {
		return deploy.Machine{}, err
	}
	replacing, err := p.replacing(ctx, o)
	if err != nil {
		return deploy.Machine{}, err
	}
	if replacing {
		return p.order(ctx, o)
	}
	row, err := p.serverOf(ctx, o)
	if err != nil {
		return deploy.Machine{}, err
	}
	server, err := p.getServer(ctx, row.CloudID)
	if isNotFound(err) {
		return deploy.Machine{}, permanent(deploy.CodeNotFound, "Somebody deleted it outside Slipway. Clean up this deployment, then deploy again.",
			"the server %s (%s) of this node is gone", row.Name, row.CloudID)
	}
	if err != nil {
		return deploy.Machine{}, err
	}
	// Read again after the server: what its status shows was recorded before.
	if row, err = p.serverOf(ctx, o); err != nil {
		return deploy.Machine{}, err
	}
	again := &reinstall{Provider: p, Order: o, row: row, server: server, rec: recordOf(row)}
	if o.AttemptSince.IsZero() || again.rec.AskedAt != nil && again.rec.AskedAt.After(o.AttemptSince) {
		return again.machine(ctx)
	}
	if replaceable(o, row, server) {
		return p.order(ctx, o)
	}
	if err := again.step(ctx); err != nil {
		return deploy.Machine{}, err
	}
	return again.machine(ctx)
}

// serverOf gives the row of the node's server, which the order's deployment
// must hold.
func (p *Provider) serverOf(ctx context.Context, o deploy.Order) (deploy.Resource, error) {
	held, err := p.journal.Held(ctx, o.NodeID)
	if err != nil {
		return deploy.Resource{}, err
	}
	var found *deploy.Resource
	for i, row := range held {
		if row.Provider == deploy.ProviderIBMVPC && row.Kind == kindServer && row.State == deploy.ResourcePresent {
			found = &held[i]
		}
	}
	switch {
	case found == nil:
		return deploy.Resource{}, permanent(deploy.CodeNotFound, "Retry from server_requested, which orders one; or clean up and deploy again.", "node %s has no server", o.NodeName)
	case found.HeldBy != o.DeploymentID:
		return deploy.Resource{}, permanent(deploy.CodeConflict, "Look at the node's current deployment.", "the server %s of node %s is held by deployment %d now", found.Name, o.NodeName, found.HeldBy)
	}
	return *found, nil
}

// replacing tells whether the server of an earlier attempt is on its way out,
// or gone and the next one not there yet.
func (p *Provider) replacing(ctx context.Context, o deploy.Order) (bool, error) {
	all, err := p.journal.ByNode(ctx, o.NodeID)
	if err != nil || o.AttemptSince.IsZero() {
		return false, err
	}
	out := false
	for _, row := range all {
		if row.Provider != deploy.ProviderIBMVPC || row.Kind != kindServer || row.CreatedBy != o.DeploymentID || row.HeldBy != o.DeploymentID {
			continue
		}
		if row.State == deploy.ResourcePresent {
			return false, nil
		}
		out = out || row.State == deploy.ResourceReleasing || row.State == deploy.ResourceGone
	}
	return out, nil
}

// replaceable tells whether another server is to be ordered in place of this
// one: this deployment ordered it, before the attempt began, and it failed in a
// way that writing its disk anew does not cure.
func replaceable(o deploy.Order, row deploy.Resource, server *vpcv1.BareMetalServer) bool {
	asked := recordOf(row).AskedAt
	return !o.AttemptSince.IsZero() && row.CreatedBy == o.DeploymentID && asked != nil && !asked.After(o.AttemptSince) &&
		value(server.Status) == statusFailed && !hasReason(server, reasonReinitialize)
}

func hasReason(s *vpcv1.BareMetalServer, code string) bool {
	return slices.ContainsFunc(s.StatusReasons, func(r vpcv1.BareMetalServerStatusReason) bool { return value(r.Code) == code })
}

// retire releases the server of an earlier attempt that failed to come, so that
// the order makes the next generation. Until a retry it is kept, for reading.
func (p *Provider) retire(ctx context.Context, o deploy.Order) error {
	if o.AttemptSince.IsZero() {
		return nil
	}
	all, err := p.journal.ByNode(ctx, o.NodeID)
	if err != nil {
		return err
	}
	held := slices.DeleteFunc(all, func(r deploy.Resource) bool {
		return r.Provider != deploy.ProviderIBMVPC || r.HeldBy != o.DeploymentID
	})
	for i := range held {
		row := &held[i]
		if row.Kind != kindServer || row.CreatedBy != o.DeploymentID || row.CloudID == "" {
			continue
		}
		if row.State == deploy.ResourcePresent {
			server, err := p.getServer(ctx, row.CloudID)
			if isNotFound(err) {
				continue // the order says so
			}
			if err != nil {
				return err
			}
			if !replaceable(o, *row, server) {
				continue
			}
			if o.Note != nil {
				o.Note(ctx, fmt.Sprintf("deleting the failed server %s%s to order another one", row.Name, because(observation(server).Reasons)))
			}
			// Refused if the deployment has ended: then the server stays for the cleanup.
			if err := p.journal.Amend(ctx, row.ID, func(d json.RawMessage) (json.RawMessage, error) { return d, nil }); err != nil {
				return err
			}
		} else if row.State != deploy.ResourceReleasing {
			continue
		}
		if err := (&release{Provider: p, rows: held}).row(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

// lingering tells an interface that still shows the server that was deleted to
// make room for another one: that passes by itself.
func (j *job) lingering(ctx context.Context, networks []network, refusal error) error {
	all, err := j.journal.ByNode(ctx, j.NodeID)
	if err != nil {
		return err
	}
	for _, row := range all {
		if row.Kind != kindServer || row.State != deploy.ResourceGone || row.HeldBy != j.DeploymentID || row.CloudID == "" {
			continue
		}
		if slices.ContainsFunc(networks, func(n network) bool { return strings.Contains(n.bound, row.CloudID) }) {
			return waiting(deploy.CodeConflict, waitStop, "an interface still shows the server %s, which is gone", row.Name)
		}
	}
	return refusal
}

// reinstall is one server being made to boot anew.
type reinstall struct {
	*Provider
	deploy.Order
	row    deploy.Resource
	server *vpcv1.BareMetalServer
	rec    record
}

func (r *reinstall) machine(ctx context.Context) (deploy.Machine, error) {
	held, err := r.journal.Held(ctx, r.NodeID)
	if err != nil {
		return deploy.Machine{}, err
	}
	return withGuests(machineOf(r.row, r.server), held), nil
}

// progress is how far this attempt has come.
func (r *reinstall) progress(rec record) reinstalling {
	if before := rec.Reinstall; before != nil && before.Deployment == r.DeploymentID && before.Attempt == r.Attempt {
		return *before
	}
	return reinstalling{Deployment: r.DeploymentID, Attempt: r.Attempt}
}

// record keeps the progress before the next call. It is refused when the
// deployment has ended, or another caller has come further meanwhile: then
// nothing is asked of the server now.
func (r *reinstall) record(ctx context.Context, from int, change func(*reinstalling)) error {
	return r.journal.Amend(ctx, r.row.ID, func(details json.RawMessage) (json.RawMessage, error) {
		rec := recordOf(deploy.Resource{Details: details})
		progress := r.progress(rec)
		if progress.Asks != from {
			return nil, waiting(deploy.CodeConflict, waitPending, "the server %s is being initialized by somebody else at the same time", r.row.Name)
		}
		change(&progress)
		rec.Reinstall = &progress
		return rec.json(), nil
	})
}

// step does what the server's status calls for; nil means that it boots anew.
func (r *reinstall) step(ctx context.Context) error {
	progress := r.progress(r.rec)
	status, lifecycle := value(r.server.Status), value(r.server.LifecycleState)
	failed := observation(r.server).Failed
	fresh := failed != nil && hasReason(r.server, reasonReinitialize) && progress.Asks == 0
	switch {
	case failed != nil && !fresh:
		return failed
	case progress.DoneAt != nil:
		return nil
	case status == statusMaintenance:
		return waiting(deploy.CodeConflict, waitUpstream, "IBM has the server %s in maintenance; waiting until it is over", value(r.server.Name))
	case status == statusStopped, fresh && lifecycle != lifecycleSuspended:
		return r.initialize(ctx, progress)
	case progress.Asks > 0 && slices.Contains([]string{statusReinitializing, statusStarting, statusRunning, statusRestarting}, status):
		now := r.now()
		return r.record(ctx, progress.Asks, func(p *reinstalling) { p.DoneAt = &now })
	}
	return r.switchOff(ctx, r.server, progress.Stop, func(ctx context.Context, s stopping) error {
		return r.record(ctx, progress.Asks, func(p *reinstalling) { p.Stop = &s })
	})
}

// initialize writes the boot disk anew. The call is made once: the answer of a
// second one would hide that the first was accepted. Made again to a server
// that is still stopped, after an answer was lost, it does no harm.
func (r *reinstall) initialize(ctx context.Context, progress reinstalling) error {
	image, err := r.bootImage(ctx, r.Spec)
	if err != nil {
		return err
	}
	ids, err := r.findKeys(ctx, r.Spec)
	if err != nil {
		return err
	}
	keys := []vpcv1.KeyIdentityIntf{} // must be in the request, may be empty
	for i := range ids {
		keys = append(keys, &vpcv1.KeyIdentityByID{ID: &ids[i]})
	}
	if r.Note != nil {
		r.Note(ctx, fmt.Sprintf("initializing the server %s anew: its boot disk is overwritten", value(r.server.Name)))
	}
	// The last thing before the call: every one mints a locator.
	bootURL, err := r.BootURL(ctx)
	if err != nil {
		return fmt.Errorf("making the boot URL: %w", err)
	}
	now := r.now()
	if err := r.record(ctx, progress.Asks, func(p *reinstalling) { p.Asks, p.AskedAt = p.Asks+1, &now }); err != nil {
		return err
	}
	_, err = create(ctx, r.Provider, "initializing the server anew", func(ctx context.Context) (*vpcv1.BareMetalServerInitialization, *core.DetailedResponse, error) {
		options := r.vpc.NewReplaceBareMetalServerInitializationOptions(value(r.server.ID), &vpcv1.ImageIdentityByID{ID: &image}, keys).SetUserData(bootURL)
		return r.vpcCreate.ReplaceBareMetalServerInitializationWithContext(ctx, options)
	})
	if err == nil {
		err = waiting(deploy.CodeConflict, waitStop, "the server %s is being initialized", value(r.server.Name))
	}
	// What came of it is seen by looking: a server that is still stopped was not
	// initialized, whatever the answer; one that starts was, also if the answer
	// was lost, or said that another caller was quicker.
	return err
}
