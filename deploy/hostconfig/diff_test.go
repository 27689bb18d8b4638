package hostconfig_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/hostconfig"
)

func TestDiff(t *testing.T) {
	before := hostconfig.Render(build(shapes["default"], 0, 21, plainNetworks()))
	d := build(shapes["default"], 0, 22, plainNetworks())
	d.Interfaces[1].VLAN = "102"
	d.Roles = []string{"Compute"}
	d.Disks = nil
	withCloud(d, "10.20.0.10")
	after := hostconfig.Render(d)
	forth := []hostconfig.Change{
		{Path: "using_interfaces.interface_01.Properties.IP_ADDRESS", Kind: "changed", Before: "10.20.0.21", After: "10.20.0.22"},
		{Path: "using_interfaces.interface_02.vlan_id", Kind: "changed", Before: "101", After: "102"},
		{Path: "disk", Kind: "changed", Before: `["0x5000000000000001"]`, After: `[]`},
		{Path: "roles", Kind: "changed", Before: `["Control","Storage","Network"]`, After: `["Compute","Network"]`},
		{Path: "server_vip", Kind: "added", After: "10.20.0.10"},
	}
	assert.Equal(t, forth, hostconfig.Diff(before, after))
	var back []hostconfig.Change
	for _, c := range forth {
		c.Before, c.After = c.After, c.Before
		if c.Kind == "added" {
			c.Kind = "removed"
		}
		back = append(back, c)
	}
	assert.Equal(t, back, hostconfig.Diff(after, before))

	first := hostconfig.Diff(nil, before)
	require.NotEmpty(t, first)
	for _, c := range first {
		assert.Equal(t, "added", c.Kind)
		assert.Empty(t, c.Before)
	}
	assert.Equal(t, "using_interfaces.interface_01.interface_name", first[0].Path)
}

func TestDiffOfWhatOthersWrote(t *testing.T) {
	for name, c := range map[string]struct {
		before, after string
		want          []hostconfig.Change
	}{
		"space and order":     {`{"a":1,"b":[1, 2]}`, "{\n\"b\":[1,2],\"a\":1}", nil},
		"a number, a text":    {`{"a":1}`, `{"a":"1"}`, []hostconfig.Change{{Path: "a", Kind: "changed", Before: `1`, After: `"1"`}}},
		"removed among":       {`{"a":1,"b":2,"c":3}`, `{"a":0,"c":4}`, []hostconfig.Change{{Path: "a", Kind: "changed", Before: "1", After: "0"}, {Path: "b", Kind: "removed", Before: "2"}, {Path: "c", Kind: "changed", Before: "3", After: "4"}}},
		"removed in disorder": {`{"a":1,"b":2,"c":3}`, `{"c":3,"a":1}`, []hostconfig.Change{{Path: "b", Kind: "removed", Before: "2"}}},
		"an object, a text":   {`{"a":{"b":1}}`, `{"a":"x"}`, []hostconfig.Change{{Path: "a.b", Kind: "removed", Before: "1"}, {Path: "a", Kind: "added", After: "x"}}},
		"no JSON":             {"hand made", `{"a":1}`, []hostconfig.Change{{Kind: "changed", Before: "hand made", After: `{"a":1}`}}},
		"no JSON, the same":   {"hand made", "hand made", nil},
		"no JSON, then none":  {"hand made", "", []hostconfig.Change{{Kind: "removed", Before: "hand made"}}},
		"a list":              {"[]", "[1]", []hostconfig.Change{{Kind: "changed", Before: "[]", After: "[1]"}}},
		"strange names":       {`{"a.b":1}`, `{"a":{"b":1}}`, []hostconfig.Change{{Path: "a%2Eb", Kind: "removed", Before: "1"}, {Path: "a.b", Kind: "added", After: "1"}}},
		"nothing":             {"", " \n", nil},
		"signs of HTML":       {`{"a":"<&>"}`, `{"a":["<&>"]}`, []hostconfig.Change{{Path: "a", Kind: "changed", Before: "<&>", After: `["<&>"]`}}},
		"an empty object":     {`{"a":{}}`, `{}`, []hostconfig.Change{{Path: "a", Kind: "removed", Before: "{}"}}},
		"large":               {`{"a":"` + strings.Repeat("x", hostconfig.MaxBytes) + `"}`, "", []hostconfig.Change{{Kind: "removed", Before: `{"a":"` + strings.Repeat("x", hostconfig.MaxBytes) + `"}`}}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, hostconfig.Diff([]byte(c.before), []byte(c.after)))
		})
	}
}
