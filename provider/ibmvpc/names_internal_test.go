package ibmvpc

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipwayhq/slipway/deploy"
)

func TestResourceName(t *testing.T) {
	for _, c := range []struct {
		node       string
		deployment int64
		generation int
		role, want string
	}{
		{"ahv-01", 7, 1, "", "slw-ahv-01-d7-g1"},
		{"ahv-01", 7, 2, "", "slw-ahv-01-d7-g2"},
		{"ahv-01", 12345, 1, "management", "slw-ahv-01-d12345-g1-mgmt"},
		{"ahv-01", 7, 1, "workload-3", "slw-ahv-01-d7-g1-w3"},
		{"ahv-01", 7, 1, roleVLAN(4094), "slw-ahv-01-d7-g1-v4094"},
		{"ahv-01", 7, 1, roleAHV, "slw-ahv-01-d7-g1-ahv"},
		{"ahv-01", 7, 1, roleCVM, "slw-ahv-01-d7-g1-cvm"},
		{"ahv-01", 7, 1, roleCluster, "slw-ahv-01-d7-g1-cluster"},
	} {
		if got := resourceName("slw-", c.node, c.deployment, c.generation, c.role); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// accepted is the pattern of names in the VPC API reference.
var accepted = regexp.MustCompile(`^([a-z]|[a-z][-a-z0-9]*[a-z0-9])$`)

func TestResourceNamesAreAcceptedAndDistinct(t *testing.T) {
	node := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?`).Filter(func(s string) bool { return len(deploy.CheckNodeName("", s)) == 0 })
	prefix := rapid.StringMatching(`[a-z][a-z0-9-]{0,11}`)
	role := rapid.SampledFrom([]string{"", roleManagement, roleWorkload(1), roleWorkload(7), roleVLAN(1), roleVLAN(4094), roleAHV, roleCVM, roleCluster})
	type key struct {
		node       string
		deployment int64
		generation int
		role       string
	}
	rapid.Check(t, func(t *rapid.T) {
		pre := prefix.Draw(t, "prefix")
		// A deployment belongs to one node, so the same id never has two.
		a := key{node.Draw(t, "node"), rapid.Int64Min(1).Draw(t, "deployment"), rapid.IntRange(1, 99).Draw(t, "generation"), role.Draw(t, "role")}
		b := key{node.Draw(t, "node"), rapid.Int64Min(1).Draw(t, "deployment"), rapid.IntRange(1, 99).Draw(t, "generation"), role.Draw(t, "role")}
		if a.deployment == b.deployment {
			b.node = a.node
		}
		names := map[string]key{}
		for _, k := range []key{a, b} {
			name := resourceName(pre, k.node, k.deployment, k.generation, k.role)
			if len(name) > 63 || !accepted.MatchString(name) || strings.HasPrefix(name, "ibm-") && !strings.HasPrefix(pre, "ibm-") {
				t.Fatalf("%q is no name that IBM takes", name)
			}
			if other, taken := names[name]; taken && other != k {
				t.Fatalf("%+v and %+v are both %s", other, k, name)
			}
			names[name] = k
		}
	})
}
