package hostconfig_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/hostconfig"
)

func TestSchemaFileIsFresh(t *testing.T) {
	got, err := os.ReadFile("../../frontend/src/features/apply/schema.json")
	require.NoError(t, err)
	require.Equal(t, string(hostconfig.Schema()), string(got), "run: go generate ./deploy/hostconfig")
}

func TestSchemaNamesKnownKeys(t *testing.T) {
	known := keyNames()
	found := regexp.MustCompile(`"x-(?:required-)?key": "([^"]*)"`).FindAllStringSubmatch(string(hostconfig.Schema()), -1)
	require.NotEmpty(t, found)
	for _, m := range found {
		assert.Contains(t, known, m[1])
	}
}

// The schema refuses what one document's fields can be refused for.
func TestSchemaRefuses(t *testing.T) {
	one := "using_interfaces.interface_01."
	for path, value := range map[string]any{
		one + "Properties.IP_ADDRESS":              "192.0.2.1.",
		one + "Properties.Netmask":                 "255.0.255.0",
		one + "Properties.DNS":                     "192.0.2.999",
		one + "Properties.mtu":                     "1400",
		one + "Properties.gateway":                 "192.0.2",
		one + "Properties.Gateway":                 "192.0.2.1",
		one + "Properties":                         remove{},
		one + "vlan_id":                            "4095",
		one + "type":                               []any{"Primary", "Secondary"},
		one + "type.0":                             "Tertiary",
		one + "interface_name":                     "",
		one + "Bond_Slave":                         "YES",
		"using_interfaces.interface_02.Properties": map[string]any{},
		"using_interfaces":                         map[string]any{},
		"using_interfaces.bond_1":                  map[string]any{},
		"using_interfaces.bond1":                   map[string]any{"interface_name": "team0"},
		"hostname":                                 "-a",
		"roles":                                    []any{"Network"},
		"disk":                                     []any{},
		"provider_gateway":                         remove{},
		"tenant_cidr":                              "10.0.0.0/33",
		"server_vip":                               "VIP",
	} {
		request := pair(t, shapes["default"], true)
		set(request[0], path, value)
		assert.NotEmpty(t, againstSchema(t, encode(t, request)), "%s = %v", path, value)
	}
	assert.NotEmpty(t, againstSchema(t, []byte(`[]`)))
	assert.NotEmpty(t, againstSchema(t, []byte(`{}`)))
	assert.Empty(t, againstSchema(t, encode(t, map[string]any{"192.0.2.1": pair(t, shapes["default"], true)[0]})))
}

// againstSchema holds a request to the schema, as far as that uses the draft,
// and gives the first complaint.
func againstSchema(t require.TestingT, body []byte) string {
	var v any
	require.NoError(t, json.Unmarshal(body, &v))
	root := schemaTree()
	return validator{root}.check(root, v, "")
}

var schemaTree = sync.OnceValue(func() map[string]any {
	var root map[string]any
	if err := json.Unmarshal(hostconfig.Schema(), &root); err != nil {
		panic(err)
	}
	return root
})

// compiled keeps the schema's patterns.
var compiled sync.Map

func matches(pattern, s string) bool {
	re, ok := compiled.Load(pattern)
	if !ok {
		re, _ = compiled.LoadOrStore(pattern, regexp.MustCompile(pattern))
	}
	return re.(*regexp.Regexp).MatchString(s)
}

type validator struct{ root map[string]any }

var words = []string{"$schema", "$id", "title", "description", "$defs", "x-errors", "x-key", "x-required-key", "$ref", "anyOf", "not", "if", "then", "else",
	"const", "enum", "type", "pattern", "required", "dependentRequired", "properties", "patternProperties", "additionalProperties",
	"minProperties", "maxProperties", "items", "minItems", "maxItems", "uniqueItems", "contains"}

func (s validator) check(schema, v any, at string) string {
	if b, ok := schema.(bool); ok {
		if !b {
			return at + " is not allowed"
		}
		return ""
	}
	m := schema.(map[string]any)
	for word := range m {
		if !slices.Contains(words, word) {
			return "the test does not know the word " + word
		}
	}
	if r, ok := m["$ref"].(string); ok {
		def := s.root["$defs"].(map[string]any)[strings.TrimPrefix(r, "#/$defs/")]
		if def == nil {
			return "no definition " + r
		}
		if bad := s.check(def, v, at); bad != "" {
			return bad
		}
	}
	if bad := s.logic(m, v, at); bad != "" {
		return bad
	}
	switch v := v.(type) {
	case string:
		if p, ok := m["pattern"].(string); ok && !matches(p, v) {
			return at + " does not match " + p
		}
	case map[string]any:
		return s.object(m, v, at)
	case []any:
		return s.list(m, v, at)
	}
	return ""
}

func (s validator) logic(m map[string]any, v any, at string) string {
	if any, ok := m["anyOf"].([]any); ok {
		var bad []string
		for _, one := range any {
			if b := s.check(one, v, at); b != "" {
				bad = append(bad, b)
			}
		}
		if len(bad) == len(any) {
			return strings.Join(bad, ", and ")
		}
	}
	if not, ok := m["not"]; ok && s.check(not, v, at) == "" {
		return at + " is what it must not be"
	}
	if cond, ok := m["if"]; ok {
		branch := m["else"]
		if s.check(cond, v, at) == "" {
			branch = m["then"]
		}
		if branch != nil {
			if bad := s.check(branch, v, at); bad != "" {
				return bad
			}
		}
	}
	if c, ok := m["const"]; ok && !reflect.DeepEqual(c, v) {
		return fmt.Sprintf("%s is not %v", at, c)
	}
	if e, ok := m["enum"].([]any); ok && !slices.ContainsFunc(e, func(c any) bool { return reflect.DeepEqual(c, v) }) {
		return fmt.Sprintf("%s is none of %v", at, e)
	}
	kind := map[reflect.Kind]string{reflect.String: "string", reflect.Map: "object", reflect.Slice: "array", reflect.Float64: "number"}[reflect.ValueOf(v).Kind()]
	if want, ok := m["type"]; ok && want != kind {
		return fmt.Sprintf("%s is of type %s", at, kind)
	}
	return ""
}

func (s validator) object(m map[string]any, v map[string]any, at string) string {
	need := func(names any) string {
		for _, name := range names.([]any) {
			if _, ok := v[name.(string)]; !ok {
				return at + " lacks " + name.(string)
			}
		}
		return ""
	}
	if r, ok := m["required"]; ok {
		if bad := need(r); bad != "" {
			return bad
		}
	}
	dependent, _ := m["dependentRequired"].(map[string]any)
	properties, _ := m["properties"].(map[string]any)
	patterns, _ := m["patternProperties"].(map[string]any)
	for name, item := range v {
		if names, ok := dependent[name]; ok {
			if bad := need(names); bad != "" {
				return bad
			}
		}
		schemas := []any{}
		if p, ok := properties[name]; ok {
			schemas = append(schemas, p)
		}
		for pattern, p := range patterns {
			if matches(pattern, name) {
				schemas = append(schemas, p)
			}
		}
		if more, ok := m["additionalProperties"]; ok && len(schemas) == 0 {
			schemas = append(schemas, more)
		}
		for _, p := range schemas {
			if bad := s.check(p, item, at+"."+name); bad != "" {
				return bad
			}
		}
	}
	return size(m, "Properties", len(v), at)
}

func (s validator) list(m map[string]any, v []any, at string) string {
	seen := map[string]bool{}
	found := false
	for i, item := range v {
		if items, ok := m["items"]; ok {
			if bad := s.check(items, item, fmt.Sprintf("%s.%d", at, i)); bad != "" {
				return bad
			}
		}
		if c, ok := m["contains"]; ok && s.check(c, item, at) == "" {
			found = true
		}
		if seen[fmt.Sprint(item)] && m["uniqueItems"] == true {
			return at + " has an item twice"
		}
		seen[fmt.Sprint(item)] = true
	}
	if _, ok := m["contains"]; ok && !found {
		return at + " lacks an item"
	}
	return size(m, "Items", len(v), at)
}

func size(m map[string]any, of string, n int, at string) string {
	if lo, ok := m["min"+of].(float64); ok && n < int(lo) {
		return at + " has too few"
	}
	if hi, ok := m["max"+of].(float64); ok && n > int(hi) {
		return at + " has too many"
	}
	return ""
}
