package ibmvpc_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

var nodeNames = deploy.Names{NodeID: 1, NodeName: "ahv-01", DeploymentID: 7, ManagementIP: "127.64.0.77"}

func TestRegisterNames(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j, func(config *ibmvpc.Config) { config.DNSZone = strings.ToUpper(vpcsim.DefaultDNSZone) + "." })
	if !p.HasNames() {
		t.Fatal("a zone is set")
	}
	if err := p.RegisterNames(t.Context(), nodeNames); err != nil {
		t.Fatal(err)
	}
	want := []vpcsim.RecordState{
		{Type: "A", Name: "ahv-01." + vpcsim.DefaultDNSZone, Data: "127.64.0.77"},
		{Type: "PTR", Name: "77.0.64.127.in-addr.arpa", Data: "ahv-01." + vpcsim.DefaultDNSZone},
	}
	if diff := cmp.Diff(want, c.State().Records); diff != "" {
		t.Error(diff)
	}
	for _, kind := range []string{"dns_a", "dns_ptr"} {
		if row := rowOf(t, j, kind); row.State != deploy.ResourcePresent || row.CloudID == "" || row.Name != "ahv-01."+vpcsim.DefaultDNSZone+"/d7-g1" {
			t.Errorf("row %+v", row)
		}
	}
}

func TestNamesThatWereHandedOverAreNotMadeAgain(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j)
	if err := p.RegisterNames(t.Context(), nodeNames); err != nil {
		t.Fatal(err)
	}
	before := j.Rows()
	j.Move(nodeNames.NodeID, nodeNames.DeploymentID, 8)
	again := nodeNames
	again.DeploymentID = 8
	if err := p.RegisterNames(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	rows := j.Rows()
	if len(rows) != len(before) {
		t.Fatalf("the journal has %d rows of %d records", len(rows), len(before))
	}
	for i, row := range rows {
		if row.HeldBy != 8 || row.CloudID != before[i].CloudID || row.State != deploy.ResourcePresent {
			t.Errorf("row %+v, before %+v", row, before[i])
		}
	}
	if n := len(c.State().Records); n != 2 {
		t.Errorf("%d records", n)
	}
}

func TestNamesInUse(t *testing.T) {
	c := newCloud(t)
	if err := c.provider(t, &conformance.Journal{}).RegisterNames(t.Context(), nodeNames); err != nil {
		t.Fatal(err)
	}
	otherAddress, otherName := nodeNames, nodeNames
	otherAddress.ManagementIP = "127.64.0.78"
	otherName.NodeName = "ahv-02"
	for says, n := range map[string]deploy.Names{"for 127.64.0.77 and not for 127.64.0.78": otherAddress, "has a PTR record already": otherName} {
		e := final(t, c.provider(t, &conformance.Journal{}).RegisterNames(t.Context(), n), deploy.CodeNameInUse)
		if !strings.Contains(e.Message, says) {
			t.Errorf("%v; want %q", e, says)
		}
	}
}

func TestNamesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		names  deploy.Names
		config func(*ibmvpc.Config)
		code   deploy.Code
	}{
		"no such zone":     {nodeNames, func(c *ibmvpc.Config) { c.DNSZone = "other.test" }, deploy.CodeInvalid},
		"no such instance": {nodeNames, func(c *ibmvpc.Config) { c.DNSInstance = "other" }, deploy.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			cl := newCloud(t)
			final(t, cl.provider(t, &conformance.Journal{}, c.config).RegisterNames(t.Context(), c.names), c.code)
		})
	}
	cl := newCloud(t)
	for _, address := range []string{"", "fd00::1", "node"} {
		n := nodeNames
		n.ManagementIP = address
		err := cl.provider(t, &conformance.Journal{}).RegisterNames(t.Context(), n)
		var e *deploy.ProviderError
		if !errors.As(err, &e) || e.Code != deploy.CodeInvalid || e.Temporary {
			t.Errorf("%q: %v", address, err)
		}
	}
	if n := cl.State().DNSRecordsCreated; n != 0 {
		t.Errorf("%d records", n)
	}
}

func TestZoneThatIsNotActive(t *testing.T) {
	c := newCloud(t)
	c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		return answer(r, 200, `{"dnszones":[{"id":"z","name":"`+vpcsim.DefaultDNSZone+`","state":"PENDING_NETWORK_ADD"}],"offset":0,"limit":10,"count":1,"total_count":1,"first":{"href":"x"},"last":{"href":"x"}}`), nil
	})
	final(t, c.provider(t, &conformance.Journal{}).RegisterNames(t.Context(), nodeNames), deploy.CodeWrongState)
}

func TestWithoutAZoneNothingIsCalled(t *testing.T) {
	c := newCloud(t)
	p := c.provider(t, &conformance.Journal{}, func(config *ibmvpc.Config) { config.DNSInstance, config.DNSZone = "", "" })
	if err := p.RegisterNames(t.Context(), nodeNames); err != nil || p.HasNames() || len(c.State().Calls) > 0 {
		t.Errorf("%v, %v", err, c.State().Calls)
	}
}

// A record whose answer was lost must be found on a later page as well.
func TestLostRecordOnALaterPage(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	var zones struct{ Dnszones []struct{ ID string } }
	zonePath := "/instances/" + vpcsim.DefaultDNSInstance + "/dnszones"
	decode(t, c.request(t, http.MethodGet, zonePath, "", 200), &zones)
	for i := range 205 {
		c.request(t, http.MethodPost, zonePath+"/"+zones.Dnszones[0].ID+"/resource_records",
			fmt.Sprintf(`{"type":"A","name":"n%d","rdata":{"ip":"127.64.2.%d"}}`, i, i+1), 200)
	}
	if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultDropAfter, Operation: "CreateResourceRecord", Times: 1}); err != nil {
		t.Fatal(err)
	}
	if err := c.provider(t, j).RegisterNames(t.Context(), nodeNames); err != nil {
		t.Fatal(err)
	}
	if s := c.State(); s.DNSRecordsCreated != 207 || len(c.Faults()) > 0 {
		t.Errorf("%d records, want 205 and ours", s.DNSRecordsCreated)
	}
}
