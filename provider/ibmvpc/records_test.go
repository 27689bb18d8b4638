package ibmvpc_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

const host = "ahv-01." + vpcsim.DefaultDNSZone

// A record that is as Slipway's would be, but that somebody else made, is in
// the way, and the cleanup leaves it alone.
func TestNameOfOthersIsNeverTakenOver(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	c.record(t, http.MethodPost, "", `{"type":"A","name":"ahv-01","rdata":{"ip":"127.64.0.77"}}`)
	p := c.provider(t, j)
	inTheWay(t, p, "the name "+host+" has the A record for 127.64.0.77 already")
	steps, err := p.Release(t.Context(), deploy.Release{NodeID: 1, NodeName: "ahv-01", DeploymentID: 7})
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 1 || steps[0].Kind != "dns_a" || steps[0].Status != deploy.ReleaseKept {
		t.Errorf("%+v", steps)
	}
	if got := c.State().Records; len(got) != 1 {
		t.Errorf("the record made by hand is gone: %+v", got)
	}
	// Nor is it an orphan: Slipway asked for none.
	wantShort(t, audited(t, p, j))
}

func TestPointerOfOthersIsNeverTakenOver(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	cut := errors.New("the connection is cut")
	c.wire.hook(conformance.Hooks{Before: after(3, cut)}) // the third call makes the A record
	temporary(t, c.provider(t, j).RegisterNames(t.Context(), nodeNames), deploy.CodeUpstreamUnavailable)
	c.wire.hook(conformance.Hooks{})
	c.record(t, http.MethodPost, "", `{"type":"PTR","name":"127.64.0.77","rdata":{"ptrdname":"`+host+`"}}`)
	p := c.provider(t, j)
	inTheWay(t, p, "has the PTR record for "+host+" already")
	// The A record cannot go while something points at it.
	steps, err := p.Release(t.Context(), deploy.Release{NodeID: 1, NodeName: "ahv-01", DeploymentID: 7})
	temporary(t, err, deploy.CodeConflict)
	if len(steps) != 2 || steps[0].Kind != "dns_ptr" || steps[0].Status != deploy.ReleaseKept || steps[1].Status == deploy.ReleaseDone || len(c.State().Records) != 2 {
		t.Errorf("%+v, %+v", steps, c.State().Records)
	}
	c.unrecord(t, "PTR", "77.0.64.127.in-addr.arpa")
	if _, err := p.Release(t.Context(), deploy.Release{NodeID: 1, NodeName: "ahv-01", DeploymentID: 7}); err != nil || len(c.State().Records) != 0 {
		t.Errorf("%v, %+v", err, c.State().Records)
	}
}

// inTheWay registers the node's names, again and again in vain.
func inTheWay(t *testing.T, p *ibmvpc.Provider, says string) {
	t.Helper()
	for range 2 {
		e := final(t, p.RegisterNames(t.Context(), nodeNames), deploy.CodeNameInUse)
		if !strings.Contains(e.Message, says) || !strings.Contains(e.Hint, "Delete that record") {
			t.Errorf("%+v; want %q", e, says)
		}
	}
}

// after gives an error from the call after the n-th on.
func after(n int, err error) func(int) error {
	return func(call int) error {
		if call <= n {
			return nil
		}
		return err
	}
}

// unrecord deletes a record past the provider.
func (c *cloud) unrecord(t *testing.T, recordType, name string) {
	t.Helper()
	c.request(t, http.MethodDelete, c.zonePath(t)+"/resource_records/"+c.recordID(t, recordType, name), "", 204)
}

func (c *cloud) zonePath(t *testing.T) string {
	t.Helper()
	var zones struct{ Dnszones []struct{ ID string } }
	decode(t, c.request(t, http.MethodGet, "/instances/"+vpcsim.DefaultDNSInstance+"/dnszones", "", 200), &zones)
	return "/instances/" + vpcsim.DefaultDNSInstance + "/dnszones/" + zones.Dnszones[0].ID
}

// recordID finds a record by type and name.
func (c *cloud) recordID(t *testing.T, recordType, name string) string {
	t.Helper()
	var all struct {
		Records []struct{ ID, Type, Name string } `json:"resource_records"`
	}
	decode(t, c.request(t, http.MethodGet, c.zonePath(t)+"/resource_records", "", 200), &all)
	for _, r := range all.Records {
		if r.Type == recordType && r.Name == name {
			return r.ID
		}
	}
	t.Fatalf("no %s record %s in %+v", recordType, name, all)
	panic("not reached")
}

func TestPlanFindsRecordsOfOthers(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	c.record(t, http.MethodPost, "", `{"type":"A","name":"ahv-01","rdata":{"ip":"127.64.0.77"}}`)
	c.record(t, http.MethodPost, "", `{"type":"PTR","name":"127.64.0.77","rdata":{"ptrdname":"`+host+`"}}`)
	plan := func() (says []string) {
		for _, check := range planned(t, c.provider(t, j, booting), func(o *deploy.Order) { o.Spec.ManagementIP = "127.64.0.77" }) {
			if check.Key == ibmvpc.CheckNames && !check.Passed {
				if check.Severity != deploy.CheckError || !strings.Contains(check.Hint, "Delete that record") {
					t.Errorf("%+v", check)
				}
				says = append(says, check.Message)
			}
		}
		return says
	}
	if says := plan(); len(says) != 2 || !strings.Contains(says[0], "A record for 127.64.0.77 already") || !strings.Contains(says[1], "PTR record for "+host+" already") {
		t.Errorf("%q", says)
	}
	// Those that the node has itself are in nobody's way.
	c.unrecord(t, "PTR", "77.0.64.127.in-addr.arpa")
	c.unrecord(t, "A", host)
	if err := c.provider(t, j).RegisterNames(t.Context(), nodeNames); err != nil {
		t.Fatal(err)
	}
	if says := plan(); len(says) != 0 {
		t.Errorf("%q", says)
	}
}

// A record whose create was lost is ours, also after the node was renamed.
func TestRecordsKeepTheirNameWhenTheNodeIsRenamed(t *testing.T) {
	for name, lost := range map[string]bool{"in doubt": true, "present": false} {
		t.Run(name, func(t *testing.T) {
			c, j := newCloud(t), &conformance.Journal{}
			if lost {
				cut := errors.New("the connection is cut")
				// The third call is the create, after those that look at the zone.
				c.wire.hook(conformance.Hooks{Before: after(3, cut), After: after(2, cut)})
				temporary(t, c.provider(t, j).RegisterNames(t.Context(), nodeNames), deploy.CodeUpstreamUnavailable)
				if row := rowOf(t, j, "dns_a"); row.State != deploy.ResourceDoubtful {
					t.Fatalf("%+v", row)
				}
				c.wire.hook(conformance.Hooks{})
			} else if err := c.provider(t, j).RegisterNames(t.Context(), nodeNames); err != nil {
				t.Fatal(err)
			}
			j.Move(1, 7, 8)
			n := nodeNames
			n.NodeName, n.DeploymentID = "renamed", 8
			c.clock.Advance(time.Minute)
			if err := c.provider(t, j).RegisterNames(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			if got := c.State().Records; len(got) != 2 || got[0].Name != host || got[1].Data != host {
				t.Errorf("%+v", got)
			}
			for _, row := range j.Rows() {
				if row.State != deploy.ResourcePresent || row.HeldBy != 8 {
					t.Errorf("%+v", row)
				}
			}
		})
	}
}

// Another name for a node's address is people's business.
func TestAliasOfANodeIsNoOrphan(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	m := deployed(t, c, j, order())
	c.record(t, http.MethodPost, "", `{"type":"A","name":"portal","rdata":{"ip":"`+m.ManagementIP+`"}}`)
	p := c.provider(t, j)
	wantShort(t, audited(t, p, j))
	portal := "portal." + vpcsim.DefaultDNSZone
	alias := deploy.Drift{Problem: deploy.DriftOrphan, Kind: "dns_a", Name: portal, CloudID: c.recordID(t, "A", portal)}
	if e := final(t, p.RemoveOrphan(t.Context(), alias), deploy.CodeConflict); !strings.Contains(e.Message, portal) {
		t.Error(e)
	}
	// Not even when the journal knows nothing of the node: only its own name is an orphan then.
	empty := &conformance.Journal{}
	var records []string
	for _, d := range audited(t, c.provider(t, empty), empty) {
		if d.Kind == "dns_a" {
			records = append(records, d.Name)
		}
	}
	if !slices.Equal(records, []string{host}) {
		t.Errorf("orphans %q", records)
	}
	final(t, c.provider(t, empty).RemoveOrphan(t.Context(), alias), deploy.CodeConflict)
	if n := len(c.State().Records); n != 3 {
		t.Errorf("%d records", n)
	}
}

// A name that a node once had is an alias as well when it leads to a node.
func TestNameOfAnEarlierNodeThatLeadsToANodeIsNoOrphan(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	first := order(func(o *deploy.Order) { o.NodeID, o.NodeName, o.DeploymentID = 2, "earlier", 5 })
	deployed(t, c, j, first)
	released(t, c, j, first)
	m := deployed(t, c, j, order())
	c.record(t, http.MethodPost, "", `{"type":"A","name":"earlier","rdata":{"ip":"`+m.ManagementIP+`"}}`)
	wantShort(t, audited(t, c.provider(t, j), j))
	c.record(t, http.MethodPost, "", `{"type":"A","name":"earlier","rdata":{"ip":"127.64.0.222"}}`)
	wantShort(t, audited(t, c.provider(t, j), j), "orphan dns_a earlier."+vpcsim.DefaultDNSZone)
}
