package cluster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Request asks for a cluster, or for more nodes in one.
type Request struct {
	Name             string
	Type             cvm.Type      // empty: by the number of nodes
	Operation        cvm.Operation // empty: create_new
	ClusterID        int64         // of join_existing, or Name
	RedundancyFactor int           // 0: by the number of nodes
	VIP              string
	DNSServers       []string
	NTPServers       []string
	SkipDiscovery    bool
	Nodes            []NodeRequest
	Maintenance      bool
	IdempotencyKey   string
	Actor            deploy.Actor
}

// NodeRequest is one node of a request: a new one, or a registered one that is
// to be deployed, with a specification; or, without one, a node that is deployed,
// or was given up when it waited for another cluster, and becomes a member as it
// is.
type NodeRequest struct {
	NodeID int64  // an existing node, or Name
	Name   string // of a new or an existing node
	Spec   *deploy.Spec
	Labels map[string]string
}

// asked is a node of a request with what is known of it.
type asked struct {
	NodeRequest
	id         int64 // 0 = it is new
	provider   string
	deployment int64 // the current one
	state      string
	cvmIP      string
	installer  string
	deployed   bool // it is taken as it is
}

// Plan is what would become of a request now. Fields are paths into the request:
// vip, nodes.0.spec.zone.
type Plan struct {
	OK        bool
	Checks    []deploy.Check // of the cluster
	Nodes     []NodePlan
	Estimated time.Duration // the slowest node's, once it has left the queue; 0 = not known
	Command   string        // what the first node's controller VM would be told, as far as addresses are known
}

// NodePlan is the check-list of one node.
type NodePlan struct {
	Name   string
	Checks []deploy.Check
}

// Plan goes through everything that a request needs, and changes nothing.
func (s *Service) Plan(ctx context.Context, r Request) (Plan, error) {
	nodes, into, bad, err := s.resolve(ctx, r)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{OK: len(bad) == 0}
	for _, f := range bad {
		p.Checks = append(p.Checks, deploy.Check{Key: firstOf(f.Key, string(f.Code)), Label: "Cluster", Severity: deploy.CheckError, Message: f.Field + " " + f.Message, Field: f.Field})
	}
	if p.OK {
		p.Checks = append(p.Checks, deploy.Check{Key: "cluster", Label: "Cluster", Severity: deploy.CheckError, Passed: true, Message: s.words(r, nodes, into)})
	}
	p.Checks = append(p.Checks, s.checkSlots(nodes)...)
	for i, n := range nodes {
		one := NodePlan{Name: n.Name, Checks: []deploy.Check{}}
		if n.deployed {
			one.Checks = append(one.Checks, deploy.Check{Key: "deployed", Label: "Node", Severity: deploy.CheckError, Passed: true, Message: n.Name + " is installed and becomes a member as it is"})
		} else if n.Spec != nil {
			plan, err := s.deps.Planner.Plan(ctx, n.Name, s.specOf(r, n, i, into))
			if err != nil {
				return p, err
			}
			for _, c := range plan.Checks {
				if c.Field != "" {
					c.Field = fmt.Sprintf("nodes.%d.%s", i, c.Field)
				}
				one.Checks = append(one.Checks, c)
			}
			p.OK = p.OK && plan.OK
			p.Estimated = max(p.Estimated, plan.Estimated)
		}
		p.Nodes = append(p.Nodes, one)
	}
	if into == nil && len(bad) == 0 {
		p.Command, _ = s.cvmRequest(r, nodes, nil, nil).Spec().Command()
	}
	return p, nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// words say what would be made.
func (s *Service) words(r Request, nodes []asked, into *Cluster) string {
	if into != nil {
		return fmt.Sprintf("%d more for the cluster %s, which has %d", len(nodes), into.Name, len(into.Formed()))
	}
	rf := r.RedundancyFactor
	if rf == 0 {
		rf = cvm.DefaultRedundancyFactor(len(nodes))
	}
	return fmt.Sprintf("a cluster of %d, redundancy factor %d; %s creates it", len(nodes), rf, nodes[0].Name)
}

// checkSlots warns if the nodes cannot all be installed at the same time.
func (s *Service) checkSlots(nodes []asked) []deploy.Check {
	n := 0
	for _, a := range nodes {
		if !a.deployed {
			n++
		}
	}
	if s.deps.Slots == 0 || n <= s.deps.Slots {
		return nil
	}
	return []deploy.Check{{Key: "slots_cluster", Label: "Slots", Severity: deploy.CheckWarning, Message: fmt.Sprintf("%d nodes are to be installed, and %d may be at once: the others wait meanwhile", n, s.deps.Slots)}}
}

// resolve finds the nodes of a request and tells all that is wrong with it. into
// is the cluster that is to be joined, nil for a new one.
func (s *Service) resolve(ctx context.Context, r Request) (nodes []asked, into *Cluster, bad []deploy.FieldError, err error) {
	if into, bad, err = s.existing(ctx, r); err != nil {
		return nil, nil, nil, err
	}
	for i, n := range r.Nodes {
		a, wrong, err := s.ask(ctx, fmt.Sprintf("nodes.%d", i), n)
		if err != nil {
			return nil, nil, nil, err
		}
		bad = append(bad, wrong...)
		nodes = append(nodes, a)
	}
	if len(r.IdempotencyKey) > 200 {
		bad = append(bad, deploy.FieldError{Field: "idempotency_key", Code: deploy.CodeOutOfRange, Message: "is longer than 200 characters"})
	}
	texts := r
	bad = append(bad, s.checkTexts(texts)...)
	bad = append(bad, checkAddress(r, nodes)...)
	taken, err := s.taken(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if r.Operation == cvm.OperationJoin && into == nil {
		return nodes, into, bad, nil
	}
	for _, f := range cvm.Validate(s.cvmRequest(r, nodes, into, taken)) {
		at, rest, found := strings.Cut(strings.TrimPrefix(f.Field, "members."), ".")
		if strings.HasPrefix(f.Field, "members.") {
			if i, convErr := strconv.Atoi(at); convErr == nil && f.Key == cvm.KeyAddressRequired && nodes[i].provider == deploy.ProviderIBMVPC && !nodes[i].deployed {
				continue // its provider chooses one
			}
			f.Field = "nodes." + at
			if found {
				f.Field += "." + strings.Replace(rest, "address", "spec.cvm_ip", 1)
			}
		} else if f.Field == "members" {
			f.Field = "nodes"
		}
		bad = append(bad, f)
	}
	if into == nil {
		if wrong, err := s.nameFree(ctx, r.Name); err != nil {
			return nil, nil, nil, err
		} else if wrong != nil {
			bad = append(bad, *wrong)
		}
	}
	return nodes, into, bad, nil
}

// checkTexts tells which addresses are none; the rest is cvm.Validate's.
func (s *Service) checkTexts(r Request) (bad []deploy.FieldError) {
	bad = deploy.CheckIP("vip", r.VIP)
	for i, a := range r.DNSServers {
		bad = append(bad, deploy.CheckIP(fmt.Sprintf("dns_servers.%d", i), a)...)
	}
	return bad
}

// checkAddress tells why the cluster's own address, or its name in DNS, could not
// be had.
func checkAddress(r Request, nodes []asked) (bad []deploy.FieldError) {
	if r.VIP == "" || len(nodes) == 0 || r.Operation == cvm.OperationJoin {
		return nil
	}
	if first := nodes[0]; first.deployed && first.provider == deploy.ProviderIBMVPC {
		bad = append(bad, deploy.FieldError{Field: "vip", Code: deploy.CodeWrongState, Message: fmt.Sprintf("cannot be bound to the machine of %s, which is there already; leave it out, or let the first node be a new one", first.Name)})
	}
	label, ok := deploy.ClusterLabel(r.Name)
	if !ok {
		return append(bad, deploy.FieldError{Field: "name", Code: deploy.CodeInvalid, Message: "makes no name for DNS, which the cluster's address gets: at most 63 characters"})
	}
	for _, n := range nodes {
		if label == n.Name || label == deploy.CVMHost(n.Name) {
			bad = append(bad, deploy.FieldError{Field: "name", Code: deploy.CodeConflict, Message: fmt.Sprintf("would have the name %s in DNS, which is that of the node %s", label, n.Name)})
		}
	}
	return bad
}

// existing finds the cluster to join.
func (s *Service) existing(ctx context.Context, r Request) (*Cluster, []deploy.FieldError, error) {
	if r.Operation != cvm.OperationJoin {
		if r.ClusterID != 0 {
			return nil, []deploy.FieldError{{Field: "cluster", Code: deploy.CodeConflict, Message: "is given, but a new cluster is asked for", Key: cvm.KeyExistingUnexpected}}, nil
		}
		return nil, nil, nil
	}
	refuse := func(code deploy.Code, message string) (*Cluster, []deploy.FieldError, error) {
		return nil, []deploy.FieldError{{Field: "cluster", Code: code, Message: message, Key: cvm.KeyExistingRequired}}, nil
	}
	if r.ClusterID == 0 && r.Name == "" {
		return refuse(deploy.CodeRequired, "is required to join: which cluster?")
	}
	var c *Cluster
	var err error
	if r.ClusterID != 0 {
		c, err = s.Get(ctx, r.ClusterID)
	} else {
		c, err = s.ByName(ctx, r.Name)
	}
	if e, ok := deploy.AsError(err); ok {
		return refuse(e.Code, "is not known: "+e.Message)
	}
	if err != nil {
		return nil, nil, err
	}
	if e, ok := deploy.AsError(c.mayGrow()); ok {
		return refuse(e.Code, "cannot be joined: "+e.Message)
	}
	return c, nil, nil
}

// ask finds one node of a request.
func (s *Service) ask(ctx context.Context, at string, n NodeRequest) (asked, []deploy.FieldError, error) {
	a := asked{NodeRequest: n}
	wrong := func(field string, code deploy.Code, message string) (asked, []deploy.FieldError, error) {
		return a, []deploy.FieldError{{Field: at + field, Code: code, Message: message}}, nil
	}
	where, arg := `n.name = $1`, any(n.Name)
	if n.NodeID != 0 {
		where, arg = `n.id = $1`, n.NodeID
	} else if bad := deploy.CheckNodeName(at+".name", n.Name); len(bad) > 0 {
		return a, bad, nil
	}
	var member sql.NullString
	var proven bool
	var reached, failed phase.Key
	var config []byte
	err := s.deps.Store.Read.QueryRowContext(ctx, `SELECT n.id, n.name, n.provider, COALESCE(n.cvm_ip, ''), n.cvm_host_key IS NOT NULL, COALESCE(n.current_deployment_id, 0), n.state, d.config, COALESCE(d.phase, ''), COALESCE(d.failure_phase, ''),
		(SELECT c.name FROM cluster_members m JOIN clusters c ON c.id = m.cluster_id WHERE m.node_id = n.id AND m.state IN ('member', 'late'))
		FROM nodes n LEFT JOIN deployments d ON d.id = n.current_deployment_id WHERE `+where, arg).Scan(&a.id, &a.Name, &a.provider, &a.cvmIP, &proven, &a.deployment, &a.state, &config, &reached, &failed, &member)
	switch {
	case errors.Is(err, sql.ErrNoRows) && n.NodeID != 0:
		return wrong(".node_id", deploy.CodeNotFound, fmt.Sprintf("there is no node %d", n.NodeID))
	case errors.Is(err, sql.ErrNoRows) && n.Spec == nil:
		return wrong(".name", deploy.CodeNotFound, "there is no node of this name, and no spec to make one")
	case errors.Is(err, sql.ErrNoRows):
		a.provider, a.cvmIP, a.installer = n.Spec.Provider, n.Spec.CVMIP, s.installer(n.Spec.Installer)
		return a, n.Spec.Check(at + ".spec."), nil
	case err != nil:
		return a, nil, fmt.Errorf("cluster: looking for a node: %w", err)
	case member.Valid:
		return wrong("", deploy.CodeConflict, fmt.Sprintf("%s belongs to the cluster %s", a.Name, member.String))
	}
	vacant := a.deployment == 0 || a.state == phase.CleanedUp
	switch {
	case vacant && n.Spec == nil:
		return wrong(".spec", deploy.CodeRequired, a.Name+" is not deployed: it needs a spec")
	case vacant:
		a.installer = s.installer(n.Spec.Installer)
		if n.Spec.CVMIP != "" {
			a.cvmIP = n.Spec.CVMIP
		}
		return a, n.Spec.Check(at + ".spec."), nil
	case n.Spec != nil:
		return wrong(".name", deploy.CodeNameInUse, fmt.Sprintf("a node named %s exists and is %s; without a spec it becomes a member as it is", a.Name, a.state))
	case a.state != phase.Succeeded && !lifecycle.GivenUp(a.state, reached, failed):
		return wrong("", deploy.CodeWrongState, fmt.Sprintf("%s is %s; only a deployed node becomes a member as it is", a.Name, a.state))
	case a.provider == deploy.ProviderScript:
		return wrong("", deploy.CodeInvalid, "a host that a script configures is put into a cluster by that script")
	case a.cvmIP == "":
		return wrong("", deploy.CodeRequired, a.Name+" has no controller VM address")
	case !proven:
		return wrong("", deploy.CodeRequired, a.Name+" never reported its controller VM's host key, so the controller VM cannot be proven to be the right one")
	}
	a.deployed = true
	var spec deploy.Spec
	if err := decode(config, &spec); err != nil {
		return a, nil, fmt.Errorf("cluster: the spec of %s: %w", a.Name, err)
	}
	a.installer = s.installer(spec.Installer)
	return a, nil, nil
}

func (s *Service) installer(name string) string { return firstOf(name, s.deps.Installer) }

// cvmRequest is the request as the rules of package cvm see it.
func (s *Service) cvmRequest(r Request, nodes []asked, into *Cluster, taken map[netip.Addr]string) cvm.Request {
	vip, _ := netip.ParseAddr(r.VIP)
	out := cvm.Request{Name: r.Name, Type: r.Type, Operation: r.Operation, RedundancyFactor: r.RedundancyFactor, VIP: vip, DNS: addresses(r.DNSServers), NTP: r.NTPServers, Taken: taken}
	for _, n := range nodes {
		addr, _ := netip.ParseAddr(n.cvmIP)
		out.Members = append(out.Members, cvm.Member{Node: firstOf(n.Name, strconv.FormatInt(n.NodeID, 10)), Addr: addr, Version: n.installer})
		if n.Spec != nil && !out.Subnet.IsValid() && addr.IsValid() {
			out.Subnet, out.Gateway = subnetOf(n.Spec)
		}
	}
	if into != nil {
		out.Name = into.Name
		for _, n := range into.Formed() {
			addr, _ := netip.ParseAddr(n.CVMIP)
			out.Existing = append(out.Existing, cvm.Member{Node: n.Name, Addr: addr, Version: s.installer(n.Spec.Installer)})
		}
	}
	return out
}

// subnetOf is where a rack machine's addresses are, as far as it is said.
func subnetOf(spec *deploy.Spec) (netip.Prefix, netip.Addr) {
	gateway, _ := netip.ParseAddr(spec.Gateway)
	address, err := netip.ParseAddr(spec.ManagementIP)
	bits, ok := maskBits(spec.Netmask)
	if err != nil || !ok {
		return netip.Prefix{}, gateway
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{}, gateway
	}
	return prefix, gateway
}

// maskBits reads a prefix length, or a dotted mask.
func maskBits(mask string) (int, bool) {
	if n, err := strconv.Atoi(strings.TrimPrefix(mask, "/")); err == nil {
		return n, n > 0 && n <= 32
	}
	a, err := netip.ParseAddr(mask)
	if err != nil || !a.Is4() {
		return 0, false
	}
	bits, ended := 0, false
	for _, b := range a.As4() {
		for i := 7; i >= 0; i-- {
			one := b>>i&1 == 1
			if one && ended {
				return 0, false
			}
			ended = ended || !one
			if one {
				bits++
			}
		}
	}
	return bits, bits > 0
}

// taken tells who has an address, by the books.
func (s *Service) taken(ctx context.Context) (map[netip.Addr]string, error) {
	out := map[netip.Addr]string{}
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT management_ip, name FROM nodes WHERE management_ip IS NOT NULL UNION ALL SELECT ahv_ip, name FROM nodes WHERE ahv_ip IS NOT NULL
		UNION ALL SELECT cvm_ip, name FROM nodes WHERE cvm_ip IS NOT NULL UNION ALL SELECT vip, name FROM clusters WHERE vip IS NOT NULL AND cleanup_at IS NULL`)
	if err != nil {
		return nil, fmt.Errorf("cluster: reading addresses in use: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var ip, name string
		if err := rows.Scan(&ip, &name); err != nil {
			return nil, fmt.Errorf("cluster: reading addresses in use: %w", err)
		}
		if a, err := netip.ParseAddr(ip); err == nil {
			out[a] = name
		}
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

func (s *Service) nameFree(ctx context.Context, name string) (*deploy.FieldError, error) {
	var one int
	err := s.deps.Store.Read.QueryRowContext(ctx, `SELECT 1 FROM clusters WHERE name = $1 AND cleanup_at IS NULL`, name).Scan(&one)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cluster: looking for a name: %w", err)
	}
	return &deploy.FieldError{Field: "name", Code: deploy.CodeNameInUse, Message: "is that of another cluster"}, nil
}

// specOf is the specification that a node of a request is deployed with.
func (s *Service) specOf(r Request, n asked, i int, into *Cluster) deploy.Spec {
	spec := *n.Spec
	spec.ClusterType, spec.ClusterOperation, spec.ClusterVIP = string(r.Type), string(cvm.OperationCreate), ""
	if into != nil {
		spec.ClusterType, spec.ClusterOperation = string(into.Type), string(cvm.OperationJoin)
	} else {
		if r.Type == "" {
			spec.ClusterType = string(typeOf(len(r.Nodes)))
		}
		if i == 0 {
			spec.ClusterVIP = r.VIP
		}
	}
	return spec
}

func typeOf(n int) cvm.Type {
	if n == 1 {
		return cvm.TypeSingleNode
	}
	return cvm.TypeMultiNode
}
