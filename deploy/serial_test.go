package deploy

import (
	"strings"
	"testing"
)

func TestNormalSerial(t *testing.T) {
	for in, want := range map[string]string{
		"7CX1Y23": "7CX1Y23", " 7cx1y23 ": "7CX1Y23", "VMware-56 4d ab": "VMWARE-56 4D AB", "S/N:1": "S/N:1", "a1": "A1",
		strings.Repeat("ab", 32): strings.Repeat("AB", 32),
	} {
		if got, ok := NormalSerial(in); !ok || got != want {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
		if bad := CheckSerial("serial", in); len(bad) != 0 {
			t.Errorf("%q: %v", in, bad)
		}
	}
	for _, in := range []string{
		" ", "0", "00000000", "......", "To Be Filled By O.E.M.", "default string", "Not Specified", "System Serial Number", "None", "0123456789",
		"a\nb", "sér1", "a&b", "a+b", "a#b", "a%b", "a;b", "a\x00b", strings.Repeat("ab", 33),
	} {
		if _, ok := NormalSerial(in); ok {
			t.Errorf("%q is a serial number", in)
		}
		if bad := CheckSerial("serial", in); len(bad) != 1 {
			t.Errorf("%q: %v", in, bad)
		}
	}
	if bad := CheckSerial("serial", ""); bad != nil {
		t.Error(bad)
	}
}

func TestARackMachineIsKnownByMACOrSerial(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Spec)
		want   string
	}{
		"serial alone":   {func(s *Spec) { s.MAC, s.Serial = "", "7CX1Y23" }, ""},
		"both":           {func(s *Spec) { s.Serial = "7CX1Y23" }, ""},
		"neither":        {func(s *Spec) { s.MAC = "" }, "mac"},
		"a placeholder":  {func(s *Spec) { s.MAC, s.Serial = "", "None" }, "serial"},
		"another's":      {func(s *Spec) { *s = Spec{Provider: ProviderIBMVPC, ServerProfile: "p", Serial: "7CX1Y23"} }, "serial"},
		"a bad MAC also": {func(s *Spec) { s.MAC, s.Serial = "zz", "7CX1Y23" }, "mac"},
	} {
		got := ""
		for _, f := range rackSpec(c.change).Check("") {
			got += f.Field
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
