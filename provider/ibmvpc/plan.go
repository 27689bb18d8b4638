package ibmvpc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/IBM/networking-go-sdk/dnssvcsv1"
	"github.com/IBM/vpc-go-sdk/vpcv1"
	"golang.org/x/sync/errgroup"

	"github.com/slipwayhq/slipway/deploy"
)

// The keys of Plan's checks, in the order in which they are given.
const (
	CheckPermissions = "permissions"  // the credentials are taken, and may read what is needed
	CheckVPC         = "vpc"          // the VPC of the settings exists
	CheckServer      = "server"       // the node has no server yet
	CheckQuota       = "quota"        // the account may have one more
	CheckZone        = "zone"         // the zone exists, and the subnets lie in it
	CheckProfile     = "profile"      // the server profile exists, and is offered in the zone
	CheckLocalDisks  = "local_disks"  // it has the disks that an installation needs
	CheckSubnets     = "subnets"      // the subnets exist and have free addresses
	CheckAddresses   = "addresses"    // the addresses are free, the ranges not used up
	CheckNames       = "names"        // the names in IBM Cloud and in DNS are free
	CheckDNSZone     = "dns_zone"     // the DNS zone exists and is active
	CheckBootImage   = "boot_image"   // there is an image that boots from the network
	CheckBootTraffic = "boot_traffic" // the security groups let the machine boot and be logged in to
	// CheckClusterTraffic is of members of a cluster alone: the security groups let
	// Slipway in to controller VMs, and these reach each other.
	CheckClusterTraffic = "cluster_traffic"
	CheckSSHKeys        = "ssh_keys" // the SSH keys of the order, or of the settings, exist
)

// atOnce is how many calls a plan or an offer makes at the same time.
const atOnce = 4

var (
	_ deploy.Planner = (*Provider)(nil)
	_ deploy.Offerer = (*Provider)(nil)
)

// Plan goes the way of Order without its effects, and gives all findings at
// once: nothing is made, and no finding hides another one, but for what cannot
// be looked at without it; that check says so. An error is for when IBM Cloud
// does not answer at all.
func (p *Provider) Plan(ctx context.Context, o deploy.Order) ([]deploy.Check, error) {
	p.seen.forget() // a plan is of now
	s := &survey{Provider: p, Order: o}
	if err := s.look(ctx); err != nil {
		return nil, asProviderError(err)
	}
	s.judge(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.findings(), nil
}

// fact is the answer to one question, or why there is none.
type fact[T any] struct {
	value T
	err   error
}

// learn asks beside the other questions of a group.
func learn[T any](g *errgroup.Group, into *fact[T], ask func() (T, error)) {
	g.Go(func() error {
		into.value, into.err = ask()
		return nil
	})
}

// survey is all that a plan asks for, and then what it thinks of it.
type survey struct {
	*Provider
	deploy.Order

	held     fact[[]deploy.Resource]
	vpcFound fact[vpcv1.VPC]
	servers  fact[serverList]
	keyIDs   fact[[]string]
	image    fact[vpcv1.Image]
	profile  fact[profile]
	dnsZone  fact[zone]
	aRecords fact[[]dnssvcsv1.ResourceRecord]
	ptrs     fact[[]dnssvcsv1.ResourceRecord]
	boot     fact[[]netip.Addr]
	groups   fact[[]vpcv1.SecurityGroup]
	vnis     fact[[]vpcv1.VirtualNetworkInterface]
	reserved fact[[]vpcv1.ReservedIP]

	where      site
	subnetsBad []error
	zoneBad    error

	planned map[string]string // addresses by role, as far as they are known
	denied  []string          // what Slipway may not read
	checks  map[string][]deploy.Check
}

// look asks everything, what does not depend on another at the same time.
func (s *survey) look(ctx context.Context) error {
	if s.NodeID > 0 {
		s.held.value, s.held.err = s.journal.Held(ctx, s.NodeID)
		if s.held.err != nil {
			return s.held.err
		}
	}
	// The first question alone: whether IBM Cloud answers.
	s.vpcFound.value, s.vpcFound.err = s.findVPC(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	var e *deploy.ProviderError
	if errors.As(asProviderError(s.vpcFound.err), &e) && (e.Temporary || e.Code == deploy.CodeUnauthenticated) {
		if e.Temporary {
			return s.vpcFound.err
		}
		return nil // no credentials: everything else would fail alike
	}
	var g errgroup.Group
	g.SetLimit(atOnce)
	s.lookAtAccount(ctx, &g)
	if s.vpcFound.err == nil {
		s.where.vpcID = value(s.vpcFound.value.ID)
		learn(&g, &s.groups, func() ([]vpcv1.SecurityGroup, error) { return s.findSecurityGroups(ctx, s.Spec, s.vpcFound.value) })
		g.Go(func() error {
			s.lookAtSubnets(ctx)
			return nil
		})
	}
	_ = g.Wait() // every question keeps its own error
	return ctx.Err()
}

func (s *survey) lookAtAccount(ctx context.Context, g *errgroup.Group) {
	learn(g, &s.servers, func() (serverList, error) { return s.listServers(ctx) })
	learn(g, &s.keyIDs, func() ([]string, error) { return s.findKeys(ctx, s.Spec) })
	learn(g, &s.image, func() (vpcv1.Image, error) { return s.findBootImage(ctx, s.Spec) })
	learn(g, &s.profile, func() (profile, error) { return s.findProfile(ctx, s.Spec.ServerProfile, "") })
	learn(g, &s.vnis, func() ([]vpcv1.VirtualNetworkInterface, error) { return s.listVNIs(ctx) })
	learn(g, &s.boot, func() ([]netip.Addr, error) { return s.bootAddresses(ctx) })
	if s.HasNames() {
		g.Go(func() error {
			s.lookAtDNS(ctx)
			return nil
		})
	}
}

func (s *survey) lookAtSubnets(ctx context.Context) {
	if s.subnetsBad = s.findSubnets(ctx, s.Spec, &s.where); len(s.subnetsBad) == 0 {
		s.zoneBad = s.checkZone(ctx, s.Spec, &s.where)
	}
	if sn := s.where.management; sn.id != "" {
		s.reserved.value, s.reserved.err = s.reservedIn(ctx, sn)
	}
}

// lookAtDNS reads the zone and its records, in the turn of those who write.
func (s *survey) lookAtDNS(ctx context.Context) {
	select {
	case s.dnsTurn <- struct{}{}:
		defer func() { <-s.dnsTurn }()
	case <-ctx.Done():
		s.dnsZone.err = ctx.Err()
		return
	}
	if s.dnsZone.value, s.dnsZone.err = s.findZone(ctx); s.dnsZone.err != nil {
		return
	}
	for recordType, into := range map[string]*fact[[]dnssvcsv1.ResourceRecord]{typeA: &s.aRecords, typePTR: &s.ptrs} {
		into.value, into.err = list(ctx, s.Provider, "listing "+recordType+" records", func() (*dnssvcsv1.ResourceRecordsPager, error) {
			return s.dns.NewResourceRecordsPager(s.dns.NewListResourceRecordsOptions(s.cfg.DNSInstance, s.dnsZone.value.id).SetType(recordType))
		})
	}
}

// labels are the checks' names for people.
var labels = map[string]string{
	CheckPermissions: "Credentials and permissions", CheckVPC: "Virtual private cloud", CheckServer: "The node's present server",
	CheckQuota: "Quota of bare metal servers", CheckZone: "Zone", CheckProfile: "Server profile", CheckLocalDisks: "Local disks",
	CheckSubnets: "Subnets", CheckAddresses: "Addresses", CheckNames: "Names", CheckDNSZone: "DNS zone",
	CheckBootImage: "Image for network boot", CheckBootTraffic: "Boot and login traffic", CheckClusterTraffic: "Traffic of the cluster", CheckSSHKeys: "SSH keys",
}

var checkKeys = []string{CheckPermissions, CheckVPC, CheckServer, CheckQuota, CheckZone, CheckProfile, CheckLocalDisks, CheckSubnets,
	CheckAddresses, CheckNames, CheckDNSZone, CheckBootImage, CheckBootTraffic, CheckClusterTraffic, CheckSSHKeys}

func (s *survey) findings() []deploy.Check {
	var all []deploy.Check
	for _, key := range checkKeys {
		all = append(all, s.checks[key]...)
	}
	return all
}

func (s *survey) add(key string, c deploy.Check) {
	if s.checks == nil {
		s.checks = map[string][]deploy.Check{}
	}
	c.Key, c.Label = key, labels[key]
	s.checks[key] = append(s.checks[key], c)
}

func (s *survey) pass(key, format string, args ...any) {
	s.add(key, deploy.Check{Severity: deploy.CheckError, Passed: true, Message: fmt.Sprintf(format, args...)})
}

func (s *survey) warn(key, hint, format string, args ...any) {
	s.add(key, deploy.Check{Severity: deploy.CheckWarning, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (s *survey) fail(key, hint, format string, args ...any) {
	s.add(key, deploy.Check{Severity: deploy.CheckError, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// unknown says that a check could not be made.
func (s *survey) unknown(key, why string) {
	s.warn(key, "Cure that first, then plan again.", "not checked because %s", why)
}

// sorry judges an error: a refusal of ours is a finding that says what field is
// to blame; what may not be read, or was not answered, leaves the check open.
// It tells whether there was one.
func (s *survey) sorry(key string, err error) bool {
	if err == nil {
		return false
	}
	var e *deploy.ProviderError
	if !errors.As(asProviderError(err), &e) {
		e = &deploy.ProviderError{Message: err.Error(), Temporary: true}
	}
	switch {
	case e.Code == deploy.CodeUnauthenticated || e.Code == deploy.CodeForbidden:
		s.denied = append(s.denied, e.Message)
		s.unknown(key, "IBM Cloud does not let Slipway look: "+e.Message)
	case e.Temporary:
		s.unknown(key, e.Message)
	default:
		field, message := fieldOf(e.Message)
		s.add(key, deploy.Check{Severity: deploy.CheckError, Message: message, Hint: e.Hint, Field: field})
	}
	return true
}

// fieldOf takes the field off a message that begins with one.
func fieldOf(message string) (field, rest string) {
	field, rest, found := strings.Cut(message, ": ")
	if !found || field == "" || strings.Trim(field, "abcdefghijklmnopqrstuvwxyz0123456789_.") != "" {
		return "", message
	}
	return field, rest
}
