package ibmvpc_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

func TestObserveFollowsTheServer(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j)
	persist(t, c, p, order())
	var seen []string
	for range 4 {
		o, err := p.Observe(t.Context(), 1)
		if err != nil || o.Failed != nil {
			t.Fatalf("%+v, %v", o, err)
		}
		if len(seen) == 0 || seen[len(seen)-1] != o.ServerStatus {
			seen = append(seen, o.ServerStatus)
		}
		c.clock.Advance(120 * time.Millisecond)
	}
	if got := strings.Join(seen, " "); got != "pending starting running" {
		t.Errorf("saw %s", got)
	}
}

func TestObserveFailedServer(t *testing.T) {
	for reason, says := range map[string]struct {
		code deploy.Code
		hint string
	}{
		"cannot_start_capacity":             {deploy.CodeUpstreamUnavailable, "another zone"},
		"cannot_start_compute":              {deploy.CodeUpstreamUnavailable, "hardware"},
		"cannot_start_ip_address":           {deploy.CodeConflict, "address"},
		"cannot_start_network":              {deploy.CodeUpstreamUnavailable, "network"},
		"cannot_start_reservation_capacity": {deploy.CodeQuotaExceeded, "reservation"},
		"cannot_start_reservation_expired":  {deploy.CodeQuotaExceeded, "renew"},
		"cannot_reinitialize":               {deploy.CodeUpstreamUnavailable, "reinitialize"},
		"cannot_start":                      {deploy.CodeUpstreamUnavailable, "Look at the server"},
	} {
		t.Run(reason, func(t *testing.T) {
			c, j := newCloud(t), &conformance.Journal{}
			if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultServerFailed, Reason: reason}); err != nil {
				t.Fatal(err)
			}
			p := c.provider(t, j)
			persist(t, c, p, order())
			c.clock.Advance(time.Hour)
			o, err := p.Observe(t.Context(), 1)
			if err != nil || o.ServerStatus != "failed" || o.Failed == nil {
				t.Fatalf("%+v, %v", o, err)
			}
			e := final(t, o.Failed, says.code)
			if !strings.Contains(e.Hint, says.hint) || !strings.Contains(e.Message, reason) || len(o.Reasons) != 1 {
				t.Errorf("%+v: %+v", o, e)
			}
		})
	}
}

// Words that the simulator does not say, as the API's enumerations have them
// or may have them one day.
func TestObserveOtherWords(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		failed deploy.Code
		says   string
	}{
		"unknown status":   {`{"id":"x","status":"defrosting","lifecycle_state":"stable","status_reasons":[],"lifecycle_reasons":[]}`, "", ""},
		"maintenance":      {`{"id":"x","status":"maintenance","lifecycle_state":"stable"}`, "", ""},
		"suspended":        {`{"id":"x","status":"stopped","lifecycle_state":"suspended","lifecycle_reasons":[{"code":"resource_suspended_by_provider","message":"unpaid"}]}`, deploy.CodeForbidden, "unpaid"},
		"being deleted":    {`{"id":"x","status":"deleting","lifecycle_state":"deleting"}`, deploy.CodeConflict, "being deleted"},
		"lifecycle failed": {`{"id":"x","status":"pending","lifecycle_state":"failed","lifecycle_reasons":[{"code":"internal_error","message":"oops"}]}`, deploy.CodeUpstreamUnavailable, "oops"},
		"two reasons": {`{"id":"x","status":"failed","status_reasons":[{"code":"cannot_start","message":"a"},{"code":"cannot_start_ip_address","message":"b"}]}`,
			deploy.CodeConflict, "cannot_start: a; cannot_start_ip_address: b"},
		"a reason of the future": {`{"id":"x","status":"failed","status_reasons":[{"code":"cannot_start_flux","message":"m"}]}`, deploy.CodeUpstreamUnavailable, "cannot_start_flux"},
	} {
		t.Run(name, func(t *testing.T) {
			cl, j := newCloud(t), &conformance.Journal{}
			p := cl.provider(t, j)
			persist(t, cl, p, order())
			cl.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) { return answer(r, 200, c.body), nil })
			o, err := p.Observe(t.Context(), 1)
			if err != nil || (o.Failed != nil) != (c.failed != "") {
				t.Fatalf("%+v, %v", o, err)
			}
			if o.Failed != nil {
				if e := final(t, o.Failed, c.failed); !strings.Contains(e.Message, c.says) {
					t.Errorf("%v", e)
				}
			}
		})
	}
}

func TestObserveDoubtfulOrder(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultDropBefore, Operation: "CreateBareMetalServer"}); err != nil {
		t.Fatal(err)
	}
	p := c.provider(t, j)
	for c.State().Calls["CreateBareMetalServer"] == 0 {
		_, err := p.Order(t.Context(), order())
		c.clock.Advance(temporary(t, err, deploy.CodeUpstreamUnavailable).Wait)
	}
	temporary(t, second(p.Observe(t.Context(), 1)), deploy.CodeUpstreamUnavailable)
}
