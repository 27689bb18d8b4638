package deploy

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestClusterLabel(t *testing.T) {
	for name, want := range map[string]string{
		"prod": "prod", "Prod_1.east": "prod-1-east", "a__b": "a-b", "-x-": "x", "9": "9", "Größe": "gr-e",
		strings.Repeat("a", 63): strings.Repeat("a", 63), strings.Repeat("a", 63) + "..": strings.Repeat("a", 63),
	} {
		if got, ok := ClusterLabel(name); !ok || got != want {
			t.Errorf("%q: %q %v, want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "_", "..", strings.Repeat("a", 64), "é"} {
		if got, ok := ClusterLabel(name); ok {
			t.Errorf("%q gave the label %q", name, got)
		}
	}
}

// Whatever is said to be a label is one (RFC 1123 section 2.1), and its own.
func TestClusterLabelIsALabel(t *testing.T) {
	form := regexp.MustCompile(`\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z`)
	rapid.Check(t, func(t *rapid.T) {
		label, ok := ClusterLabel(rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,74}`)).Draw(t, "name"))
		if !ok {
			return
		}
		if again, _ := ClusterLabel(label); !form.MatchString(label) || again != label {
			t.Fatalf("%q, and of that %q", label, again)
		}
	})
}
