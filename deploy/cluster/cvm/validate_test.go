package cvm

import (
	"net/netip"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	subnet, gateway := netip.MustParsePrefix("10.0.0.0/24"), netip.MustParseAddr("10.0.0.254")
	nodes := func(n int) []Member {
		var out []Member
		for i := range n {
			out = append(out, Member{Node: "n" + string(rune('1'+i)), Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), Version: "6.8.1"})
		}
		return out
	}
	good := func(n int) Request {
		return Request{Name: "prod", Members: nodes(n), VIP: netip.MustParseAddr("10.0.0.9"), DNS: addrs("10.0.0.2"), NTP: []string{"pool.ntp.org"}, Subnet: subnet, Gateway: gateway,
			Taken: map[netip.Addr]string{netip.MustParseAddr("10.0.0.8"): "web-1"}}
	}
	join := func(have, fresh int) Request {
		all := nodes(have + fresh)
		return Request{Name: "prod", Operation: OperationJoin, Existing: all[:have], Members: all[have:], Subnet: subnet}
	}
	change := func(r Request, f func(*Request)) Request { f(&r); return r }
	used := map[string]bool{}
	for _, c := range []struct {
		name string
		r    Request
		want string // "field key; …"
	}{
		{"one", good(1), ""},
		{"three", good(3), ""},
		{"four", change(good(4), func(r *Request) { r.RedundancyFactor, r.Type = 2, TypeMultiNode }), ""},
		{"one with factor", change(good(1), func(r *Request) { r.RedundancyFactor, r.Type = 1, TypeSingleNode }), ""},
		{"three and one", join(3, 1), ""},
		{"none", change(good(1), func(r *Request) { r.Members = nil }), "members " + KeyMembersRequired},
		{"two", good(2), "members " + KeyMemberCount},
		{"five", good(5), "members " + KeyMemberCount},
		{"single of three", change(good(3), func(r *Request) { r.Type = TypeSingleNode }), "type " + KeyTypeCount},
		{"multi of one", change(good(1), func(r *Request) { r.Type = TypeMultiNode }), "type " + KeyTypeCount},
		{"type", change(good(1), func(r *Request) { r.Type = "standard" }), "type " + KeyTypeUnknown},
		{"operation", change(good(1), func(r *Request) { r.Operation = "grow" }), "operation " + KeyOperationUnknown},
		{"no name", change(good(1), func(r *Request) { r.Name = "" }), "name " + KeyNameRequired},
		{"bad name", change(good(1), func(r *Request) { r.Name = "a'b" }), "name " + KeyNameBad},
		{"factor 2 for one", change(good(1), func(r *Request) { r.RedundancyFactor = 2 }), "redundancy_factor " + KeyRedundancySingle},
		{"factor 1 for three", change(good(3), func(r *Request) { r.RedundancyFactor = 1 }), "redundancy_factor " + KeyRedundancyMulti},
		{"factor 3 for four", change(good(4), func(r *Request) { r.RedundancyFactor = 3 }), "redundancy_factor " + KeyRedundancyMulti},
		{"same node", change(good(3), func(r *Request) { r.Members[2].Node = "n1" }), "members.2 " + KeyMemberTwice},
		{"same address", change(good(3), func(r *Request) { r.Members[2].Addr = r.Members[0].Addr }), "members.2.address " + KeyAddressTwice},
		{"no address", change(good(3), func(r *Request) { r.Members[1].Addr = netip.Addr{} }), "members.1.address " + KeyAddressRequired},
		{"IPv6", change(good(1), func(r *Request) { r.Members[0].Addr = netip.MustParseAddr("fd00::1") }), "members.0.address " + KeyAddressNotIPv4},
		{"outside", change(good(1), func(r *Request) { r.Members[0].Addr = netip.MustParseAddr("10.0.1.1") }), "members.0.address " + KeyAddressOutside},
		{"broadcast", change(good(1), func(r *Request) { r.Members[0].Addr = netip.MustParseAddr("10.0.0.255") }), "members.0.address " + KeyAddressUnusable},
		{"version", change(good(3), func(r *Request) { r.Members[1].Version = "6.9" }), "members.1.version " + KeyVersionDiffers},
		{"unknown version", change(good(3), func(r *Request) { r.Members[0].Version = "" }), ""},
		{"VIP outside", change(good(3), func(r *Request) { r.VIP = netip.MustParseAddr("10.0.1.9") }), "vip " + KeyVIPOutside},
		{"VIP network", change(good(3), func(r *Request) { r.VIP = netip.MustParseAddr("10.0.0.0") }), "vip " + KeyVIPUnusable},
		{"VIP IPv6", change(good(3), func(r *Request) { r.VIP = netip.MustParseAddr("fd00::9") }), "vip " + KeyVIPNotIPv4},
		{"VIP member", change(good(3), func(r *Request) { r.VIP = r.Members[1].Addr }), "vip " + KeyVIPIsMember},
		{"VIP gateway", change(good(3), func(r *Request) { r.VIP = gateway }), "vip " + KeyVIPIsGateway},
		{"VIP taken", change(good(3), func(r *Request) { r.VIP = netip.MustParseAddr("10.0.0.8") }), "vip " + KeyVIPTaken},
		{"no VIP", change(good(3), func(r *Request) { r.VIP = netip.Addr{} }), ""},
		{"DNS", change(good(1), func(r *Request) { r.DNS = addrs("10.0.0.2", "10.0.0.2", "fd00::2") }), "dns_servers.1 " + KeyDNSTwice + "; dns_servers.2 " + KeyDNSNotIPv4},
		{"NTP", change(good(1), func(r *Request) { r.NTP = []string{"a", "a", "$(id)"} }), "ntp_servers.1 " + KeyNTPTwice + "; ntp_servers.2 " + KeyNTPBad},
		{"many", change(good(1), func(r *Request) { r.NTP = strings.Split("a,b,c,d,e,f,g,h,i", ",") }), "ntp_servers " + KeyTooManyServers},
		{"join what", change(join(3, 1), func(r *Request) { r.Existing = nil; r.Members = nodes(1) }), "existing " + KeyExistingRequired},
		{"join a single one", join(1, 2), "existing " + KeySingleNotGrown},
		{"join to five", join(4, 1), "members " + KeyMemberCount},
		{"join twice", change(join(3, 1), func(r *Request) { r.Members = nodes(1) }), "members.0 " + KeyMemberTwice},
		{"join another version", change(join(3, 1), func(r *Request) { r.Members[0].Version = "7" }), "members.0.version " + KeyVersionDiffers},
		{"join with settings", change(join(3, 1), func(r *Request) {
			r.RedundancyFactor, r.VIP, r.DNS, r.NTP = 2, netip.MustParseAddr("10.0.0.9"), addrs("10.0.0.2"), []string{"a"}
		}), "redundancy_factor " + KeyJoinSetting + "; vip " + KeyJoinSetting + "; dns_servers " + KeyJoinSetting + "; ntp_servers " + KeyJoinSetting},
		{"create with existing", change(good(3), func(r *Request) { r.Existing = nodes(1) }), "existing " + KeyExistingUnexpected},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, e := range Validate(c.r) {
				got = append(got, e.Field+" "+e.Key)
				used[e.Key] = true
				if e.Code == "" || e.Message == "" || strings.ContainsAny(e.Message, "{}") {
					t.Errorf("%+v", e)
				}
			}
			if strings.Join(got, "; ") != c.want {
				t.Errorf("got %q, want %q", strings.Join(got, "; "), c.want)
			}
			if c.want == "" && c.r.Operation != OperationJoin {
				if line, err := c.r.Spec().Command(); err != nil {
					t.Errorf("%s: %v", line, err)
				}
			}
		})
	}
	for _, k := range Keys() {
		if !used[k.Key] {
			t.Errorf("no test breaks %s", k.Key)
		}
	}
}
