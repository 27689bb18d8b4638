package hostconfig_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/hostconfig"
)

// FuzzParseCheck holds for any body: every error is well formed and of a known
// rule, and what has none is written so that it is read as the same, fits the
// schema and has no error again.
func FuzzParseCheck(f *testing.F) {
	for _, d := range goldens() {
		file := hostconfig.Render(d)
		f.Add(asList(file))
		f.Add([]byte(fmt.Sprintf(`{"192.0.2.7":%s,"n2":%s}`, file, file)))
	}
	for _, doc := range examples {
		f.Add(asList([]byte(doc)))
	}
	inv := hostconfig.Inventory{
		Addresses: map[netip.Addr]string{addr("10.20.0.21"): "sqdn-001", addr("10.20.0.10"): "n9"},
		Members:   []hostconfig.Member{{Node: "n9", VIP: addr("10.20.0.10"), Roles: []string{"Control", "Storage"}}},
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		cards, errs := hostconfig.Validate(body, inv)
		for _, e := range errs {
			wellFormed(t, e.Field, e.Key, "")
			require.NotEmpty(t, e.Message)
		}
		if len(errs) > 0 {
			for _, c := range cards {
				_ = c.Identity()
				if c.Doc != nil {
					require.True(t, json.Valid(hostconfig.Render(c.Doc)))
				}
			}
			return
		}
		require.NotEmpty(t, cards)
		var all [][]byte
		for _, c := range cards {
			require.NotEmpty(t, c.Identity())
			all = append(all, hostconfig.Render(c.Doc))
		}
		list := append(append([]byte("["), bytes.Join(all, []byte(","))...), ']')
		require.Empty(t, againstSchema(t, list))
		again, problems := hostconfig.Parse(list)
		require.Empty(t, problems)
		for i := range again {
			require.Equal(t, string(all[i]), string(hostconfig.Render(again[i].Doc)))
			again[i].Key = cards[i].Key
		}
		require.Empty(t, hostconfig.Check(again, inv))
	})
}

// FuzzDiff holds for any two files: none differs from itself, and there are as
// many changes back as forth.
func FuzzDiff(f *testing.F) {
	var last []byte
	for _, d := range goldens() {
		file := hostconfig.Render(d)
		f.Add(last, file)
		last = file
	}
	f.Add([]byte(`{"a":{"b":[1,{"c":null}]},"a.b":1e9}`), []byte(`{"a":true,"":{"":0}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		require.Empty(t, hostconfig.Diff(a, a))
		forth, back := hostconfig.Diff(a, b), hostconfig.Diff(b, a)
		require.Len(t, back, len(forth))
		var x, y map[string]any
		if json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && !reflect.DeepEqual(x, y) && unique(a) && unique(b) {
			require.NotEmpty(t, forth)
		}
	})
}

// unique tells whether no name comes twice in an object, which decoding hides.
func unique(file []byte) bool {
	var v any
	if json.Unmarshal(file, &v) != nil {
		return false
	}
	var count func(v any) int
	count = func(v any) int {
		n := 1
		switch v := v.(type) {
		case map[string]any:
			for _, item := range v {
				n += 1 + count(item)
			}
			n++
		case []any:
			for _, item := range v {
				n += count(item)
			}
			n++
		}
		return n
	}
	tokens := 0
	for dec := json.NewDecoder(bytes.NewReader(file)); ; tokens++ {
		if _, err := dec.Token(); err != nil {
			break
		}
	}
	return tokens == count(v)
}
