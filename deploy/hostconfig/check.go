package hostconfig

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
)

// Inventory is what is known of the nodes that are there. Names are compared
// without regard to case.
type Inventory struct {
	// Addresses tells which node holds an address.
	Addresses map[netip.Addr]string
	// Members are the nodes of clouds whose documents were written before. The
	// roles of a cloud are counted over them and the request, and a request may
	// join their VIP.
	Members []Member
}

// Member is a node of a cloud.
type Member struct {
	Node  string
	VIP   netip.Addr
	Roles []string
}

// Check tells everything that is wrong with the cards: each by itself, one
// beside the other and beside the inventory. A node's own addresses in the
// inventory are no conflict: those of the node that the card's key names or
// whose address it is; without a key, of the one that holds the document's
// Target; else of the one with the document's host name. Errors are in the order
// of the cards; what Parse found wrong is not told again.
func Check(cards []Card, inv Inventory) []deploy.FieldError {
	c := &checker{cards: cards, inv: inv, names: map[string]bool{}, vips: map[netip.Addr]string{}}
	for _, n := range inv.Addresses {
		c.names[strings.ToLower(n)] = true
	}
	for _, m := range inv.Members {
		c.names[strings.ToLower(m.Node)] = true
		c.vips[m.VIP] = m.Node
	}
	c.gather()
	for i := range cards {
		if cards[i].Doc != nil {
			c.card(i)
		}
	}
	return capped(c.errs)
}

// use is an address and where it stands.
type use struct {
	addr netip.Addr
	card int
	path string // of the field
	what string // for people: "interface_01"
}

type checker struct {
	cards []Card
	inv   Inventory
	names map[string]bool       // of the inventory's nodes, lower case
	vips  map[netip.Addr]string // of the inventory's clouds, with a node of each

	nodes    []use // addresses of interfaces, in order
	gateways []use
	shared   []use // VIPs
	unclear  bool  // a VIP cannot be understood, so it is open which nodes make a cloud
	first    map[netip.Addr]use
	router   map[netip.Addr]use

	keys, hosts      map[string]int // card by canonical key, by host name in lower case
	provider, tenant map[string]int // card by VIP

	at   int // the card being checked
	errs []deploy.FieldError
}

// gather finds every address of the request before the first is judged.
func (c *checker) gather() {
	c.first, c.router = map[netip.Addr]use{}, map[netip.Addr]use{}
	c.keys, c.hosts = map[string]int{}, map[string]int{}
	c.provider, c.tenant = map[string]int{}, map[string]int{}
	for i := range c.cards {
		d := c.cards[i].Doc
		if d == nil {
			continue
		}
		for _, r := range d.rows() {
			if !r.addressed() {
				continue
			}
			at := propertiesPath(r.Interface)
			if a, ok := parseAddr(r.Properties.IPAddress); ok {
				c.nodes = append(c.nodes, use{a, i, at + ".IP_ADDRESS", r.Key})
			}
			if a, ok := parseAddr(r.Properties.Gateway); ok {
				c.gateways = append(c.gateways, use{a, i, at + ".gateway", r.Key})
			}
		}
		if key, _ := vipField.wrong(d.ServerVIP); key == "" {
			a, _ := parseAddr(d.ServerVIP)
			c.shared = append(c.shared, use{a, i, vipField.name, vipField.name})
		} else if d.ServerVIP != "" || slices.Contains(d.garbled, vipField.name) {
			c.unclear = true
		}
	}
	keepFirst(c.first, c.nodes)
	keepFirst(c.router, c.gateways)
}

func keepFirst(m map[netip.Addr]use, all []use) {
	for _, u := range all {
		if _, ok := m[u.addr]; !ok {
			m[u.addr] = u
		}
	}
}

// add notes an error of the card being checked, unless it only follows from
// what could not be read.
func (c *checker) add(path, key string, fill ...string) {
	if len(c.errs) > MaxErrors {
		return
	}
	f := fault(path, key, fill...)
	follows := f.Code == deploy.CodeRequired || key == KeyBondMembers || key == KeyRolesIncomplete
	for _, g := range c.cards[c.at].Doc.garbled {
		if g == path || follows && strings.HasPrefix(g, path+".") {
			return
		}
	}
	f.Field = "cards." + strconv.Itoa(c.at) + "." + path
	c.errs = append(c.errs, f)
}

// of tells people where something stands.
func (c *checker) of(card int, what string) string {
	if card == c.at {
		return what
	}
	return what + " of " + c.title(card)
}

// title names a card for people.
func (c *checker) title(card int) string {
	if d := c.cards[card].Doc; d != nil && d.Hostname != "" {
		return short(d.Hostname)
	}
	if k := c.cards[card].Key; k != "" {
		return short(k)
	}
	return fmt.Sprintf("node %d of the request", card+1)
}

// short cuts a text from outside that a message repeats.
func short(s string) string {
	const longest = 64
	if r := []rune(s); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return s
}

func (c *checker) card(i int) {
	c.at = i
	d := c.cards[i].Doc
	c.key()
	c.interfaces(d)
	c.hostname(d)
	c.disks(d)
	c.roles(d)
	c.vip(d)
	c.providerNetwork(d)
	c.tenantNetwork(d)
}

// key checks the card's key in the request.
func (c *checker) key() {
	key := strings.TrimSpace(c.cards[c.at].Key)
	if c.cards[c.at].Key == "" {
		return
	}
	canon := strings.ToLower(key)
	if a, ok := parseAddr(key); ok {
		canon = a.String()
	} else if !nodeKey(key) {
		c.add("key", KeyNodeKeyBad)
	}
	if other, ok := c.keys[canon]; ok {
		c.add("key", KeyNodeTwice, "other", c.title(other))
		return
	}
	c.keys[canon] = c.at
}

// nodeKey tells whether a key is a host name: labels of RFC 1123, and nothing
// that was meant as an address.
func nodeKey(s string) bool {
	labels := strings.Split(s, ".")
	if len(s) > 253 || len(labels) > 1 && digits.MatchString(labels[len(labels)-1]) {
		return false
	}
	return !slices.ContainsFunc(labels, func(l string) bool { return !hostName.MatchString(l) })
}

// own gives the name, in lower case, of the node in the inventory that the card
// is for, or that it would have there.
func (c *checker) own(i int) string {
	card := c.cards[i]
	holder := func(a netip.Addr, ok bool) string {
		if !ok {
			return ""
		}
		return strings.ToLower(c.inv.Addresses[a])
	}
	if key := strings.TrimSpace(card.Key); key != "" {
		if n := holder(parseAddr(key)); n != "" {
			return n
		}
		if n := strings.ToLower(key); c.names[n] {
			return n
		}
	} else if n := holder(card.Doc.Target()); n != "" {
		return n
	}
	return strings.ToLower(card.Doc.Hostname)
}

// held tells who else holds an address, by the inventory.
func (c *checker) held(a netip.Addr) string {
	if n := c.inv.Addresses[a]; n != "" && !strings.EqualFold(n, c.own(c.at)) {
		return n
	}
	return ""
}

func (c *checker) hostname(d *Document) {
	f := &hostnameField
	name := strings.ToLower(d.Hostname)
	key, _ := f.wrong(d.Hostname)
	switch {
	case name == "":
		c.add(f.name, f.required)
		return
	case key != "":
		c.add(f.name, key)
	case c.names[name] && name != c.own(c.at):
		c.add(f.name, KeyHostnameInInventory)
	}
	if other, ok := c.hosts[name]; ok {
		c.add(f.name, KeyHostnameTwice, "value", short(d.Hostname), "other", fmt.Sprintf("node %d of the request", other+1))
		return
	}
	c.hosts[name] = c.at
}

func (c *checker) disks(d *Document) {
	f := &diskField
	if len(d.Disks) == 0 && slices.Contains(d.Roles, RoleStorage) {
		c.add(f.name, KeyDiskRequired)
	}
	c.list(f, d.Disks, KeyDiskTwice)
}

// list checks the values of a list, and that each comes once.
func (c *checker) list(f *field[Document], values []string, twice string) {
	seen := map[string]bool{}
	for _, v := range values {
		if key, fill := f.wrong(v); key != "" {
			c.add(f.name, key, append(fill, "value", strconv.Quote(short(v)))...)
		} else if seen[v] {
			c.add(f.name, twice, "value", v)
		}
		seen[v] = true
	}
}
