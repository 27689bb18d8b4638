package pxe_test

import (
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// known is every kind of line that a boot script has. What a machine or a person
// wrote stands in echo lines, and there is nothing in those that iPXE acts on.
var known = regexp.MustCompile(`^(#!ipxe|# [^$;&|]*|echo|echo Slipway: [^$;&|#"\\` + "`" + `\x00-\x1f\x7f-\xff]*|set base http://[^ $]+|:[a-z_]+|sleep \d+|goto [a-z_]+|imgfree|exit 1|dhcp \|\||dhcp && goto online \|\||` +
	`kernel \$\{base\}/boot/images/[^ $]+ initrd=[^$;&|]* \|\| goto failed|initrd --name [^ $]+ \$\{base\}/boot/images/[^ $]+ \|\| goto failed|boot \|\| goto failed|` +
	`chain --replace http://[^ $]+/boot/config\?[^ $;|]* \|\||iseq \$\{platform\} efi && goto next \|\||sanboot --no-describe --drive 0x80 \|\|)$`)

// FuzzBootQuery: whatever a machine says of itself, it gets a script of ours, and
// a token only as the machine that it is.
func FuzzBootQuery(f *testing.F) {
	r := newRig(f, storetest.SQLite(f), settings())
	r.admitted("rack-01", rackIP, rackMAC)
	r.rack("rack-02", "127.0.0.22", "52:54:00:00:00:22")
	for _, q := range []string{
		"", "mac=52-54-00-00-00-21", "mac=52:54:00:00:00:21&mgmt_ip=127.0.0.21", "node_id=node_1&mac=525400000021", "mac=52-54-00-00-00-22", "node_id=1", "node_id=99999999999999999999",
		"mgmt_ip=127.0.0.21%0Achain http://evil/", "mac=${net0/mac}", "mac=%24%7Bnet0%2Fmac%7D;reboot", "mac=a&mac=b&node_id=%00", "%zz", "mgmt_ip=::ffff:127.0.0.21", "mac=" + strings.Repeat("5", 9000),
	} {
		f.Add(q, "127.0.0.99")
		f.Add(q, rackIP)
	}
	f.Fuzz(func(t *testing.T, query, remote string) {
		if remote != rackIP {
			remote = "127.0.0.99" // anybody else
		}
		req := httptest.NewRequestWithContext(t.Context(), "GET", "http://slipway.example:8080/boot/config", nil)
		req.URL = &url.URL{Path: "/boot/config", RawQuery: query}
		req.RemoteAddr = remote + ":1234"
		answer := httptest.NewRecorder()
		r.web.Config.Handler.ServeHTTP(answer, req)
		text := answer.Body.String()
		if answer.Code != 200 || !strings.HasPrefix(text, "#!ipxe\n") {
			t.Fatalf("%q: %d %q", query, answer.Code, text)
		}
		for line := range strings.Lines(text) {
			if !known.MatchString(strings.TrimSuffix(line, "\n")) {
				t.Fatalf("%q: a line of its script is %q", query, line)
			}
		}
		if strings.Contains(text, "slr_") && remote != rackIP {
			t.Fatalf("%q: a stranger got a token:\n%s", query, text)
		}
	})
}
