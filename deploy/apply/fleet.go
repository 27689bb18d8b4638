package apply

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy/hostconfig"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// known is a node as far as applying needs it.
type known struct {
	id       int64
	name     string
	provider string
	ip       string
	hostKey  string
	bootID   string // of its last health check
	gone     bool   // cleaned up: it holds nothing any more
	last     *version
}

// version is a document that was applied.
type version struct {
	file   string
	number int
	body   []byte
}

// fleet is what the database knows of nodes.
type fleet struct {
	byName    map[string]*known
	byAddress map[string]*known
	inventory hostconfig.Inventory
	highest   int // number of a node file that was ever given out
}

// fleet reads what the database knows of nodes and of what was applied to them.
func (s *Service) fleet(ctx context.Context) (*fleet, error) {
	f := &fleet{byName: map[string]*known{}, byAddress: map[string]*known{}, inventory: hostconfig.Inventory{Addresses: map[netip.Addr]string{}}}
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT id, name, provider, COALESCE(management_ip, ''), COALESCE(workload_ip, ''), COALESCE(ahv_ip, ''), COALESCE(cvm_ip, ''), COALESCE(ssh_host_key, ''), COALESCE(boot_id, ''), state FROM nodes`)
	if err != nil {
		return nil, fmt.Errorf("apply: reading nodes: %w", err)
	}
	defer rows.Close()
	byID := map[int64]*known{}
	for rows.Next() {
		n := &known{}
		var others [3]string
		var state string
		if err := rows.Scan(&n.id, &n.name, &n.provider, &n.ip, &others[0], &others[1], &others[2], &n.hostKey, &n.bootID, &state); err != nil {
			return nil, fmt.Errorf("apply: reading nodes: %w", err)
		}
		n.gone = state == phase.CleanedUp
		f.byName[n.name], byID[n.id] = n, n
		for _, ip := range append([]string{n.ip}, others[:]...) {
			f.holds(n, ip)
		}
		if n.ip != "" {
			f.byAddress[n.ip] = n
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("apply: reading nodes: %w", err)
	}
	return f, s.documents(ctx, f, byID)
}

func (f *fleet) holds(n *known, ip string) {
	if a, err := netip.ParseAddr(ip); err == nil {
		f.inventory.Addresses[a.Unmap()] = n.name
	}
}

// documents reads the last document of each node.
func (s *Service) documents(ctx context.Context, f *fleet, byID map[int64]*known) error {
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT d.node_id, d.file, d.number, d.body FROM script_documents d WHERE d.id IN
		(SELECT MAX(x.id) FROM script_documents x JOIN script_runs y ON y.id = x.run_id WHERE y.stored_at IS NOT NULL GROUP BY x.node_id)`)
	if err != nil {
		return fmt.Errorf("apply: reading documents: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var node int64
		v := &version{}
		if err := rows.Scan(&node, &v.file, &v.number, &v.body); err != nil {
			return fmt.Errorf("apply: reading documents: %w", err)
		}
		if n := byID[node]; n != nil {
			n.last = v
			if !n.gone {
				f.learn(n)
			}
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("apply: reading documents: %w", err)
	}
	f.highest, err = highestNumber(ctx, s.deps.Store.Read)
	return err
}

// highestNumber is the highest number of a node file that was ever written, or
// is about to be.
func highestNumber(ctx context.Context, from reader) (highest int, err error) {
	if err := from.QueryRowContext(ctx, `SELECT COALESCE(MAX(d.number), 0) FROM script_documents d JOIN script_runs r ON r.id = d.run_id
		WHERE r.stored_at IS NOT NULL OR r.state = 'storing'`).Scan(&highest); err != nil {
		return 0, fmt.Errorf("apply: reading the highest number of a node file: %w", err)
	}
	return highest, nil
}

// learn takes the addresses, roles and VIP of a node's last document into the
// inventory.
func (f *fleet) learn(n *known) {
	cards, bad := hostconfig.Parse(slices.Concat([]byte("["), n.last.body, []byte("]")))
	if len(bad) > 0 || len(cards) != 1 {
		return // written by a former version with other rules: nothing to compare with
	}
	doc := cards[0].Doc
	for _, i := range doc.Interfaces {
		if i.Properties != nil {
			f.holds(n, i.Properties.IPAddress)
		}
	}
	if vip, err := netip.ParseAddr(doc.ServerVIP); err == nil {
		f.inventory.Members = append(f.inventory.Members, hostconfig.Member{Node: n.name, VIP: vip.Unmap(), Roles: doc.Roles})
	}
}

// find gives the node that a card is for; nil if it is not there yet.
func (f *fleet) find(c hostconfig.Card) *known {
	if n := f.byName[strings.ToLower(strings.TrimSpace(c.Key))]; n != nil {
		return n
	}
	if n := f.byAddress[c.Identity()]; n != nil {
		return n
	}
	if a, ok := c.Doc.Target(); ok {
		if n := f.byAddress[a.String()]; n != nil {
			return n
		}
	}
	return f.byName[strings.ToLower(c.Doc.Hostname)]
}
