package ibmvpc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
)

// judge makes the findings from what was learnt.
func (s *survey) judge(ctx context.Context) {
	if s.judgeVPC() {
		s.judgeServer()
		s.judgeQuota()
		s.judgeProfile()
		s.judgeSubnets()
		s.judgeAddresses(ctx)
		s.judgeNames()
		s.judgeDNSZone()
		s.judgeImage()
		s.judgeTraffic()
		s.judgeCluster()
		s.judgeKeys()
	}
	if len(s.denied) > 0 {
		s.fail(CheckPermissions, "Check the credentials, and the permissions: Viewer suffices for this plan, Editor on VPC Infrastructure Services and Manager on the DNS Services instance are needed to deploy.",
			"IBM Cloud does not let Slipway in: %s", s.denied[0])
		return
	}
	s.pass(CheckPermissions, "IBM Cloud takes Slipway's credentials and lets it read all that was looked at; whether it may also make things shows in making them")
}

// judgeVPC tells whether the other checks have anything to say: without
// credentials they have not.
func (s *survey) judgeVPC() bool {
	if !s.sorry(CheckVPC, s.vpcFound.err) {
		s.pass(CheckVPC, "%s is there", value(s.vpcFound.value.Name))
		return true
	}
	var e *deploy.ProviderError
	if errors.As(asProviderError(s.vpcFound.err), &e) && e.Code == deploy.CodeUnauthenticated {
		for _, key := range checkKeys[2:] {
			if key == CheckClusterTraffic && s.Spec.ClusterType == "" {
				continue
			}
			s.unknown(key, "IBM Cloud does not take Slipway's credentials")
		}
		return false
	}
	return true
}

func (s *survey) judgeServer() {
	for _, row := range s.held.value {
		if row.Provider == deploy.ProviderIBMVPC && row.Kind == kindServer && row.State != deploy.ResourceIntent && row.HeldBy != s.DeploymentID {
			s.fail(CheckServer, "Clean up that deployment first, or reinitialize the node.", "the node still has the server %s of deployment %d", row.Name, row.HeldBy)
			return
		}
	}
	s.pass(CheckServer, "the node has no server of another deployment")
}

func (s *survey) judgeQuota() {
	if s.sorry(CheckQuota, s.servers.err) {
		return
	}
	have, may := s.servers.value.total, s.cfg.ServerQuota
	switch {
	case may < 0:
		s.pass(CheckQuota, "there are %d bare metal servers in region %s; the account's quota is not set (--ibm-server-quota)", have, s.cfg.Region)
	case have >= may:
		s.fail(CheckQuota, "Release a server, or ask IBM to raise the quota and set --ibm-server-quota.", "the account has %d bare metal servers in region %s and may have %d in all", have, s.cfg.Region, may)
	default:
		s.pass(CheckQuota, "the account has %d bare metal servers in region %s and may have %d in all regions", have, s.cfg.Region, may)
	}
}

func (s *survey) judgeProfile() {
	if s.sorry(CheckProfile, s.profile.err) {
		s.unknown(CheckLocalDisks, "the server profile is not known")
		return
	}
	found := s.profile.value
	name, zone := value(found.Name), s.where.zone
	switch {
	case len(found.zones) == 0:
		s.pass(CheckProfile, "%s is offered in region %s; the API does not tell in which zones", name, s.cfg.Region)
	case zone == "":
		s.pass(CheckProfile, "%s is offered in %s", name, strings.Join(found.zones, ", "))
	case !slices.Contains(found.zones, zone):
		s.add(CheckProfile, deploy.Check{Severity: deploy.CheckError, Field: "server_profile", Hint: "Choose another profile, or a subnet in another zone.",
			Message: fmt.Sprintf("%s is not offered in zone %s (but in: %s)", name, zone, strings.Join(found.zones, ", "))})
	default:
		s.pass(CheckProfile, "%s is offered in zone %s", name, zone)
	}
	d := disksOf(found.BareMetalServerProfile)
	own := len(s.Spec.Storage) > 0 && string(s.Spec.Storage) != "null"
	why := d.why(own)
	switch {
	case why == "":
		s.pass(CheckLocalDisks, "%s", d)
	case d.data == 0:
		s.add(CheckLocalDisks, deploy.Check{Severity: deploy.CheckError, Field: "server_profile", Message: why, Hint: "Choose a profile with d or de before -metal, for instance bx2d-metal-96x384."})
	default:
		s.add(CheckLocalDisks, deploy.Check{Severity: deploy.CheckWarning, Field: "storage", Message: why, Hint: "Say in the order's storage which disks to use, or in --storage-file for the profile."})
	}
}

func (s *survey) judgeSubnets() {
	if s.vpcFound.err != nil {
		for _, key := range []string{CheckSubnets, CheckZone} {
			s.unknown(key, "the VPC is not known")
		}
		return
	}
	for _, err := range s.subnetsBad {
		s.sorry(CheckSubnets, err)
	}
	if len(s.subnetsBad) > 0 {
		s.unknown(CheckZone, "a subnet is not known")
	} else if !s.sorry(CheckZone, s.zoneBad) {
		s.pass(CheckZone, "all subnets lie in %s", s.where.zone)
	}
	needs := map[string]int64{}
	for _, sn := range s.where.all() {
		needs[sn.id]++
	}
	if guests, err := s.inManagement(s.Spec, s.where.management); err == nil {
		needs[s.where.management.id] += int64(len(guests)) - 1
	}
	short := false
	for _, sn := range s.where.all() {
		if need := needs[sn.id]; sn.id != "" && sn.available < need {
			short = true
			needs[sn.id] = 0 // said once
			s.add(CheckSubnets, deploy.Check{Severity: deploy.CheckError, Field: sn.field, Hint: "Choose another subnet, or delete reserved addresses that nobody uses.",
				Message: fmt.Sprintf("the subnet %s has %d free addresses, and %d are needed", sn.name, sn.available, need)})
		}
	}
	if len(s.subnetsBad) == 0 && !short {
		s.pass(CheckSubnets, "%s, %s, has %d free addresses; %s in all", s.where.management.name, s.where.management.cidr, s.where.management.available, counted(len(s.where.all()), "subnet"))
	}
}

func (s *survey) judgeAddresses(ctx context.Context) {
	s.planned = map[string]string{}
	sn := s.where.management
	if sn.id == "" {
		s.unknown(CheckAddresses, "the management subnet is not known")
		return
	}
	needed, err := s.inManagement(s.Spec, sn)
	if s.sorry(CheckAddresses, err) || s.sorry(CheckAddresses, s.reserved.err) {
		return
	}
	taken := poolOf(s.reserved.value)
	for _, row := range s.held.value { // what this deployment has is not in its way
		if a, err := netip.ParseAddr(recordOf(row).Address); err == nil && row.Kind == kindReservedIP && row.HeldBy == s.DeploymentID && row.State == deploy.ResourcePresent {
			delete(taken, a)
		}
	}
	bad := false
	for _, w := range needed {
		a, err := s.planAddress(ctx, w, taken)
		if s.sorry(CheckAddresses, err) {
			bad = true
			continue
		}
		if w.role == roleManagement || a != "" {
			s.planned[w.role] = a
		}
	}
	if bad {
		return
	}
	var said []string
	for _, w := range needed {
		a := s.planned[w.role]
		if a == "" {
			a = "any"
		}
		said = append(said, w.role+" "+a)
	}
	s.pass(CheckAddresses, "as things are now: %s", strings.Join(said, ", "))
}

// planAddress is what Order would ask for; empty for any.
func (s *survey) planAddress(ctx context.Context, w wanted, taken pool) (string, error) {
	if w.free() {
		return "", nil
	}
	if w.chosen() {
		a, err := s.choose(ctx, w, s.NodeID, taken, func(netip.Addr) bool { return true })
		if parsed, perr := netip.ParseAddr(a); perr == nil {
			taken[parsed] = "this node" // the next role needs another
		}
		return a, err
	}
	a, err := netip.ParseAddr(w.explicit)
	if err != nil {
		return "", permanent(deploy.CodeInvalid, "Name an address of the subnet, or none.", "%s: %s is no address", w.field, w.explicit)
	}
	if by, is := taken[a]; is {
		return "", permanent(deploy.CodeConflict, "Choose another "+w.field+", or none; or clean up what holds it.", "%s: the address %s is reserved as %q in subnet %s already", w.field, a, by, w.sn.name)
	}
	if s.cfg.Holder != nil {
		node, err := s.cfg.Holder(ctx, s.NodeID, w.explicit)
		if err != nil {
			return "", fmt.Errorf("looking for the holder of %s: %w", a, err)
		}
		if node != "" {
			return "", permanent(deploy.CodeConflict, "Choose another "+w.field+", or none.", "%s: the node %s has the address %s", w.field, node, a)
		}
	}
	taken[a] = "this node"
	return w.explicit, nil
}

// judgeNames looks for what would be in the way of the node's names.
func (s *survey) judgeNames() {
	ours := map[string]bool{}
	for _, row := range s.held.value {
		ours[row.CloudID] = row.CloudID != ""
	}
	open := s.sorry(CheckNames, s.servers.err)
	open = s.sorry(CheckNames, s.vnis.err) || open
	// An order's own names are known once it has a number; before that, what
	// an earlier one of the same node left behind is worth knowing.
	pattern := regexp.MustCompile(`^` + regexp.QuoteMeta(s.cfg.Prefix+s.NodeName) + `-d\d+-g\d+(-[a-z0-9]+)?$`)
	bad := false
	look := func(what, id, name string) {
		exact := s.DeploymentID > 0 && strings.HasPrefix(name, resourceName(s.cfg.Prefix, s.NodeName, s.DeploymentID, 1, ""))
		switch {
		case ours[id] || !pattern.MatchString(name) && !exact:
		case exact:
			bad = true
			s.fail(CheckNames, "Rename or delete it in IBM Cloud, or give this Slipway another name prefix.", "there is a %s named %s already, and it is not in the journal", what, name)
		default:
			bad = true
			s.warn(CheckNames, "See the orphans of this provider: it costs money and may hold an address.", "IBM Cloud still has the %s %s of an earlier deployment of this node", what, name)
		}
	}
	for _, server := range s.servers.value.all {
		look("bare metal server", value(server.ID), value(server.Name))
	}
	for _, v := range s.vnis.value {
		if v.VPC != nil && value(v.VPC.ID) == s.where.vpcID {
			look("virtual network interface", value(v.ID), value(v.Name))
		}
	}
	bad = s.judgeRecords(ours) || bad
	if !bad && !open {
		s.pass(CheckNames, "nothing is in the way of %s", s.NodeName)
	}
}

// judgeRecords tells whether the names in DNS of node and controller VM lead, or
// would lead, to two places, and whether the cluster's address has one already;
// the name of a cluster is its request's affair.
func (s *survey) judgeRecords(ours map[string]bool) (bad bool) {
	if !s.HasNames() || s.dnsZone.err != nil { // the zone's own check says so
		return false
	}
	bad = s.sorry(CheckNames, s.aRecords.err)
	bad = s.sorry(CheckNames, s.ptrs.err) || bad
	bad = s.judgeHost(ours, s.NodeName+"."+s.dnsZone.value.name, s.planned[roleManagement]) || bad
	if cvm := s.planned[roleCVM]; cvm != "" {
		bad = s.judgeHost(ours, deploy.CVMHost(s.NodeName)+"."+s.dnsZone.value.name, cvm) || bad
	}
	if vip := s.planned[roleCluster]; vip != "" {
		bad = s.judgeHost(ours, "", vip) || bad
	}
	return bad
}

// judgeHost looks for records of others for a name and its address; without a
// name, for any of the address.
func (s *survey) judgeHost(ours map[string]bool, host, management string) (bad bool) {
	advice := adviceA("name the node differently")
	for _, rr := range s.aRecords.value {
		ip, _ := rr.Rdata["ip"].(string)
		switch {
		case host == "" || bare(value(rr.Name)) != host || ours[value(rr.ID)]:
		case ip != management:
			bad = true
			s.fail(CheckNames, advice, "the name %s has an A record already, for %s", host, ip)
		case !s.askedFor(kindA, host):
			bad = true
			s.fail(CheckNames, advice, "the name %s has an A record for %s already, and Slipway did not make it", host, ip)
		}
	}
	address, err := netip.ParseAddr(management)
	if err != nil || !address.Is4() {
		return bad
	}
	for _, rr := range s.ptrs.value {
		name, to := bare(value(rr.Name)), ""
		to, _ = rr.Rdata["ptrdname"].(string)
		switch {
		case name != management && name != reverse(address) || ours[value(rr.ID)]:
		case bare(to) != host:
			bad = true
			s.fail(CheckNames, advicePTR, "the address %s has a PTR record already, for %s", management, to)
		case !s.askedFor(kindPTR, host):
			bad = true
			s.fail(CheckNames, advicePTR, "the address %s has a PTR record for %s already, and Slipway did not make it", management, to)
		}
	}
	return bad
}

// askedFor tells whether the node has asked for a record of a host, so that one
// may be its own.
func (s *survey) askedFor(kind, host string) bool {
	return slices.ContainsFunc(s.held.value, func(row deploy.Resource) bool {
		return row.Provider == deploy.ProviderIBMVPC && row.Kind == kind && row.State != deploy.ResourceIntent && bare(recordOf(row).DNSName) == host
	})
}

func (s *survey) judgeDNSZone() {
	switch {
	case !s.HasNames():
		s.pass(CheckDNSZone, "no DNS zone is set, so that no names are registered")
	case !s.sorry(CheckDNSZone, s.dnsZone.err):
		s.pass(CheckDNSZone, "%s is active", s.dnsZone.value.name)
	}
}

func (s *survey) judgeImage() {
	switch {
	case s.sorry(CheckBootImage, s.image.err):
	case s.Spec.Image == "":
		s.pass(CheckBootImage, "%s, the newest", value(s.image.value.Name))
	default:
		s.pass(CheckBootImage, "%s", value(s.image.value.Name))
	}
}

func (s *survey) judgeKeys() {
	switch {
	case s.keyIDs.err != nil:
		for _, err := range each(s.keyIDs.err) {
			s.sorry(CheckSSHKeys, err)
		}
	case len(s.Spec.Keys) > 0:
		s.pass(CheckSSHKeys, "%s; a network boot ignores them", strings.Join(s.Spec.Keys, ", "))
	case len(s.cfg.SSHKeys) == 0:
		s.pass(CheckSSHKeys, "none are set; a network boot needs none")
	default:
		s.pass(CheckSSHKeys, "%s", strings.Join(s.cfg.SSHKeys, ", "))
	}
}

// each takes joined errors apart.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// counted is a number of things in words.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
