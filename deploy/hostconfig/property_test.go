package hostconfig_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slipwayhq/slipway/deploy/hostconfig"
)

// request is a good request of one or more nodes.
type request struct {
	docs   []*hostconfig.Document
	layout []layout
	nets   []network
	cloud  bool
}

// anyRequest draws a good request: any shapes side by side, either kind of
// address, any masks, with and without a cloud and its networks.
func anyRequest(t *rapid.T) request {
	r := request{cloud: rapid.Bool().Draw(t, "cloud")}
	for j := range 4 {
		r.nets = append(r.nets, anyNetwork(t, j))
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "nodes") {
		l := shapes[rapid.SampledFrom(shapeNames()).Draw(t, "shape")]
		d := build(l, i, 10+i, r.nets)
		d.Roles = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"Control", "Compute", "Storage", "Monitoring"}), 1, 4, rapid.ID[string]).Draw(t, "roles")
		d.Disks = rapid.SliceOfNDistinct(rapid.StringMatching(`0x[0-9a-f]{16}`), 1, 3, rapid.ID[string]).Draw(t, "disks")
		if r.cloud {
			withCloud(d, r.nets[0].vip.String())
		}
		r.docs, r.layout = append(r.docs, d), append(r.layout, l)
	}
	if r.cloud {
		r.docs[0].Roles = []string{"Storage", "Control"}
		if rapid.Bool().Draw(t, "networks") {
			withNetworks(r.docs[0])
		}
	}
	return r
}

func anyNetwork(t *rapid.T, j int) network {
	n := network{
		vlan: rapid.SampledFrom([]string{"NULL", "1", "101", "4094"}).Draw(t, "vlan"),
		mtu:  rapid.SampledFrom([]string{"NULL", "1500", "9000"}).Draw(t, "mtu"),
		dns:  rapid.SampledFrom([]string{"192.0.2.53", "2001:db8::53"}).Draw(t, "dns"),
	}
	if rapid.Bool().Draw(t, "IPv6") {
		bits := rapid.IntRange(32, 124).Draw(t, "bits")
		n.subnet, n.mask = netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::", j+1)), bits).Masked(), strconv.Itoa(bits)
		if bits < 48 { // the four of them must not meet
			n.subnet = netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("2001:%x::", 0xdb8+j)), bits)
		}
	} else {
		bits := rapid.IntRange(16, 28).Draw(t, "bits")
		n.subnet = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(20 + j), 0, 0}), bits)
		mask := ^uint32(0) << (32 - bits)
		n.mask = netip.AddrFrom4([4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)}).String()
	}
	n.gateway, n.vip = nth(n.subnet, 1), nth(n.subnet, 5)
	return n
}

func (r request) cards() []hostconfig.Card {
	var out []hostconfig.Card
	for _, d := range r.docs {
		out = append(out, hostconfig.Card{Doc: d})
	}
	return out
}

func (r request) trees(t require.TestingT) []any {
	var out []any
	for _, d := range r.docs {
		out = append(out, tree(t, d))
	}
	return out
}

func TestGoodRequestsAreGood(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRequest(t)
		require.Empty(t, hostconfig.Check(r.cards(), hostconfig.Inventory{}), "made by hand")
		body := encode(t, r.trees(t))
		require.Empty(t, againstSchema(t, body))
		cards, errs := hostconfig.Validate(body, hostconfig.Inventory{})
		require.Empty(t, errs, "as read")
		require.Len(t, cards, len(r.docs))
		for i, c := range cards {
			file := hostconfig.Render(r.docs[i])
			require.Equal(t, string(file), string(hostconfig.Render(c.Doc)))
			require.Empty(t, hostconfig.Diff(file, hostconfig.Render(c.Doc)))
			require.True(t, json.Valid(file))
			target, ok := c.Doc.Target()
			require.True(t, ok)
			require.Equal(t, nth(r.nets[0].subnet, 10+i), target)
		}
	})
}

// The order of interfaces in a document made by hand does not show in its file.
func TestOrderOfInterfacesDoesNotShow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyRequest(t).docs[0]
		want := hostconfig.Render(d)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		rnd.Shuffle(len(d.Interfaces), func(i, j int) { d.Interfaces[i], d.Interfaces[j] = d.Interfaces[j], d.Interfaces[i] })
		require.Equal(t, string(want), string(hostconfig.Render(d)))
	})
}

// fault is a change of a good request that breaks exactly one rule.
type fault struct {
	key  string
	fits func(r request, i int) bool
	make func(r request, i int, card any)
}

func always(request, int) bool { return true }

// first gives the key of the entry with the node's main address.
func first(l layout) string {
	if l.bonds {
		return "using_interfaces.bond1"
	}
	return "using_interfaces.interface_01"
}

func at(field string, value any) func(request, int, any) {
	return func(r request, i int, card any) { set(card, first(r.layout[i])+"."+field, value) }
}

func in(field string, value any) func(request, int, any) {
	return func(_ request, _ int, card any) { set(card, field, value) }
}

var faults = []fault{
	{"mask_not_contiguous", func(r request, _ int) bool { return r.nets[0].subnet.Addr().Is4() }, at("Properties.Netmask", "255.0.255.0")},
	{"mask_required", always, at("Properties.Netmask", "")},
	{"mask_out_of_range", always, at("Properties.Netmask", "0")},
	{"address_bad", always, at("Properties.IP_ADDRESS", "192.0.2.1.")},
	{"address_required", always, at("Properties.IP_ADDRESS", remove{})},
	{"address_unusable", always, at("Properties.IP_ADDRESS", "255.255.255.255")},
	{"address_is_network", always, func(r request, i int, card any) {
		set(card, first(r.layout[i])+".Properties.IP_ADDRESS", r.nets[0].subnet.Addr().String())
	}},
	{"address_twice", func(r request, i int) bool { return i > 0 }, func(r request, i int, card any) {
		set(card, first(r.layout[i])+".Properties.IP_ADDRESS", nth(r.nets[0].subnet, 10).String())
	}},
	{"dns_bad", always, at("Properties.DNS", "8.8.8")},
	{"dns_several", always, at("Properties.DNS", "8.8.8.8,1.1.1.1")},
	{"mtu_bad", always, at("Properties.mtu", 1400)},
	{"gateway_required", always, at("Properties.gateway", nil)},
	{"gateway_outside_subnet", always, at("Properties.gateway", "203.0.113.1")},
	{"gateway_is_network", always, func(r request, i int, card any) {
		set(card, first(r.layout[i])+".Properties.gateway", r.nets[0].subnet.Addr().String())
	}},
	{"gateway_is_own_address", always, func(r request, i int, card any) {
		set(card, first(r.layout[i])+".Properties.gateway", nth(r.nets[0].subnet, 10+i).String())
	}},
	{"vlan_out_of_range", always, at("vlan_id", 5000)},
	{"vlan_bad", always, at("vlan_id", "x")},
	{"type_unknown", always, at("type", "Other")},
	{"properties_required", always, at("Properties", remove{})},
	{"interface_required", func(r request, i int) bool { return !r.layout[i].bonds }, at("interface_name", "")},
	{"bond_name_bad", func(r request, i int) bool { return r.layout[i].bonds }, at("interface_name", "team0")},
	{"bond_members", func(r request, i int) bool { return r.layout[i].bonds }, in("using_interfaces.interface_01", remove{})},
	{"interface_twice", func(r request, i int) bool { return r.layout[i].bonds }, in("using_interfaces.interface_01.interface_name", "eno2")},
	{"type_missing", func(r request, i int) bool { return r.layout[i].segregated && !r.layout[i].bonds }, in("using_interfaces.interface_03", remove{})},
	{"hostname_bad", always, in("hostname", "a_b")},
	{"hostname_twice", func(_ request, i int) bool { return i > 0 }, in("hostname", "sqdn-001")},
	{"role_unknown", always, in("roles", []any{"Control", "Storage", "Other"})},
	{"role_required", always, in("roles", []any{"Network"})},
	{"disk_required", always, func(_ request, _ int, card any) {
		set(card, "roles", []any{"Control", "Storage"})
		set(card, "disk", []any{})
	}},
	{"roles_incomplete", func(r request, _ int) bool { return r.cloud && len(r.docs) == 1 }, in("roles", []any{"Storage"})},
	{"vip_bad", func(r request, _ int) bool { return r.cloud }, in("server_vip", "10.0.0.1.")},
	{"vip_outside_subnet", func(r request, _ int) bool { return r.cloud }, in("server_vip", "203.0.113.1")},
	{"vip_is_node_address", func(r request, _ int) bool { return r.cloud }, func(r request, _ int, card any) {
		set(card, "server_vip", nth(r.nets[0].subnet, 10).String())
	}},
	{"provider_incomplete", func(r request, i int) bool { return r.docs[i].Provider.CIDR != "" }, in("provider_gateway", "N/A")},
	{"provider_range_reversed", func(r request, i int) bool { return r.docs[i].Provider.CIDR != "" }, in("provider_startingip", "198.51.100.201")},
	{"tenant_gateway_outside", func(r request, i int) bool { return r.docs[i].Tenant.CIDR != "" }, in("tenant_gateway", "10.0.1.1")},
	{"unknown_field", always, in("host_name", "x")},
	{"wrong_type", always, in("hostname", 5)},
}

func TestOneFaultIsTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRequest(t)
		i := rapid.IntRange(0, len(r.docs)-1).Draw(t, "node")
		fitting := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return !f.fits(r, i) })
		f := rapid.SampledFrom(fitting).Draw(t, "fault")
		trees := r.trees(t)
		f.make(r, i, trees[i])
		cards, errs := hostconfig.Validate(encode(t, trees), hostconfig.Inventory{})
		found := false
		for _, e := range errs {
			wellFormed(t, e.Field, e.Key, e.Message)
			found = found || e.Key == f.key
		}
		require.True(t, found, "%s is not among %v", f.key, told(errs))
		for _, c := range cards { // what is refused can still be shown
			again, _ := hostconfig.Parse(asList(hostconfig.Render(c.Doc)))
			require.Equal(t, string(hostconfig.Render(c.Doc)), string(hostconfig.Render(again[0].Doc)))
		}
	})
}
