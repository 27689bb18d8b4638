package ibmvpc_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
)

// A console's URL is a secret: no answer, however broken, brings it into an
// error or a row.
func TestConsoleSecretShowsNowhere(t *testing.T) {
	const secret = "a-token-that-must-show-nowhere"
	for name, body := range map[string]string{
		"not to be read":  `{"access_token":"` + secret + `","href":"wss://x/?access_token=` + secret,
		"of another form": `{"access_token":["` + secret + `"],"href":"wss://x/?access_token=` + secret + `"}`,
		"no websocket":    `{"access_token":"` + secret + `","href":"javascript:` + secret + `"}`,
		"no URL":          `{"access_token":"` + secret + `","href":"://` + secret + `"}`,
		"nothing":         `{"access_token":"` + secret + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			c, j := newCloud(t), &conformance.Journal{}
			deployed(t, c, j, order())
			c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
				if strings.HasSuffix(r.URL.Path, "/console_access_token") {
					return answer(r, 200, body), nil
				}
				return http.DefaultTransport.RoundTrip(r)
			})
			got, err := c.provider(t, j).Console(t.Context(), 1, "serial", false)
			if err == nil || got != (deploy.Console{}) {
				t.Fatalf("%+v", got)
			}
			if text := fmt.Sprintf("%v %+v %#v %+v", err, err, err, j.Rows()); strings.Contains(text, secret) {
				t.Error(text)
			}
		})
	}
}

func TestConsoleIsNotOpenedTwice(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	deployed(t, c, j, order())
	c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(r)
		if strings.HasSuffix(r.URL.Path, "/console_access_token") {
			return answer(r, 503, `{"errors":[{"code":"internal_error","message":"no"}]}`), nil
		}
		return response, err
	})
	_, err := c.provider(t, j).Console(t.Context(), 1, "vnc", true)
	temporary(t, err, deploy.CodeUpstreamUnavailable)
	if n := c.State().Calls["CreateBareMetalServerConsoleAccessToken"]; n != 1 {
		t.Errorf("%d tokens, and each ends the session of the one before", n)
	}
}
