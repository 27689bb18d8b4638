package ibmvpc

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// Audit compares the journal with what is in the VPC and the zone, all pages of
// every list, and gives every difference. It changes nothing. Things whose
// names are not of the form that an order gives them are nobody's business.
func (p *Provider) Audit(ctx context.Context, rows []deploy.Resource) ([]deploy.Drift, error) {
	drift, err := p.audit(ctx, rows)
	return drift, asProviderError(err)
}

func (p *Provider) audit(ctx context.Context, rows []deploy.Resource) ([]deploy.Drift, error) {
	items, err := p.inventory(ctx)
	if err != nil {
		return nil, err
	}
	// Read after the lists: what an order has made meanwhile has its row.
	now, err := p.journal.All(ctx, deploy.ProviderIBMVPC)
	if err != nil {
		return nil, err
	}
	a := &comparison{Provider: p, items: items, rows: newest(rows, now)}
	for _, item := range items {
		if err := a.item(ctx, item); err != nil {
			return nil, err
		}
	}
	for _, row := range a.rows {
		if err := a.row(ctx, row); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(a.drift, func(x, y deploy.Drift) int {
		if order := slices.Index(stages, x.Kind) - slices.Index(stages, y.Kind); order != 0 {
			return order
		}
		return strings.Compare(x.Name, y.Name)
	})
	return a.drift, nil
}

// newest joins two readings of the journal; the later one counts.
func newest(rows, now []deploy.Resource) []deploy.Resource {
	known := map[int64]bool{}
	for _, row := range now {
		known[row.ID] = true
	}
	all := slices.Clone(now)
	for _, row := range rows {
		if row.Provider == deploy.ProviderIBMVPC && !known[row.ID] {
			all = append(all, row)
		}
	}
	return all
}

// item is one thing in the cloud.
type item struct {
	kind, id, name, status, zone, parent string

	created time.Time
	address string   // of a reserved IP
	leads   string   // of a record: what it leads to
	vnis    []string // of a server
}

func (i item) drift(problem, message string, args ...any) deploy.Drift {
	d := deploy.Drift{Problem: problem, Kind: i.kind, Name: i.name, CloudID: i.id, Zone: i.zone, Status: i.status, Parent: i.parent, Message: fmt.Sprintf(message, args...)}
	if !i.created.IsZero() {
		d.CreatedAt = &i.created
	}
	return d
}

// named is the name of an item for people.
func (i item) named() string { return nouns[i.kind] + " " + i.name }

// comparison is an audit under way.
type comparison struct {
	*Provider
	items []item
	rows  []deploy.Resource
	drift []deploy.Drift
}

func (a *comparison) add(d deploy.Drift, row deploy.Resource) {
	d.ResourceID, d.NodeID = row.ID, row.NodeID
	a.drift = append(a.drift, d)
}

// holder gives the row that an item belongs to: by its id, else by its name.
func holder(rows []deploy.Resource, i item) (deploy.Resource, bool) {
	var found deploy.Resource
	for _, row := range rows {
		switch {
		case row.Kind != i.kind || row.State == deploy.ResourceGone:
		case row.CloudID == i.id:
			return row, true
		case i.mayBe(row):
			found = row
		}
	}
	return found, found.ID != 0
}

// mayBe tells whether an item has a row's name. Records need not have names of
// their own, so that there it is only a row without an id that may mean it.
func (i item) mayBe(row deploy.Resource) bool {
	if i.kind != kindA && i.kind != kindPTR {
		return row.Name == i.name
	}
	host, rec := bare(i.name), recordOf(row)
	if i.kind == kindPTR {
		host = i.leads
	}
	return row.CloudID == "" && rec.DNSName != "" && bare(rec.DNSName) == host
}

func (a *comparison) item(ctx context.Context, i item) error {
	row, held := holder(a.rows, i)
	switch {
	case held && row.CloudID == i.id:
		if why := i.differs(row); why != "" {
			a.add(i.drift(deploy.DriftForeign, "the %s is not as the journal has it: %s", i.named(), why), row)
		}
	case held && row.CloudID != "":
		a.add(i.drift(deploy.DriftForeign, "there is a %s, but the one that Slipway made is %s", i.named(), row.CloudID), row)
	case held:
		found, err := (&release{Provider: a.Provider, rows: nodeRows(a.rows, row.NodeID)}).looked(ctx, row)
		if err != nil {
			return err
		}
		if found.foreign != "" {
			a.add(i.drift(deploy.DriftForeign, "there is a %s that Slipway did not make: %s", i.named(), found.foreign), row)
		}
	case a.ours(i):
		a.add(i.drift(deploy.DriftOrphan, "no node holds the %s", i.named()), deploy.Resource{})
	}
	return nil
}

func nodeRows(rows []deploy.Resource, nodeID int64) []deploy.Resource {
	return slices.DeleteFunc(slices.Clone(rows), func(r deploy.Resource) bool { return r.NodeID != nodeID })
}

// differs tells how the thing that a row points to is not what the row says.
func (i item) differs(row deploy.Resource) string {
	rec := recordOf(row)
	switch {
	case i.kind == kindA && bare(i.name) != bare(rec.DNSName):
		return "its name is not " + rec.DNSName
	case i.kind == kindA && i.leads != rec.Address:
		return fmt.Sprintf("it leads to %s and not to %s", i.leads, rec.Address)
	case i.kind == kindPTR && i.leads != bare(rec.DNSName):
		return fmt.Sprintf("it leads to %s and not to %s", i.leads, rec.DNSName)
	case i.kind == kindA, i.kind == kindPTR, rec.Adopted:
		return ""
	case i.name != row.Name:
		return "it was renamed; its name was " + row.Name
	case i.kind == kindServer && !slices.ContainsFunc(i.vnis, func(id string) bool { return slices.Contains(rec.VNIs, id) }):
		return "it is not on the interfaces that were made for it"
	}
	return ""
}

// ours tells whether an item without a row has a name as Slipway gives them.
// Records have the names of nodes: one is Slipway's if Slipway asked for one of
// that name before, or if it has the name of the node whose address it leads
// to. Another name for the address of a node is an alias that people made.
func (a *comparison) ours(i item) bool {
	if i.kind != kindA && i.kind != kindPTR {
		return a.naming().MatchString(i.name)
	}
	host := bare(i.name)
	if i.kind == kindPTR {
		host = i.leads
	} else if a.holds(i.leads) {
		return false
	}
	for _, row := range a.rows {
		rec := recordOf(row)
		asked := row.CloudID != "" || rec.AskedAt != nil
		if row.Kind == i.kind && asked && rec.DNSName != "" && bare(rec.DNSName) == host && (rec.Gone == nil || rec.Gone.Kept == "") {
			return true
		}
	}
	return i.kind == kindA && slices.ContainsFunc(a.items, func(ip item) bool {
		return ip.kind == kindReservedIP && ip.address == i.leads && a.nodeAddress(ip.name, host)
	})
}

// holds tells whether a node holds an address.
func (a *comparison) holds(address string) bool {
	return slices.ContainsFunc(a.rows, func(row deploy.Resource) bool {
		return row.State != deploy.ResourceGone && row.Kind == kindReservedIP && recordOf(row).Address == address
	})
}

// nodeAddress tells whether a reserved IP has the name that the management
// address of the node of a host has, in some deployment.
func (p *Provider) nodeAddress(name, host string) bool {
	found := ordered.FindStringSubmatch(name)
	if found == nil {
		return false
	}
	deployment, err := strconv.ParseInt(found[1], 10, 64)
	generation, gerr := strconv.Atoi(found[2])
	node, _, _ := strings.Cut(host, ".")
	return err == nil && gerr == nil && name == resourceName(p.cfg.Prefix, node, deployment, generation, roleManagement)
}

// ordered takes deployment and generation off the name of a management address.
var ordered = regexp.MustCompile(`-d([0-9]+)-g([0-9]+)-mgmt$`)

// naming is the form of the names that orders give: see resourceName.
func (p *Provider) naming() *regexp.Regexp {
	return regexp.MustCompile(`^` + regexp.QuoteMeta(p.cfg.Prefix) + `[a-z0-9-]+-d[0-9]+-g[0-9]+(-[a-z0-9-]+)?$`)
}

// row reports a row whose thing is not in the lists, after asking for it.
func (a *comparison) row(ctx context.Context, row deploy.Resource) error {
	if row.State != deploy.ResourcePresent || row.CloudID == "" || !slices.Contains(stages, row.Kind) ||
		slices.ContainsFunc(a.items, func(i item) bool { return i.kind == row.Kind && i.id == row.CloudID }) {
		return nil
	}
	if !a.HasNames() && (row.Kind == kindA || row.Kind == kindPTR) {
		return nil // it cannot be asked for
	}
	found, err := (&release{Provider: a.Provider}).looked(ctx, row)
	if err != nil {
		return err
	}
	if found.id == "" {
		a.add(deploy.Drift{Problem: deploy.DriftMissing, Kind: row.Kind, Name: row.Name, CloudID: row.CloudID, Zone: recordOf(row).Zone,
			Message: fmt.Sprintf("%s (%s) is not there any more: %s was answered %s", describe(row), row.CloudID, found.proof.Asked, found.proof.Answer)}, row)
	}
	return nil
}

// RemoveOrphan deletes one thing that Audit called an orphan, after looking
// that no node holds it. The wait for its end is a temporary ProviderError, and
// nil says that it is gone; the call may be repeated at any time. An interface
// that is attached and an address that is bound are never deleted.
func (p *Provider) RemoveOrphan(ctx context.Context, d deploy.Drift) error {
	return asProviderError(p.removeOrphan(ctx, d))
}

func (p *Provider) removeOrphan(ctx context.Context, d deploy.Drift) error {
	if d.CloudID == "" || !slices.Contains(stages, d.Kind) {
		return permanent(deploy.CodeInvalid, "Take one from the audit's list.", "an orphan needs its kind and its id")
	}
	row := deploy.Resource{Kind: d.Kind, Name: d.Name, CloudID: d.CloudID, Provider: deploy.ProviderIBMVPC, Details: record{Subnet: d.Parent, DNSZone: d.Parent}.json()}
	r := &release{Provider: p}
	found, err := r.looked(ctx, row)
	if err != nil || found.id == "" {
		return err
	}
	if err := p.mayRemove(ctx, d, found); err != nil {
		return err
	}
	if err := r.removeUnheld(ctx, row, found); err != nil && !isNotFound(err) {
		return err
	}
	if found, err = r.looked(ctx, row); err != nil {
		return err
	}
	if found.id == "" {
		p.orphans.Delete(d.CloudID)
		return nil
	}
	return waiting(deploy.CodeConflict, waitPending, "the %s %s is being deleted", nouns[d.Kind], d.Name)
}

// removeUnheld asks for the removal of what has no row to keep the progress in.
func (r *release) removeUnheld(ctx context.Context, row deploy.Resource, found thing) error {
	if row.Kind != kindServer {
		return r.remove(ctx, &row, found)
	}
	var so *stopping
	if known, ok := r.orphans.Load(found.id); ok {
		if s, ok := known.(stopping); ok {
			so = &s
		}
	}
	return r.takeDown(ctx, found.server, so, func(_ context.Context, s stopping) error {
		r.orphans.Store(found.id, s)
		return nil
	})
}

// mayRemove refuses what is not what the audit saw, what a node holds, and what
// is in use.
func (p *Provider) mayRemove(ctx context.Context, d deploy.Drift, found thing) error {
	const advice = "Run the audit again."
	if found.name != "" && bare(found.name) != bare(d.Name) {
		return permanent(deploy.CodeConflict, advice, "the %s %s is named %s now", nouns[d.Kind], d.CloudID, found.name)
	}
	if found.held != "" {
		return permanent(deploy.CodeConflict, "Remove what it is attached to first, if that is an orphan as well.", "the %s %s is in use: %s", nouns[d.Kind], d.Name, found.held)
	}
	if d.Kind == kindServer || d.Kind == kindVNI {
		vpc, err := p.findVPC(ctx)
		if err != nil {
			return err
		}
		if found.vpc != value(vpc.ID) {
			return permanent(deploy.CodeConflict, advice, "the %s %s is in another VPC", nouns[d.Kind], d.Name)
		}
	}
	i := item{kind: d.Kind, id: d.CloudID, name: d.Name}
	items := []item{i}
	if d.Kind == kindA || d.Kind == kindPTR {
		var err error
		if items, err = p.inventory(ctx); err != nil {
			return err
		}
		if n := slices.IndexFunc(items, func(other item) bool { return other.kind == d.Kind && other.id == d.CloudID }); n >= 0 {
			i = items[n]
		}
	}
	rows, err := p.journal.All(ctx, deploy.ProviderIBMVPC)
	if err != nil {
		return err
	}
	if row, held := holder(rows, i); held {
		return permanent(deploy.CodeConflict, "Clean up that node's deployment instead.", "%s is no orphan: node %d holds it", describe(row), row.NodeID)
	}
	if a := (&comparison{Provider: p, items: items, rows: rows}); !a.ours(i) {
		return permanent(deploy.CodeConflict, "Delete it in IBM Cloud if it is not needed.", "the %s %s has not the form of a name that Slipway gives", nouns[d.Kind], d.Name)
	}
	return nil
}
