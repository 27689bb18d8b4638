package graph_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// formField is a field of the app's form of a new deployment: what the input
// calls it, and a value that it cannot have.
type formField struct {
	Ground, Key, Label, Path string
	Nonsense                 any
}

func formFields(t *testing.T) (all []formField) {
	t.Helper()
	text, err := os.ReadFile("../frontend/src/features/deploy/fields.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &all))
	require.NotEmpty(t, all)
	return all
}

// notInTheForm are the fields of the input that the form has no place for, or
// only a choice that cannot be nonsense.
var notInTheForm = map[string]string{
	"idempotencyKey": "made by the page", "maintenance": "yes or no", "spec.script": "has a form of its own",
	"spec.ibmVpc.storage": "not in the form", "spec.rack.storage": "not in the form", "spec.ibmVpc.vlans.0.float": "yes or no",
	"spec.rack.ahvIp": "in the form of a cluster", "spec.rack.cvmIp": "in the form of a cluster",
	"spec.rack.power.type": "a choice", "spec.rack.power.bootFrom": "a choice", "spec.rack.power.insecureTls": "yes or no", "spec.rack.power.offAtRelease": "yes or no",
}

// What the server takes has a field in the form, or a reason why not.
func TestEveryFieldOfADeploymentIsInTheForm(t *testing.T) {
	s := schema()
	left := maps.Clone(notInTheForm)
	var paths []string
	var walk func(typ, path string)
	walk = func(typ, path string) {
		for _, f := range s.Types[typ].Fields {
			at := path + f.Name
			if _, known := left[at]; known {
				delete(left, at)
				continue
			}
			if f.Type.Elem != nil && f.Name == "vlans" {
				at += ".0"
			}
			if kind := s.Types[f.Type.Name()]; kind.IsInputType() && len(kind.Fields) > 0 && f.Name != "labels" {
				walk(kind.Name, at+".")
				continue
			}
			paths = append(paths, at)
		}
	}
	walk("DeployNodeInput", "")
	var form []string
	for _, f := range formFields(t) {
		if !slices.Contains(form, f.Path) {
			form = append(form, f.Path)
		}
	}
	require.ElementsMatch(t, paths, form)
	require.Empty(t, left, "no longer fields of the input")
}

// put sets what lies at a path, and makes what lies on the way.
func put(in m, path []string, value any) {
	name, rest := path[0], path[1:]
	switch {
	case len(rest) == 0:
		in[name] = value
	case rest[0] == "0":
		one, _ := in[name].([]m)
		if one == nil {
			one = []m{{"id": 7, "subnet": "a"}}
		}
		in[name] = one
		put(one[0], rest[1:], value)
	default:
		below, _ := in[name].(m)
		if below == nil {
			below = m{}
		}
		in[name] = below
		put(below, rest, value)
	}
}

// A field that has nonsense in it is refused by the way to it that the form
// knows: by the check and by the order alike, and nothing is made. What cannot
// be read at all is an error of the request, at the same place below the input.
func TestRefusalsOfADeploymentNameTheFormsField(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	for _, f := range formFields(t) {
		t.Run(f.Ground+" "+f.Label, func(t *testing.T) {
			in := m{"name": "a1", "spec": m{"ibmVpc": m{"serverProfile": "p"}}}
			if f.Ground == "RACK" {
				in["spec"] = m{"rack": m{"mac": "02-00-00-00-00-03", "managementIp": "10.0.0.9"}}
			}
			if strings.HasPrefix(f.Key, "power.") {
				put(in, []string{"spec", "rack", "power"}, m{"type": "REDFISH", "url": "https://10.0.9.20", "username": "u", "passwordRef": "lab", "bootFrom": "HTTP"})
			}
			put(in, strings.Split(f.Path, "."), f.Nonsense)
			for field, doc := range map[string]string{"validateDeployment": validate, "deployNode": operation(t, "Deploy")} {
				a := h.as("operator", doc, m{"input": in})
				said := refusedAt(a, field)
				require.True(t, slices.ContainsFunc(said, func(path string) bool {
					return path == f.Path || strings.HasPrefix(path, f.Path+".")
				}), "%s says %v: %s", field, said, a.Raw)
				require.Len(t, said, 1, "and nothing else is wrong: %s", a.Raw)
			}
		})
	}
	require.Zero(t, h.count("nodes"))
	require.Zero(t, h.count("deployments"))
}

// refusedAt gives the paths below the input that an answer complains of.
func refusedAt(a answer, field string) (paths []string) {
	var request struct{ Errors []struct{ Path []any } }
	_ = json.Unmarshal([]byte(a.Raw), &request) // what is no answer has no errors
	for _, e := range request.Errors {
		var parts []string
		for _, part := range e.Path {
			switch p := part.(type) {
			case string:
				parts = append(parts, p)
			case float64:
				parts = append(parts, strconv.Itoa(int(p)))
			}
		}
		if len(parts) > 2 && parts[1] == "input" {
			paths = append(paths, strings.Join(parts[2:], "."))
		}
	}
	if len(request.Errors) > 0 {
		return paths
	}
	for _, e := range errs(a, field+".errors") {
		_, path, _ := strings.Cut(e, " ")
		paths = append(paths, path)
	}
	return paths
}

// What an order chooses of the account reaches the provider, in the check and
// in what is stored; what the provider says of it is at the form's field.
func TestChoicesOfTheAccount(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	var asked deploy.Spec
	h.cloud.plan = func(o deploy.Order) ([]deploy.Check, error) {
		asked = o.Spec
		return []deploy.Check{{Key: "boot_traffic", Label: "Traffic", Severity: deploy.CheckError, Message: "shut", Hint: "open it", Field: "spec.security_groups"}}, nil
	}
	in := m{"name": "a1", "spec": m{"ibmVpc": m{"serverProfile": "p", "image": "ipxe", "keys": []string{"k"}, "securityGroups": []string{"g", "h"}}}}
	a := h.ok(validate, m{"input": in})
	want := deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "p", Image: "ipxe", Keys: []string{"k"}, SecurityGroups: []string{"g", "h"}}
	require.Equal(t, want, asked)
	for _, c := range a.get("validateDeployment.checks").([]any) {
		if dig(c, "key") == "boot_traffic" {
			require.Equal(t, []any{"spec", "ibmVpc", "securityGroups"}, dig(c, "field"))
		}
	}
	require.Empty(t, errs(h.ok(operation(t, "Deploy"), m{"input": in}), "deployNode.errors"))
	var stored []byte
	require.NoError(t, h.st.Read.QueryRow(`SELECT config FROM deployments`).Scan(&stored))
	var spec deploy.Spec
	require.NoError(t, json.Unmarshal(stored, &spec))
	require.Equal(t, want, spec)
}
