package ibmvpc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// addressRange is a run of IPv4 addresses, both ends included.
type addressRange struct{ first, last netip.Addr }

func (r addressRange) contains(a netip.Addr) bool {
	return a.Compare(r.first) >= 0 && a.Compare(r.last) <= 0
}

// parseRanges reads "10.0.0.20-10.0.0.60,10.0.1.20-10.0.1.60"; a single address
// is a range of one.
func parseRanges(text string) ([]addressRange, error) {
	var ranges []addressRange
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		from, to, found := strings.Cut(part, "-")
		if !found {
			to = from
		}
		first, err := netip.ParseAddr(strings.TrimSpace(from))
		if err != nil {
			return nil, err
		}
		last, err := netip.ParseAddr(strings.TrimSpace(to))
		if err != nil {
			return nil, err
		}
		if !first.Is4() || !last.Is4() || last.Less(first) {
			return nil, fmt.Errorf("%s is no range of IPv4 addresses", part)
		}
		ranges = append(ranges, addressRange{first, last})
	}
	return ranges, nil
}

// wanted is an address that an order needs.
type wanted struct {
	role     string
	sn       subnet
	field    string // of the order's specification that can name it; empty if none can
	explicit string // as the order names it
	setting  string // flag that sets the range
	text     string // the range as it is set
	ranges   []addressRange
}

// free says that IBM Cloud may choose: nobody cares which address it is.
func (w *wanted) free() bool { return w.explicit == "" && len(w.ranges) == 0 }

// chosen says that Slipway chooses, so that the next one will do as well.
func (w *wanted) chosen() bool { return w.explicit == "" && len(w.ranges) > 0 }

// inManagement are the addresses that the order needs in the management
// subnet: the server's own, those of its guests, and that of the cluster which
// it creates.
func (p *Provider) inManagement(spec deploy.Spec, sn subnet) ([]wanted, error) {
	all := []wanted{
		{role: roleManagement, field: "management_ip", explicit: spec.ManagementIP, setting: "--ibm-management-range", text: p.cfg.ManagementRange},
		{role: roleAHV, field: "ahv_ip", explicit: spec.AHVIP, setting: "--ibm-ahv-range", text: p.cfg.AHVRange},
		{role: roleCVM, field: "cvm_ip", explicit: spec.CVMIP, setting: "--ibm-cvm-range", text: p.cfg.CVMRange},
	}
	if spec.ClusterVIP != "" {
		all = append(all, wanted{role: roleCluster, field: "cluster_vip", explicit: spec.ClusterVIP})
	}
	seen := map[netip.Addr]string{}
	var needed []wanted
	for _, w := range all {
		if (w.role == roleAHV || w.role == roleCVM) && !p.guest(w, spec.ClusterType != "") {
			if w.explicit != "" {
				return nil, permanent(deploy.CodeInvalid, "Leave the address out, or let nodes have addresses for AHV and CVM (--ibm-guest-addresses).",
					"%s: the settings say that nodes get no addresses for AHV and CVM", w.field)
			}
			continue
		}
		w.sn = sn
		var err error
		if w.ranges, err = parseRanges(w.text); err != nil { // was checked at the start
			return nil, err
		}
		if w.explicit != "" {
			err = w.checkExplicit(seen)
		} else {
			err = w.checkRanges()
		}
		if err != nil {
			return nil, err
		}
		needed = append(needed, w)
	}
	return needed, nil
}

// guest tells whether the node gets an address of this role. A member of a
// cluster cannot do without.
func (p *Provider) guest(w wanted, clustered bool) bool {
	switch p.cfg.GuestAddresses {
	case GuestsOn:
		return true
	case GuestsOff:
		return false
	case GuestsAuto:
	}
	return w.explicit != "" || w.text != "" || clustered
}

// checkExplicit holds what can be known of an address without asking: it lies
// in the subnet, is none of the five that are IBM's, and is named once.
func (w *wanted) checkExplicit(seen map[netip.Addr]string) error {
	prefix, err := netip.ParsePrefix(w.sn.cidr)
	if err != nil { // IBM says what it has; an answer without it is no reason to refuse
		return nil //nolint:nilerr // said above
	}
	a, err := netip.ParseAddr(w.explicit)
	if err != nil || !prefix.Contains(a) {
		return permanent(deploy.CodeInvalid, "Name an address of the subnet, or none.", "%s: %s is not in the subnet %s, %s", w.field, w.explicit, w.sn.name, w.sn.cidr)
	}
	if !usable(prefix, a) {
		return permanent(deploy.CodeInvalid, "IBM keeps the first four addresses of every subnet and the last. Name another, or none.",
			"%s: %s is one of the five addresses of the subnet %s that are IBM's own", w.field, w.explicit, w.sn.name)
	}
	if other := seen[a]; other != "" {
		return permanent(deploy.CodeInvalid, "Give each its own address.", "%s: %s is the %s already", w.field, w.explicit, other)
	}
	seen[a] = w.field
	return nil
}

// checkRanges keeps the ranges that have to do with the subnet; if there are
// ranges, one must.
func (w *wanted) checkRanges() error {
	if len(w.ranges) == 0 {
		return nil
	}
	prefix, err := netip.ParsePrefix(w.sn.cidr)
	if err != nil {
		return permanent(deploy.CodeUpstreamUnavailable, "Look at the subnet in IBM Cloud.", "IBM Cloud gives the subnet %s the network %q, which is none", w.sn.name, w.sn.cidr)
	}
	var here []addressRange
	for _, r := range w.ranges {
		if prefix.Contains(r.first) || prefix.Contains(r.last) || r.contains(prefix.Addr()) {
			here = append(here, r)
		}
	}
	if w.ranges = here; len(here) == 0 {
		return permanent(deploy.CodeInvalid, "Set a range that lies in the subnet ("+w.setting+"; several with commas between them), restart Slipway and deploy again; or name "+w.field+" in the order.",
			"%s: the range %s has no address of the subnet %s, %s", w.field, w.text, w.sn.name, w.sn.cidr)
	}
	return nil
}

// usable tells whether an address of a subnet is anybody's: the first four and
// the last are the provider's (IBM Cloud docs, "About networking for VPC").
func usable(prefix netip.Prefix, a netip.Addr) bool {
	if !prefix.Contains(a) {
		return false
	}
	reserved := prefix.Masked().Addr()
	for range 4 {
		if a == reserved {
			return false
		}
		reserved = reserved.Next()
	}
	next := a.Next()
	return next.IsValid() && prefix.Contains(next)
}

// pool is what is taken in a subnet, by whom.
type pool map[netip.Addr]string

func poolOf(reserved []vpcv1.ReservedIP) pool {
	taken := pool{}
	for _, ip := range reserved {
		if a, err := netip.ParseAddr(value(ip.Address)); err == nil {
			taken[a] = value(ip.Name)
		}
	}
	return taken
}

// reservedIn lists a subnet's reserved addresses, all pages.
func (p *Provider) reservedIn(ctx context.Context, sn subnet) ([]vpcv1.ReservedIP, error) {
	return list(ctx, p, "listing reserved addresses", func() (*vpcv1.SubnetReservedIpsPager, error) {
		return p.vpc.NewSubnetReservedIpsPager(p.vpc.NewListSubnetReservedIpsOptions(sn.id).SetLimit(pageSize))
	})
}

// choose gives the lowest address of the ranges that is nobody's: not reserved
// in the subnet, not held by another node, not being asked for by another order
// of this process. keep claims it for that; it may refuse.
func (p *Provider) choose(ctx context.Context, w wanted, nodeID int64, taken pool, keep func(netip.Addr) bool) (string, error) {
	prefix, err := netip.ParsePrefix(w.sn.cidr)
	if err != nil {
		return "", err
	}
	busy := false
	for _, r := range w.ranges {
		for a := r.first; a.IsValid() && r.contains(a); a = a.Next() {
			if _, is := taken[a]; is || !usable(prefix, a) {
				continue
			}
			if p.cfg.Holder != nil {
				holder, err := p.cfg.Holder(ctx, nodeID, a.String())
				if err != nil {
					return "", fmt.Errorf("looking for the holder of %s: %w", a, err)
				}
				if holder != "" {
					taken[a] = "node " + holder
					continue
				}
			}
			if keep(a) {
				return a.String(), nil
			}
			busy = true
		}
	}
	if busy { // other orders are asking for the last ones, and may yet fail
		return "", waiting(deploy.CodeConflict, waitConflict, "%s: the last free addresses of %s are being taken by other orders", w.field, w.text)
	}
	return "", permanent(deploy.CodeQuotaExceeded, "Clean up nodes that are not needed, delete reserved addresses of the subnet that nobody uses, or extend the range ("+w.setting+"); then retry.",
		"%s: the range %s of the subnet %s is used up", w.field, w.text, w.sn.name)
}

// claims are the addresses that orders of this process have lately asked for,
// so that orders at once, or shortly after one another, do not run for the same
// one. Between processes the refusal of IBM Cloud decides.
type claims struct {
	mu sync.Mutex
	by map[string]claim
}

type claim struct {
	owner string
	until time.Time
}

// claimedFor is how long a claim lasts: until no list of reserved addresses is
// believed any more that was read before.
const claimedFor = 2 * seenFor

func (c *claims) take(key, owner string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.by, func(_ string, of claim) bool { return now.After(of.until) })
	if of, is := c.by[key]; is && of.owner != owner {
		return false
	}
	if c.by == nil {
		c.by = map[string]claim{}
	}
	c.by[key] = claim{owner, now.Add(claimedFor)}
	return true
}

// addressTaken is somebody else's hold on an address that was asked for.
type addressTaken struct {
	*deploy.ProviderError
	address string
}

// As lets the refusal be seen as the failure that it is if nothing else helps.
func (e *addressTaken) As(target any) bool {
	if to, ok := target.(**deploy.ProviderError); ok {
		*to = e.ProviderError
		return true
	}
	return false
}

// address makes the reserved IP that is wanted. One that Slipway chose and that
// somebody else was quicker to take is replaced by the next: the row in the
// journal is then back at its intent and becomes doubtful with the new address
// before that is asked for.
func (j *job) address(ctx context.Context, w wanted) (*vpcv1.ReservedIP, error) {
	if !w.chosen() {
		return j.reserve(ctx, w, w.explicit)
	}
	owner := fmt.Sprintf("%d/%s", j.DeploymentID, w.role)
	keep := func(a netip.Addr) bool { return j.claims.take(w.sn.id+"/"+a.String(), owner, j.now()) }
	// What was planned before stays the plan, above all if it was asked for.
	address := recordOf(j.held(kindReservedIP, w.role)).Address
	for {
		if address == "" {
			var err error
			if address, err = j.nextAddress(ctx, w, keep); err != nil {
				return nil, err
			}
		}
		ip, err := j.reserve(ctx, w, address)
		var taken *addressTaken
		if !errors.As(err, &taken) {
			return ip, err
		}
		if a, perr := netip.ParseAddr(taken.address); perr == nil {
			j.pools[w.sn.id][a] = "somebody else" // findReserved has just listed the subnet
		}
		address = ""
	}
}

// nextAddress chooses from what was free a moment ago, and if there was
// nothing, from what is free now.
func (j *job) nextAddress(ctx context.Context, w wanted, keep func(netip.Addr) bool) (string, error) {
	if j.pools[w.sn.id] == nil {
		reserved, err := remembered(ctx, j.Provider, reservedKey(w.sn), func() ([]vpcv1.ReservedIP, error) { return j.reservedIn(ctx, w.sn) })
		if err != nil {
			return "", err
		}
		j.pools[w.sn.id] = poolOf(reserved)
	}
	address, err := j.choose(ctx, w, j.NodeID, j.pools[w.sn.id], keep)
	var e *deploy.ProviderError
	if !errors.As(err, &e) || e.Temporary {
		return address, err
	}
	if err := j.relist(ctx, w.sn); err != nil {
		return "", err
	}
	return j.choose(ctx, w, j.NodeID, j.pools[w.sn.id], keep)
}

func reservedKey(sn subnet) string { return "reserved/" + sn.id }

// relist reads what is taken in a subnet now, for this order and for others.
func (j *job) relist(ctx context.Context, sn subnet) error {
	reserved, err := j.reservedIn(ctx, sn)
	if err != nil {
		return err
	}
	j.listed(sn, reserved)
	return nil
}

func (j *job) listed(sn subnet, reserved []vpcv1.ReservedIP) {
	j.pools[sn.id] = poolOf(reserved)
	j.seen.keep(reservedKey(sn), j.now(), reserved)
}
