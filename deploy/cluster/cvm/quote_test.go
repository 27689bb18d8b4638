package cvm

import (
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
)

func addrs(s ...string) []netip.Addr {
	out := make([]netip.Addr, len(s))
	for i, a := range s {
		out[i] = netip.MustParseAddr(a)
	}
	return out
}

// A real shell gives back what was quoted, and nothing else is let through.
func TestQuoteWordAgainstBash(t *testing.T) {
	for r := rune(0); r < 0x180; r++ {
		s := "a" + string(r) + "b"
		q, err := quoteWord(s)
		if err != nil {
			if !errors.Is(err, errWord) {
				t.Fatal(err)
			}
			if strings.ContainsRune("abcXYZ019 ._,:=+/@-", r) {
				t.Errorf("%q is refused", s)
			}
			continue
		}
		if strings.ContainsRune("'\"\\$`;&|<>()*?[]#~%!{}\n\r\t\x00", r) {
			t.Errorf("%q is let through", s)
		}
		out, err := exec.Command("bash", "-c", "printf '%s|' "+q).Output()
		if err != nil || string(out) != s+"|" {
			t.Errorf("%q came back as %q: %v", s, out, err)
		}
	}
	for _, s := range []string{"", strings.Repeat("a", 1025), "$(reboot)", "x\ny"} {
		if q, err := quoteWord(s); err == nil {
			t.Errorf("%q is let through as %s", s, q)
		}
	}
}

func TestCreateCommand(t *testing.T) {
	three := addrs("10.20.0.11", "10.20.0.12", "10.20.0.13")
	for _, c := range []struct {
		name string
		spec CreateSpec
		want string // empty: refused
	}{
		{"single", CreateSpec{Members: three[:1], RedundancyFactor: 1, DNS: addrs("10.20.0.2")},
			"cluster '-s' '10.20.0.11' '--redundancy_factor=1' '--dns_servers=10.20.0.2' 'create'"},
		{"all", CreateSpec{Name: "prod-1.a_b", Members: three, RedundancyFactor: 2, VIP: netip.MustParseAddr("10.20.0.9"), DNS: addrs("10.20.0.2", "10.20.0.3"), NTP: []string{"0.pool.ntp.org", "10.20.0.4"}, SkipDiscovery: true},
			"cluster '-s' '10.20.0.11,10.20.0.12,10.20.0.13' '--redundancy_factor=2' '--cluster_name=prod-1.a_b' '--cluster_external_ip=10.20.0.9' '--dns_servers=10.20.0.2,10.20.0.3' '--ntp_servers=0.pool.ntp.org,10.20.0.4' '--skip_discovery' 'create'"},
		{"plain", CreateSpec{Members: three}, "cluster '-s' '10.20.0.11,10.20.0.12,10.20.0.13' 'create'"},
		{"no members", CreateSpec{}, ""},
		{"name with a quote", CreateSpec{Members: three, Name: "a'; reboot; '"}, ""},
		{"name with a blank", CreateSpec{Members: three, Name: "a b"}, ""},
		{"name that is an option", CreateSpec{Members: three, Name: "-f"}, ""},
		{"name over two lines", CreateSpec{Members: three, Name: "a\nb"}, ""},
		{"ntp that is a command", CreateSpec{Members: three, NTP: []string{"$(id)"}}, ""},
		{"ntp with a comma", CreateSpec{Members: three, NTP: []string{"a,b"}}, ""},
		{"ntp that is an option", CreateSpec{Members: three, NTP: []string{"-x"}}, ""},
		{"IPv6", CreateSpec{Members: addrs("fd00::1")}, ""},
		{"zone", CreateSpec{Members: addrs("fe80::1%a'b")}, ""},
		{"IPv6 address", CreateSpec{Members: three, VIP: netip.MustParseAddr("fd00::9")}, ""},
		{"zero DNS", CreateSpec{Members: three, DNS: []netip.Addr{{}}}, ""},
		{"factor", CreateSpec{Members: three, RedundancyFactor: 9}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.spec.Command()
			if (err == nil) != (c.want != "") || got != c.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func FuzzCreateCommand(f *testing.F) {
	f.Add("prod", "pool.ntp.org")
	f.Add("a'b", "$(id)")
	f.Fuzz(func(t *testing.T, name, ntp string) {
		line, err := CreateSpec{Name: name, Members: addrs("10.0.0.1"), NTP: []string{ntp}}.Command()
		if err != nil {
			return
		}
		// Outside of quotes there are blanks only, inside none of what a shell reads.
		for i, part := range strings.Split(strings.TrimPrefix(line, "cluster"), "'") {
			if i%2 == 0 && strings.Trim(part, " ") != "" || i%2 == 1 && !allowedWord.MatchString(part) {
				t.Errorf("%q", line)
			}
		}
	})
}

func TestParseDiscovered(t *testing.T) {
	const one, two = "02051760-6cda-417d-a6aa-b52ab04c100c", "3ebcaca5-1e34-4700-969e-824eec66dc88"
	text := "\n    Node Uuid   : " + one + "\n    CVM IP      : 10.20.0.14\n    Block Uuid : " + two + "\n\n    Node UUID   : " + two + "\n    CVM IP      : 10.20.0.15\n"
	for addr, want := range map[string]string{"10.20.0.14": one, "10.20.0.15": two, "10.20.0.16": "", "10.20.0.1": ""} {
		got, ok := parseDiscovered(text, netip.MustParseAddr(addr))
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q %v", addr, got, ok)
		}
	}
	if got, ok := parseDiscovered("Node Uuid : $(id)\nCVM IP : 10.20.0.14\n", netip.MustParseAddr("10.20.0.14")); ok {
		t.Errorf("took %q", got)
	}
}

func TestParseRecord(t *testing.T) {
	for _, c := range []struct {
		text string
		want Record
		bad  bool
	}{
		{text: "slipway-job idle id= exit=\n", want: Record{Known: true}},
		{text: "slipway-job busy id=a-1 exit=\nline\n", want: Record{Known: true, Busy: true, Token: "a-1", Tail: []string{"line"}}},
		{text: "slipway-job idle id=a-1 exit=1\n\nhash $6$ab$cd\n", want: Record{Known: true, Token: "a-1", Ended: true, Exit: 1, Tail: []string{"hash [removed]"}}},
		{text: "slipway-job idle id=a-1 exit=0", bad: true},
		{text: "", bad: true},
		{text: "slipway-job idle id=a b exit=0\n", bad: true},
		{text: "slipway-job idle id=a exit=zero\n", bad: true},
	} {
		got, err := parseRecord(c.text)
		if (err != nil) != c.bad {
			t.Errorf("%q: %v", c.text, err)
		}
		if err == nil && (got.Busy != c.want.Busy || got.Token != c.want.Token || got.Ended != c.want.Ended || got.Exit != c.want.Exit || strings.Join(got.Tail, "|") != strings.Join(c.want.Tail, "|")) {
			t.Errorf("%q: %+v", c.text, got)
		}
	}
	// A tail that begins in the middle of a line may begin in a secret.
	got, err := parseRecord("slipway-job idle id=a exit=0\nsecondhalf\n" + strings.Repeat("x\ny\n", tailBytes/4))
	if err != nil || strings.Contains(strings.Join(got.Tail, ""), "second") || len(got.Tail) != maxTail {
		t.Errorf("%+v %v", got, err)
	}
}
