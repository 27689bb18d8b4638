package ibmvpc_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}

// Answers that a proxy or a bad day makes: none may panic, and what is not
// clear leaves the row in doubt.
func TestStrangeAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer   func(r *http.Request) *http.Response
		doubtful bool
		code     deploy.Code
	}{
		"empty list of errors": {func(r *http.Request) *http.Response { return answer(r, 400, `{"errors":[],"trace":"t"}`) }, false, deploy.CodeInvalid},
		"errors of another form": {func(r *http.Request) *http.Response {
			return answer(r, 400, `{"errors":"none","trace":7}`)
		}, false, deploy.CodeInvalid},
		"HTML from a proxy": {func(r *http.Request) *http.Response {
			a := answer(r, 502, "<html>Bad Gateway</html>")
			a.Header.Set("Content-Type", "text/html")
			return a
		}, true, deploy.CodeUpstreamUnavailable},
		"nothing": {func(r *http.Request) *http.Response {
			a := answer(r, 500, "")
			a.Header.Del("Content-Type")
			return a
		}, true, deploy.CodeUpstreamUnavailable},
		"success that cannot be read": {func(r *http.Request) *http.Response { return answer(r, 201, `{"id": "07`) }, true, deploy.CodeUpstreamUnavailable},
		"success in another type": {func(r *http.Request) *http.Response {
			a := answer(r, 201, "ok")
			a.Header.Set("Content-Type", "text/plain")
			return a
		}, true, deploy.CodeUpstreamUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			cl, j := newCloud(t), &conformance.Journal{}
			strange := true
			cl.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
				if strange && r.Method == http.MethodPost {
					return c.answer(r), nil
				}
				return http.DefaultTransport.RoundTrip(r)
			})
			p := cl.provider(t, j)
			_, err := p.Order(t.Context(), order())
			want := deploy.ResourceIntent
			if c.doubtful {
				want = deploy.ResourceDoubtful
				temporary(t, err, c.code)
			} else {
				final(t, err, c.code)
			}
			if row := rowOf(t, j, "reserved_ip"); row.State != want {
				t.Errorf("row %+v, want %s", row, want)
			}
			strange = false
			persist(t, cl, p, order())
		})
	}
}

// A create that never answers is given up at its deadline and looked for.
func TestCreateThatHangs(t *testing.T) {
	cl, j := newCloud(t), &conformance.Journal{}
	hang := true
	cl.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		if hang && r.Method == http.MethodPost {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	p := cl.provider(t, j, func(c *ibmvpc.Config) { c.CreateTimeout = 20 * time.Millisecond })
	_, err := p.Order(t.Context(), order())
	temporary(t, err, deploy.CodeUpstreamUnavailable)
	if row := rowOf(t, j, "reserved_ip"); row.State != deploy.ResourceDoubtful {
		t.Errorf("row %+v", row)
	}
	hang = false
	persist(t, cl, p, order())
	if s := cl.State(); s.ServersCreated != 1 || s.ReservedIPsCreated != 2 {
		t.Errorf("%+v", s)
	}
}

// IBM's enumerations grow: words that nobody knows yet stop nothing.
func TestUnknownWords(t *testing.T) {
	cl, j := newCloud(t), &conformance.Journal{}
	word := func(body map[string]any, keys ...string) {
		for _, key := range keys {
			if _, is := body[key]; is {
				body[key] = "contemplating"
			}
		}
	}
	words := edit(http.MethodGet, "/", func(body map[string]any) {
		word(body, "lifecycle_state", "protocol_state_filtering_mode", "status", "health_state", "resource_type")
		for _, key := range []string{"vpcs", "subnets", "reserved_ips", "virtual_network_interfaces", "keys", "bare_metal_server_profiles"} {
			items, _ := body[key].([]any)
			for _, item := range items {
				if of, ok := item.(map[string]any); ok {
					word(of, "lifecycle_state", "health_state", "ip_version", "family", "type")
				}
			}
		}
	})
	cl.wire.base = words
	m := persist(t, cl, cl.provider(t, j, ranged), order())
	again, err := cl.provider(t, j, ranged).Order(t.Context(), order())
	if err != nil || again.ServerStatus != "contemplating" || again.ServerID != m.ServerID || again.AHVIP == "" {
		t.Errorf("%+v, %v", again, err)
	}
	o, err := cl.provider(t, j, ranged).Observe(t.Context(), 1)
	if err != nil || o.ServerStatus != "contemplating" || o.Failed != nil {
		t.Errorf("%+v, %v", o, err)
	}
}

// A read that is refused for now is tried again by the SDK after the time that
// the answer names.
func TestReadThatIsThrottledOnce(t *testing.T) {
	cl, j := newCloud(t), &conformance.Journal{}
	if _, err := cl.AddFault(vpcsim.Fault{Kind: vpcsim.FaultFail, Operation: "ListSubnets", Status: 429, RetryAfterSeconds: 1, Times: 1}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	persist(t, cl, cl.provider(t, j), order())
	if s := cl.State(); s.Calls["ListSubnets"] != 2 || time.Since(began) < time.Second {
		t.Errorf("%d calls in %v", s.Calls["ListSubnets"], time.Since(began))
	}
}
