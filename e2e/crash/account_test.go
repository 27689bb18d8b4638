package crash

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
)

// account compares the journal with everything that the cloud has ever made.
func (w *world) account(s *state, lives []*life) error {
	var bad problems
	made := map[string]int{}
	servers := map[int64]int{}
	counted := map[string]bool{} // a record that a later deployment takes over has two rows
	for _, r := range s.Rows {
		if r.CloudID == "" || counted[r.CloudID] {
			continue
		}
		counted[r.CloudID] = true
		made[r.Kind]++
		if r.Kind == "server" {
			servers[r.CreatedBy]++
		}
	}
	c := w.sim.State()
	for _, pair := range []struct {
		what          string
		cloud, itself int
	}{
		{"servers", c.ServersCreated, made["server"]},
		{"interfaces", c.VNIsCreated, made["vni"]},
		{"addresses", c.ReservedIPsCreated, made["reserved_ip"]},
		{"records", c.DNSRecordsCreated, made["dns_a"] + made["dns_ptr"]},
	} {
		if pair.cloud != pair.itself {
			bad.add("%d %s were made in the cloud, the journal knows of %d", pair.cloud, pair.what, pair.itself)
		}
	}
	replaced := map[int64]int{}
	for _, l := range lives {
		for id, n := range l.replaced {
			replaced[id] += n
		}
	}
	for _, d := range s.Deployments {
		most, least := 1+replaced[d.ID], 0
		if d.Kind != deploy.KindInstall {
			most = 0
		} else if d.Successes > 0 {
			least = most
		}
		if n := servers[d.ID]; n < least || n > most {
			bad.add("%s %d of %s has made %d servers", d.Kind, d.ID, d.Name, n)
		}
	}
	return bad.err()
}

// empty checks that nothing is left in the account.
func (w *world) empty(s *state) error {
	var bad problems
	for _, r := range s.Rows {
		if r.State != deploy.ResourceGone {
			bad.add("%s %s is %s in the journal", r.Kind, r.Name, r.State)
		}
	}
	c := w.sim.State()
	if c.LiveServers+c.VNIs+c.ReservedIPs+c.DNSRecords > 0 {
		bad.add("left in the cloud are %d servers, %d interfaces, %d addresses %v, %d records %v", c.LiveServers, c.VNIs, c.ReservedIPs, c.Addresses, c.DNSRecords, c.Records)
	}
	return bad.err()
}

// audited asks the provider itself for differences.
func (w *world) audited(ctx context.Context) error {
	out, err := w.ask(ctx, request{Verb: "audit"})
	if err != nil {
		return err
	}
	var bad problems
	for _, d := range out.State.Drift {
		bad.add("the audit finds %s: %s %s (%s): %s", d.Problem, d.Kind, d.Name, d.CloudID, d.Message)
	}
	return bad.err()
}

// closing waits until nothing runs any more, and balances the books.
func (w *world) closing(ctx context.Context, lives []*life) error {
	s, err := w.rest(ctx, 0)
	if err != nil {
		return err
	}
	return errors.Join(w.account(s, lives), w.empty(s), w.audited(ctx))
}

// problems collects what is wrong, for a report that names all of it.
type problems struct{ list []string }

func (p *problems) add(format string, args ...any) {
	p.list = append(p.list, fmt.Sprintf(format, args...))
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return errors.New(strings.Join(p.list, "\n\t"))
}
