package vpcsim

import (
	"net/netip"
	"slices"
)

// taken counts what must be unique or is looked for by something else than its id, by a key that begins with what it
// is. With it the cost of a call does not depend on how much there is in the account.
type taken map[string]int

func (t taken) has(key string) bool { return t[key] > 0 }

func (t taken) add(keys ...string) {
	for _, key := range keys {
		t[key]++
	}
}

func (t taken) drop(keys ...string) {
	for _, key := range keys {
		if t[key]--; t[key] <= 0 {
			delete(t, key)
		}
	}
}

func serverNameKey(name string) string { return "server/" + name }

func vniNameKey(vpcID, name string) string { return "vni/" + vpcID + "/" + name }

func macKey(mac string) string { return "mac/" + mac }

func reservedNameKey(subnetID, name string) string { return "reserved/" + subnetID + "/" + name }

func addressKey(subnetID string, a netip.Addr) string {
	return "address/" + subnetID + "/" + a.String()
}

func recordKey(kind, name, data string) string { return "record/" + kind + "/" + name + "/" + data }

func (v *vni) keys() []string { return []string{vniNameKey(v.vpcID, v.name), macKey(v.mac)} }

func (ip *reservedIP) keys() []string {
	return []string{reservedNameKey(ip.subnetID, ip.name), addressKey(ip.subnetID, ip.address)}
}

// keepVNI and the others below put things into the account and take them out of it.
func (s *Simulator) keepVNI(v *vni) {
	s.vnis[v.id] = v
	s.taken.add(v.keys()...)
}

func (s *Simulator) forgetVNI(v *vni) {
	if s.vnis[v.id] == v {
		delete(s.vnis, v.id)
		s.taken.drop(v.keys()...)
	}
}

func (s *Simulator) keepServer(sv *server) {
	s.servers[sv.id] = sv
	s.taken.add(serverNameKey(sv.name))
}

func (s *Simulator) forgetServer(sv *server) {
	delete(s.servers, sv.id)
	s.taken.drop(serverNameKey(sv.name))
}

func (s *Simulator) keepReservedIP(ip *reservedIP) {
	s.reservedIPs[ip.id] = ip
	s.taken.add(ip.keys()...)
	if ip.owner == ownerUser {
		s.usersIPs++
	}
}

func (s *Simulator) forgetReservedIP(ip *reservedIP) {
	delete(s.reservedIPs, ip.id)
	s.taken.drop(ip.keys()...)
	if ip.owner == ownerUser {
		s.usersIPs--
	}
	sn := s.catalogue.subnets[ip.subnetID]
	if ip.address.Less(sn.lowest) {
		sn.lowest = ip.address
	}
}

// keepRecord keeps records in order of creation too, by type: that is the order of their lists, whose pages are many.
func (s *Simulator) keepRecord(r *dnsRecord) {
	s.records[r.id] = r
	s.taken.add(recordKey(r.kind, r.name, r.data))
	s.recordLists[r.kind] = append(s.recordLists[r.kind], r)
}

func (s *Simulator) forgetRecord(r *dnsRecord) {
	delete(s.records, r.id)
	s.taken.drop(recordKey(r.kind, r.name, r.data))
	s.recordLists[r.kind] = slices.DeleteFunc(s.recordLists[r.kind], func(o *dnsRecord) bool { return o == r })
}
