package vpcsim

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// DNS Services: one instance with one zone. Paging is by offset and limit; the default limit is that of the SDK's
// fixtures.
const defaultDNSLimit = 200

// TTLs in seconds (IBM's page on records: 60 s to 12 h, 15 min by default).
const (
	minTTL     = 60
	maxTTL     = 12 * 60 * 60
	defaultTTL = 15 * 60
)

// Types of records that are simulated.
const (
	recordA   = "A"
	recordPTR = "PTR"
)

type dnsZone struct {
	id, name string
	created  timestamp
}

type dnsRecord struct {
	base
	kind     string
	name     string // fully qualified; of a PTR the in-addr.arpa form
	data     string // of an A the address, of a PTR the host name
	ttl      int
	modified timestamp
}

func (s *Simulator) fillDNS() {
	s.catalogue.dnsZone = dnsZone{
		id:      uuid.NewSHA1(uuid.NameSpaceDNS, []byte(s.opts.DNSInstance+"/"+s.opts.DNSZone)).String(),
		name:    s.opts.DNSZone,
		created: s.now(),
	}
}

func dnsOperations() []operation {
	const zones = "/v1/instances/{instance}/dnszones"
	const records, record = zones + "/{zone}/resource_records", zones + "/{zone}/resource_records/{record}"
	return []operation{
		{name: "ListDnszones", method: "GET", path: zones, service: serviceDNS, handle: (*call).listZonesDNS},
		{name: "GetDnszone", method: "GET", path: zones + "/{zone}", service: serviceDNS, handle: (*call).getZoneDNS},
		{name: "ListResourceRecords", method: "GET", path: records, service: serviceDNS, handle: (*call).listRecords},
		{name: "CreateResourceRecord", method: "POST", path: records, service: serviceDNS, handle: (*call).createRecord},
		{name: "GetResourceRecord", method: "GET", path: record, service: serviceDNS, handle: (*call).getRecord},
		{name: "UpdateResourceRecord", method: "PUT", path: record, service: serviceDNS, handle: (*call).updateRecord},
		{name: "DeleteResourceRecord", method: "DELETE", path: record, service: serviceDNS, handle: (*call).deleteRecord},
	}
}

// offsetMeta is the part that DNS Services' lists share.
type offsetMeta struct {
	Offset     int       `json:"offset"`
	Limit      int       `json:"limit"`
	Count      int       `json:"count"`
	TotalCount int       `json:"total_count"`
	First      pageLink  `json:"first"`
	Last       pageLink  `json:"last"`
	Previous   *pageLink `json:"previous,omitempty"`
	Next       *pageLink `json:"next,omitempty"`
}

// offsetPage cuts a page out of items by the offset and limit parameters.
func offsetPage[T any](c *call, items []T) ([]T, offsetMeta, error) {
	query := c.r.URL.Query()
	meta := offsetMeta{Limit: defaultDNSLimit, TotalCount: len(items)}
	for name, value := range map[string]*int{"offset": &meta.Offset, "limit": &meta.Limit} {
		raw := query.Get(name)
		if raw == "" {
			continue
		}
		n, err := strconv.Atoi(raw)
		if err != nil || n < 0 || name == "limit" && n < 1 {
			return nil, meta, badParameter(codeBadRequest, name, raw, "The parameter %s is not valid.", name)
		}
		*value = n
	}
	link := func(offset int) pageLink {
		q := url.Values{}
		for name, values := range query {
			q[name] = values
		}
		q.Set("offset", strconv.Itoa(offset))
		q.Set("limit", strconv.Itoa(meta.Limit))
		return pageLink{Href: c.base + c.r.URL.Path + "?" + q.Encode()}
	}
	from := min(meta.Offset, len(items))
	to := min(from+meta.Limit, len(items))
	meta.Count = to - from
	meta.First, meta.Last = link(0), link(max(0, len(items)-1)/meta.Limit*meta.Limit)
	if to < len(items) {
		next := link(meta.Offset + meta.Limit)
		meta.Next = &next
	}
	if meta.Offset > 0 {
		previous := link(max(0, meta.Offset-meta.Limit))
		meta.Previous = &previous
	}
	return items[from:to], meta, nil
}

type zoneDNSAnswer struct {
	ID          string    `json:"id"`
	CreatedOn   timestamp `json:"created_on"`
	ModifiedOn  timestamp `json:"modified_on"`
	InstanceID  string    `json:"instance_id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	State       string    `json:"state"`
	Label       string    `json:"label"`
}

func (c *call) zoneDNSAnswer() zoneDNSAnswer {
	z := c.s.catalogue.dnsZone
	return zoneDNSAnswer{
		ID: z.id, CreatedOn: z.created, ModifiedOn: z.created, InstanceID: c.s.opts.DNSInstance, Name: z.name,
		Description: "simulated zone", State: "active", Label: c.s.opts.Region,
	}
}

func (c *call) checkInstance() error {
	if c.path("instance") != c.s.opts.DNSInstance {
		return notFound("DNS Services instance", c.path("instance"))
	}
	return nil
}

func (c *call) checkZoneDNS() error {
	if err := c.checkInstance(); err != nil {
		return err
	}
	if c.path("zone") != c.s.catalogue.dnsZone.id {
		return notFound("DNS zone", c.path("zone"))
	}
	return nil
}

// listZonesDNS: every simulated VPC is a permitted network of the zone.
func (c *call) listZonesDNS() (reply, error) {
	if err := c.checkInstance(); err != nil {
		return reply{}, err
	}
	zones := []zoneDNSAnswer{c.zoneDNSAnswer()}
	if id, given := c.query("vpc_id"); given && c.s.catalogue.vpcs[id] == nil {
		zones = []zoneDNSAnswer{}
	}
	zones, meta, err := offsetPage(c, zones)
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		Zones []zoneDNSAnswer `json:"dnszones"`
		offsetMeta
	}{zones, meta}), nil
}

func (c *call) getZoneDNS() (reply, error) {
	if err := c.checkZoneDNS(); err != nil {
		return reply{}, err
	}
	return ok(c.zoneDNSAnswer()), nil
}

type recordAnswer struct {
	ID         string            `json:"id"`
	CreatedOn  timestamp         `json:"created_on"`
	ModifiedOn timestamp         `json:"modified_on"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	TTL        int               `json:"ttl"`
	Rdata      map[string]string `json:"rdata"`
}

func recordAnswerOf(r *dnsRecord) recordAnswer {
	field := "ip"
	if r.kind == recordPTR {
		field = "ptrdname"
	}
	return recordAnswer{
		ID: r.id, CreatedOn: r.created, ModifiedOn: r.modified, Name: r.name, Type: r.kind, TTL: r.ttl,
		Rdata: map[string]string{field: r.data},
	}
}

func (c *call) recordByPath() (*dnsRecord, error) {
	if err := c.checkZoneDNS(); err != nil {
		return nil, err
	}
	r := c.s.records[c.path("record")]
	if r == nil {
		return nil, notFound("resource record", c.path("record"))
	}
	return r, nil
}

// listRecords filters by type and by the stored name, the fully qualified one.
func (c *call) listRecords() (reply, error) {
	if err := c.checkZoneDNS(); err != nil {
		return reply{}, err
	}
	name, byName := c.query("name")
	kind, byKind := c.query("type")
	items := c.s.recordLists[kind]
	if !byKind {
		items = list(c.s.records, func(*dnsRecord) bool { return true })
		slices.SortFunc(items, func(a, b *dnsRecord) int { return int(a.seq - b.seq) })
	}
	if byName {
		items = slices.DeleteFunc(slices.Clone(items), func(r *dnsRecord) bool { return !strings.EqualFold(strings.TrimSuffix(name, "."), r.name) })
	}
	items, meta, err := offsetPage(c, items)
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		Records []recordAnswer `json:"resource_records"`
		offsetMeta
	}{render(items, recordAnswerOf), meta}), nil
}

func (c *call) getRecord() (reply, error) {
	r, err := c.recordByPath()
	if err != nil {
		return reply{}, err
	}
	return ok(recordAnswerOf(r)), nil
}

type recordPrototype struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Rdata struct {
		IP       string `json:"ip"`
		Ptrdname string `json:"ptrdname"`
	} `json:"rdata"`
	TTL *int `json:"ttl"`
}

func (p *recordPrototype) ttl(def int) (int, error) {
	if p.TTL == nil {
		return def, nil
	}
	if *p.TTL < minTTL || *p.TTL > maxTTL {
		return 0, badField("ttl", strconv.Itoa(*p.TTL), "The TTL must be from %d to %d seconds.", minTTL, maxTTL)
	}
	return *p.TTL, nil
}

// createRecord answers 200, as DNS Services does (not 201). Names of A records need not be unique.
func (c *call) createRecord() (reply, error) {
	if err := c.checkZoneDNS(); err != nil {
		return reply{}, err
	}
	var p recordPrototype
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	r := &dnsRecord{kind: p.Type}
	var err error
	if r.ttl, err = p.ttl(defaultTTL); err != nil {
		return reply{}, err
	}
	switch p.Type {
	case "":
		return reply{}, requiredField("type")
	case recordA:
		err = c.fillA(r, &p)
	case recordPTR:
		err = c.fillPTR(r, &p)
	default:
		err = notSimulated("records of type " + p.Type)
	}
	if err != nil {
		return reply{}, err
	}
	r.base = c.s.newBase(r.kind + ":" + uuid.NewString())
	r.modified = r.created
	c.s.keepRecord(r)
	c.s.counts.records++
	return ok(recordAnswerOf(r)), nil
}

// hostPattern is a host name of RFC 1123 section 2.1, in lower case.
var hostPattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)

// fillA sets name and address; a name outside the zone gets the zone appended.
func (c *call) fillA(r *dnsRecord, p *recordPrototype) error {
	addr, err := netip.ParseAddr(p.Rdata.IP)
	if err != nil || !addr.Is4() {
		return badField("rdata.ip", p.Rdata.IP, "%q is not an IPv4 address.", p.Rdata.IP)
	}
	name := strings.ToLower(strings.TrimSuffix(p.Name, "."))
	if name == "" {
		return requiredField("name")
	}
	zone := c.s.catalogue.dnsZone.name
	if name != zone && !strings.HasSuffix(name, "."+zone) {
		name += "." + zone
	}
	if len(name) > 253 || !hostPattern.MatchString(name) {
		return badField("name", p.Name, "%q is not a host name.", p.Name)
	}
	r.name, r.data = name, addr.String()
	return nil
}

// fillPTR: the name of the request is the plain address, and there must be an A record from the host name to it that
// has no PTR record yet (IBM's page on records).
func (c *call) fillPTR(r *dnsRecord, p *recordPrototype) error {
	addr, err := netip.ParseAddr(p.Name)
	if err != nil || !addr.Is4() {
		return badField("name", p.Name, "The name of a PTR record must be an IPv4 address.")
	}
	host := strings.ToLower(strings.TrimSuffix(p.Rdata.Ptrdname, "."))
	if !c.s.taken.has(recordKey(recordA, host, addr.String())) {
		return badField("rdata.ptrdname", p.Rdata.Ptrdname, "There is no A record %s with address %s.", host, addr)
	}
	if c.hasPTR(host, addr.String()) {
		return conflict(codeInvalidState, "The A record %s with address %s has a PTR record already.", host, addr)
	}
	r.name, r.data = reverseName(addr), host
	return nil
}

// reverseName is the in-addr.arpa form of an address (RFC 1035 section 3.5).
func reverseName(addr netip.Addr) string {
	b := addr.As4()
	return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", b[3], b[2], b[1], b[0])
}

func (c *call) hasPTR(host, ip string) bool {
	return c.s.taken.has(recordKey(recordPTR, reverseName(netip.MustParseAddr(ip)), host))
}

// needsNoPTR refuses to take an A record away from under its PTR record, unless another one like it stays. (That the
// answer is 409 is inferred; that the PTR record must go first is IBM's.)
func (c *call) needsNoPTR(r *dnsRecord) error {
	twins := c.s.taken[recordKey(recordA, r.name, r.data)] > 1
	if r.kind == recordA && c.hasPTR(r.name, r.data) && !twins {
		return conflict(codeInvalidState, "The A record %s has a PTR record, which must be deleted first.", r.name)
	}
	return nil
}

// updateRecord changes the TTL of any record, and name and address of an A record that no PTR record points at.
func (c *call) updateRecord() (reply, error) {
	r, err := c.recordByPath()
	if err != nil {
		return reply{}, err
	}
	var p recordPrototype
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	next := *r
	if next.ttl, err = p.ttl(defaultTTL); err != nil {
		return reply{}, err
	}
	switch r.kind {
	case recordA:
		if err := c.fillA(&next, &p); err != nil {
			return reply{}, err
		}
		if next.name != r.name || next.data != r.data {
			if err := c.needsNoPTR(r); err != nil {
				return reply{}, err
			}
		}
	default: // that only the TTL of a PTR record may change is inferred
		addr, err := netip.ParseAddr(p.Name)
		if err == nil && addr.Is4() {
			p.Name = reverseName(addr)
		}
		if p.Name != r.name || !strings.EqualFold(strings.TrimSuffix(p.Rdata.Ptrdname, "."), r.data) {
			return reply{}, badField("name", p.Name, "Only the TTL of a PTR record can be changed.")
		}
	}
	next.modified = c.s.now()
	c.s.taken.drop(recordKey(r.kind, r.name, r.data))
	c.s.taken.add(recordKey(next.kind, next.name, next.data))
	*r = next
	return ok(recordAnswerOf(r)), nil
}

func (c *call) deleteRecord() (reply, error) {
	r, err := c.recordByPath()
	if err != nil {
		return reply{}, err
	}
	if err := c.needsNoPTR(r); err != nil {
		return reply{}, err
	}
	c.s.forgetRecord(r)
	return noContent(), nil
}
