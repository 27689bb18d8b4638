package hostconfig_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/hostconfig"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldens are the documents of the golden files, by name.
func goldens() map[string]*hostconfig.Document {
	out := map[string]*hostconfig.Document{}
	for name, l := range shapes {
		nets := plainNetworks()
		out[name] = build(l, 0, 21, nets)
		out[name+"-vip"] = withCloud(build(l, 0, 21, nets), "10.20.0.10")
		out[name+"-vip-provider"] = withNetworks(withCloud(build(l, 0, 21, nets), "10.20.0.10"))
		none := withNetworks(withCloud(build(l, 0, 21, nets), "10.20.0.10"))
		none.Provider = hostconfig.ProviderNetwork{CIDR: "N/A", Gateway: "N/A", StartingIP: "N/A", EndingIP: "N/A"}
		out[name+"-vip-no-provider"] = none
	}
	return out
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.json")
	require.NoError(t, err)
	docs := goldens()
	if !*update {
		require.Len(t, files, len(docs))
	}
	for name, d := range docs {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", "golden", name+".json")
			got := hostconfig.Render(d)
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
				require.NoError(t, os.WriteFile(path, got, 0o600))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got))
			cards, errs := hostconfig.Validate(asList(want), hostconfig.Inventory{})
			require.Empty(t, errs)
			require.Equal(t, string(want), string(hostconfig.Render(cards[0].Doc)))
			require.Equal(t, string(bytes.TrimSpace(want)), string(cards[0].Raw))
			require.Equal(t, "10.20.0.21", cards[0].Identity())
			require.Empty(t, againstSchema(t, asList(want)))
		})
	}
}

func asList(doc []byte) []byte { return append(append([]byte("["), doc...), ']') }

// The documents that scripts for the first of them were written for, as they
// were, byte for byte once indented.
var examples = map[string]string{
	"default": `{"using_interfaces":{
 "interface_01":{"interface_name":"eno1","type":["Primary"],"vlan_id":"NULL","Bond_Slave":"NO",
  "Properties":{"IP_ADDRESS":"192.0.2.21","Netmask":"255.255.255.0","DNS":"192.0.2.2","mtu":"1500","gateway":"192.0.2.1"}},
 "interface_02":{"interface_name":"eno2","type":["Secondary"],"vlan_id":"101","Bond_Slave":"NO"}},
 "hostname":"SQDN-001","disk":["0x5000000000000001"],"roles":["Control","Storage","Network"],"server_vip":"192.0.2.10",
 "provider_cidr":"192.0.2.128/25","provider_gateway":"192.0.2.129","provider_startingip":"192.0.2.150","provider_endingip":"192.0.2.200",
 "tenant_cidr":"10.0.0.0/24","tenant_gateway":"10.0.0.1","tenant_nameserver":"8.8.8.8"}`,
	"default bond": `{"using_interfaces":{
 "bond1":{"interface_name":"bond0","type":["Primary"],"vlan_id":"NULL",
  "Properties":{"IP_ADDRESS":"192.0.2.21","Netmask":"255.255.255.0","DNS":"192.0.2.2","mtu":"9000","gateway":"192.0.2.1"}},
 "interface_01":{"interface_name":"eno1","Bond_Slave":"YES","Bond_Interface_Name":"bond0"},
 "interface_02":{"interface_name":"eno2","Bond_Slave":"YES","Bond_Interface_Name":"bond0"},
 "bond2":{"interface_name":"bond1","type":["Secondary"],"vlan_id":"101"},
 "interface_03":{"interface_name":"eno3","Bond_Slave":"YES","Bond_Interface_Name":"bond1"},
 "interface_04":{"interface_name":"eno4","Bond_Slave":"YES","Bond_Interface_Name":"bond1"}},
 "hostname":"SQDN-001","disk":[],"roles":["Compute","Network"]}`,
	"segregated": `{"using_interfaces":{
 "interface_01":{"interface_name":"eno1","type":["VXLAN"],"vlan_id":"88","Bond_Slave":"NO",
  "Properties":{"IP_ADDRESS":"192.0.2.21","Netmask":"255.255.255.192","DNS":"192.0.2.2","mtu":"NULL","gateway":"192.0.2.1"}},
 "interface_02":{"interface_name":"eno2","type":["Storage"],"vlan_id":"NULL","Bond_Slave":"NO",
  "Properties":{"IP_ADDRESS":"192.0.2.85","Netmask":"255.255.255.192","DNS":"192.0.2.2","mtu":"NULL"}},
 "interface_03":{"interface_name":"eno3","type":["Mgmt"],"vlan_id":"NULL","Bond_Slave":"NO",
  "Properties":{"IP_ADDRESS":"192.0.2.149","Netmask":"255.255.255.192","DNS":"192.0.2.2","mtu":"NULL"}},
 "interface_04":{"interface_name":"eno4","type":["External_Traffic"],"vlan_id":"91","Bond_Slave":"NO"}},
 "hostname":"SQDN-001","disk":[],"roles":["Control","Network"]}`,
}

func TestExamplesAreWrittenAsTheyCame(t *testing.T) {
	for name, doc := range examples {
		t.Run(name, func(t *testing.T) {
			cards, errs := hostconfig.Validate([]byte(`{"192.0.2.99":`+doc+`}`), hostconfig.Inventory{})
			require.Empty(t, errs)
			var want bytes.Buffer
			require.NoError(t, json.Indent(&want, bytes.ReplaceAll([]byte(doc), []byte("\n"), nil), "", "  "))
			assert.Equal(t, want.String()+"\n", string(hostconfig.Render(cards[0].Doc)))
			assert.Equal(t, "192.0.2.99", cards[0].Identity())
			assert.Equal(t, doc, string(cards[0].Raw))
		})
	}
	cards, _ := hostconfig.Parse(asList([]byte(examples["segregated"])))
	target, ok := cards[0].Doc.Target()
	require.True(t, ok)
	assert.Equal(t, "192.0.2.149", target.String(), "segregated mode is reached by Mgmt")
	assert.Equal(t, "192.0.2.149", cards[0].Identity())
}

func TestParseFile(t *testing.T) {
	d, problems := hostconfig.ParseFile([]byte(examples["segregated"]))
	require.Empty(t, problems)
	var got []string
	for _, a := range d.Addresses() {
		got = append(got, a.String())
	}
	assert.Equal(t, []string{"192.0.2.21", "192.0.2.85", "192.0.2.149"}, got)
	_, ok := d.VIP()
	assert.False(t, ok)
	d, problems = hostconfig.ParseFile([]byte(examples["default"]))
	require.Empty(t, problems)
	vip, ok := d.VIP()
	require.True(t, ok)
	assert.Equal(t, "192.0.2.10", vip.String())
	for file, key := range map[string]string{"": "no_cards", "{},{}": "wrong_type", "[]": "wrong_type", "{": "json_malformed", `{"ip":"192.0.2.1"}`: "unknown_field"} {
		_, problems := hostconfig.ParseFile([]byte(file))
		require.NotEmpty(t, problems, file)
		assert.Equal(t, key, problems[0].Key, file)
	}
}

func TestReadingIsLenientInForm(t *testing.T) {
	body := `[{"roles":["network","STORAGE","control"],"hostname":" SQDN-001 ","disk":["d1"],"server_vip":null,"provider_cidr":"n/a",
	 "using_interfaces":{
	  "interface_2":{"interface_name":"eno2","type":"SECONDARY","vlan_id":101,"Properties":{}},
	  "interface_001":{"Properties":{"gateway":"2001:DB8::1","mtu":1500,"DNS":"2001:db8:0::2","Netmask":"/64","IP_ADDRESS":"2001:DB8:0:0::21"},
	    "Bond_Slave":false,"vlan_id":null,"type":["primary"],"interface_name":"eno1"}}}]`
	want := `{
  "using_interfaces": {
    "interface_01": {
      "interface_name": "eno1",
      "type": [
        "Primary"
      ],
      "vlan_id": "NULL",
      "Bond_Slave": "NO",
      "Properties": {
        "IP_ADDRESS": "2001:db8::21",
        "Netmask": "64",
        "DNS": "2001:db8::2",
        "mtu": "1500",
        "gateway": "2001:db8::1"
      }
    },
    "interface_02": {
      "interface_name": "eno2",
      "type": [
        "Secondary"
      ],
      "vlan_id": "101",
      "Bond_Slave": "NO"
    }
  },
  "hostname": "SQDN-001",
  "disk": [
    "d1"
  ],
  "roles": [
    "Control",
    "Storage",
    "Network"
  ],
  "provider_cidr": "N/A",
  "provider_gateway": "N/A",
  "provider_startingip": "N/A",
  "provider_endingip": "N/A"
}
`
	cards, errs := hostconfig.Validate([]byte(body), hostconfig.Inventory{})
	require.Empty(t, errs)
	assert.Equal(t, want, string(hostconfig.Render(cards[0].Doc)))
	compact, err := json.Marshal(cards[0].Doc)
	require.NoError(t, err)
	assert.JSONEq(t, want, string(compact))

	seg := strings.NewReplacer(`"Mgmt"`, `"management"`, `"External_Traffic"`, `"external traffic"`, `"VXLAN"`, `"vxlan"`, `255.255.255.192`, `26`).Replace(examples["segregated"])
	cards, errs = hostconfig.Validate(asList([]byte(seg)), hostconfig.Inventory{})
	require.Empty(t, errs)
	as, _ := hostconfig.Parse(asList([]byte(examples["segregated"])))
	assert.Equal(t, string(hostconfig.Render(as[0].Doc)), string(hostconfig.Render(cards[0].Doc)))
}

func TestOrderOfKeysHasNoMeaning(t *testing.T) {
	var v any
	require.NoError(t, json.Unmarshal([]byte(examples["default bond"]), &v)) // a map: its keys are written by the alphabet
	cards, errs := hostconfig.Validate(encode(t, []any{v}), hostconfig.Inventory{})
	require.Empty(t, errs)
	as, _ := hostconfig.Parse(asList([]byte(examples["default bond"])))
	assert.Equal(t, string(hostconfig.Render(as[0].Doc)), string(hostconfig.Render(cards[0].Doc)))
}
