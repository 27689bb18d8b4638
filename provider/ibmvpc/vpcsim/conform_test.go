package vpcsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-openapi/strfmt"
)

// conform walks an answer beside what the SDK made of it. It reports every key on the wire that the SDK's struct does
// not have, and every field that the SDK calls required and that did not arrive, at any depth.
func conform(raw []byte, result any) []string {
	var wire any
	if err := json.Unmarshal(raw, &wire); err != nil {
		return []string{"not JSON: " + err.Error()}
	}
	var problems []string
	walk("$", wire, reflect.ValueOf(result), &problems)
	return problems
}

var leafTypes = []reflect.Type{reflect.TypeFor[strfmt.DateTime](), reflect.TypeFor[strfmt.Date](), reflect.TypeFor[[]byte]()}

func walk(path string, wire any, v reflect.Value, problems *[]string) {
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
		v = v.Elem()
	}
	if !v.IsValid() || wire == nil || slices.Contains(leafTypes, v.Type()) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		object, ok := wire.(map[string]any)
		if !ok {
			*problems = append(*problems, fmt.Sprintf("%s is no object", path))
			return
		}
		walkStruct(path, object, v, problems)
	case reflect.Slice:
		items, ok := wire.([]any)
		if !ok || len(items) != v.Len() {
			*problems = append(*problems, fmt.Sprintf("%s is no list of %d", path, v.Len()))
			return
		}
		for i, item := range items {
			walk(fmt.Sprintf("%s[%d]", path, i), item, v.Index(i), problems)
		}
	}
}

func walkStruct(path string, object map[string]any, v reflect.Value, problems *[]string) {
	known := map[string]bool{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		known[key] = true
		value, sent := object[key]
		required := strings.Contains(field.Tag.Get("validate"), "required")
		if required && (!sent || value == nil || v.Field(i).IsNil()) {
			*problems = append(*problems, fmt.Sprintf("%s.%s is required by %s", path, key, v.Type().Name()))
			continue
		}
		if sent && v.Field(i).IsZero() {
			*problems = append(*problems, fmt.Sprintf("%s.%s was sent and not understood by %s", path, key, v.Type().Name()))
		}
		walk(path+"."+key, value, v.Field(i), problems)
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if !known[key] {
			*problems = append(*problems, fmt.Sprintf("%s.%s is not in %s", path, key, v.Type().Name()))
		}
	}
}

// The check itself must be able to fail.
func TestConformFindsMistakes(t *testing.T) {
	type inner struct {
		ID *string `json:"id" validate:"required"`
	}
	type outer struct {
		Name  *string `json:"name" validate:"required"`
		Items []inner `json:"items" validate:"required"`
		Extra *string `json:"extra,omitempty"`
	}
	decode := func(text string) *outer {
		var o outer
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		return &o
	}
	for text, want := range map[string]string{
		`{"name":"a","items":[{"id":"1"}]}`:      "",
		`{"name":"a","items":[]}`:                "",
		`{"items":[]}`:                           "$.name is required by outer",
		`{"name":"a"}`:                           "$.items is required by outer",
		`{"name":"a","items":[{"id":"1"},{}]}`:   "$.items[1].id is required by inner",
		`{"name":"a","items":[],"nmae":"b"}`:     "$.nmae is not in outer",
		`{"name":"a","items":[{"id":"","x":0}]}`: "$.items[0].x is not in inner",
	} {
		if got := strings.Join(conform([]byte(text), decode(text)), "; "); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
