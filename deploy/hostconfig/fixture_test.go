package hostconfig_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/hostconfig"
)

// layout says what shape a document has.
type layout struct {
	segregated, bonds, single bool
}

// shapes are the six shapes of a document.
var shapes = map[string]layout{
	"default-single":      {single: true},
	"default":             {},
	"default-bond-single": {bonds: true, single: true},
	"default-bond":        {bonds: true},
	"segregated":          {segregated: true},
	"segregated-bond":     {segregated: true, bonds: true},
}

func (l layout) types() []string {
	switch {
	case l.segregated:
		return []string{"Mgmt", "VXLAN", "Storage", "External_Traffic"}
	case l.single:
		return []string{"Primary"}
	}
	return []string{"Primary", "Secondary"}
}

// network is one of a node's networks.
type network struct {
	subnet       netip.Prefix
	mask         string
	dns          string
	vlan, mtu    string
	gateway, vip netip.Addr
}

// nth gives an address of the network by its distance from the network's own.
func nth(p netip.Prefix, n int) netip.Addr {
	a := p.Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// build makes the document of the i-th node; host is its place in its subnets.
func build(l layout, i, host int, nets []network) *hostconfig.Document {
	d := &hostconfig.Document{
		Hostname: fmt.Sprintf("SQDN-%03d", i+1),
		Disks:    []string{},
		Roles:    []string{"Control", "Storage"},
	}
	d.Disks = append(d.Disks, fmt.Sprintf("0x50000000000000%02d", i+1))
	nic := 0
	for j, t := range l.types() {
		row := hostconfig.Interface{Key: fmt.Sprintf("interface_%02d", j+1), Name: fmt.Sprintf("eno%d", j+1), Types: []string{t}, VLAN: nets[j].vlan, BondSlave: "NO"}
		if l.bonds {
			row.Key, row.Name, row.BondSlave = fmt.Sprintf("bond%d", j+1), fmt.Sprintf("bond%d", j), ""
		}
		if t != "Secondary" && t != "External_Traffic" {
			row.Properties = &hostconfig.Properties{IPAddress: nth(nets[j].subnet, host).String(), Netmask: nets[j].mask, DNS: nets[j].dns, MTU: nets[j].mtu}
			if j == 0 {
				row.Properties.Gateway = nets[j].gateway.String()
			}
		}
		d.Interfaces = append(d.Interfaces, row)
		for range 2 {
			if nic++; l.bonds {
				d.Interfaces = append(d.Interfaces, hostconfig.Interface{Key: fmt.Sprintf("interface_%02d", nic), Name: fmt.Sprintf("eno%d", nic), BondSlave: "YES", Bond: row.Name})
			}
		}
	}
	return d
}

// plainNetworks are four networks of documentation and private addresses.
func plainNetworks() []network {
	var out []network
	for j, vlan := range []string{"NULL", "101", "88", "91"} {
		p := netip.MustParsePrefix(fmt.Sprintf("10.20.%d.0/24", j))
		out = append(out, network{subnet: p, mask: "255.255.255.0", dns: "192.0.2.53", vlan: vlan, mtu: []string{"1500", "NULL", "9000", "9000"}[j], gateway: nth(p, 1), vip: nth(p, 10)})
	}
	return out
}

func withCloud(d *hostconfig.Document, vip string) *hostconfig.Document {
	d.ServerVIP = vip
	return d
}

func withNetworks(d *hostconfig.Document) *hostconfig.Document {
	d.Provider = hostconfig.ProviderNetwork{CIDR: "198.51.100.0/24", Gateway: "198.51.100.1", StartingIP: "198.51.100.10", EndingIP: "198.51.100.200"}
	d.Tenant = hostconfig.TenantNetwork{CIDR: "10.0.0.0/24", Gateway: "10.0.0.1", Nameserver: "8.8.8.8"}
	return d
}

// pair is a request of two nodes of one shape, as a list.
func pair(t *testing.T, l layout, cloud bool) []any {
	t.Helper()
	nets := plainNetworks()
	a, b := build(l, 0, 21, nets), build(l, 1, 22, nets)
	b.Roles, b.Disks = []string{"Compute"}, nil
	if cloud {
		withNetworks(withCloud(a, "10.20.0.10"))
		withCloud(b, "10.20.0.10")
	}
	return []any{tree(t, a), tree(t, b)}
}

// tree gives a document as what JSON makes of it, to be changed.
func tree(t require.TestingT, d *hostconfig.Document) any {
	var v any
	require.NoError(t, json.Unmarshal(hostconfig.Render(d), &v))
	return v
}

// remove is a value that is taken away.
type remove struct{}

// set changes the value at a path with dots; the last segment may be new.
func set(at any, path string, value any) {
	head, rest, more := strings.Cut(path, ".")
	switch v := at.(type) {
	case map[string]any:
		switch {
		case more:
			set(v[head], rest, value)
		case value == remove{}:
			delete(v, head)
		default:
			v[head] = value
		}
	case []any:
		n, err := strconv.Atoi(head)
		if err != nil {
			panic(path + ": " + err.Error())
		}
		if more {
			set(v[n], rest, value)
		} else {
			v[n] = value
		}
	default:
		panic(path + ": there is no such place")
	}
}

func encode(t require.TestingT, v any) []byte {
	body, err := json.Marshal(v)
	require.NoError(t, err)
	return body
}

// told gives errors as "path key", without the leading "cards.".
func told(errs []deploy.FieldError) []string {
	out := []string{}
	for _, e := range errs {
		out = append(out, strings.TrimPrefix(e.Field, "cards.")+" "+e.Key)
	}
	return out
}

// keyNames is every key of an error, with its code.
var keyNames = sync.OnceValue(func() map[string]deploy.Code {
	out := map[string]deploy.Code{}
	for _, k := range hostconfig.Keys() {
		out[k.Key] = k.Code
	}
	return out
})

func shapeNames() []string { return slices.Sorted(maps.Keys(shapes)) }
