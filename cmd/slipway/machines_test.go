package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMachinesOfAFile(t *testing.T) {
	read := func(text string, f machineFlags) ([]machineFlags, error) {
		f.Provider, f.File = orderRack, "-"
		return f.machines(strings.NewReader(text))
	}
	for name, text := range map[string]string{
		"spreadsheet": "\ufeffrack-1\t52:54:00:12:34:56\t10.0.8.21\r\nrack-2\t7CX1Y23\t10.0.8.22\t\r\n",
		"commas":      "# row 7\n\nrack-1,52:54:00:12:34:56,10.0.8.21\n\"rack-2\", 7CX1Y23; 10.0.8.22,,\n",
		"spaces":      "  rack-1   52:54:00:12:34:56  10.0.8.21\nrack-2 7CX1Y23 10.0.8.22",
		"JSON":        `[{"name":"rack-1","mac":"52:54:00:12:34:56","management_ip":"10.0.8.21"},{"name":"rack-2","serial":"7CX1Y23","management_ip":"10.0.8.22"}]`,
	} {
		got, err := read(text, machineFlags{Netmask: "24", Gateway: "10.0.8.1"})
		require.NoError(t, err, name)
		require.Equal(t, []machineFlags{
			{Provider: orderRack, Names: []string{"rack-1"}, MAC: "52:54:00:12:34:56", ManagementIP: "10.0.8.21", Netmask: "24", Gateway: "10.0.8.1"},
			{Provider: orderRack, Names: []string{"rack-2"}, Serial: "7CX1Y23", ManagementIP: "10.0.8.22", Netmask: "24", Gateway: "10.0.8.1"},
		}, got, name)
	}

	got, err := read("a 7CX 10.0.8.1 https://10.0.9.1\nb 7CY 10.0.8.2 https://10.0.9.2", machineFlags{Power: powerFlags{Username: "slipway"}})
	require.NoError(t, err)
	require.Equal(t, powerFlags{URL: "https://10.0.9.2", Username: "slipway"}, got[1].Power)
	got, err = read(`[{"name":"a","mac":"x","management_ip":"10.0.8.1","netmask":"25","gateway":"10.0.8.2"}]`, machineFlags{Netmask: "24"})
	require.NoError(t, err)
	require.Equal(t, []string{"25", "10.0.8.2"}, []string{got[0].Netmask, got[0].Gateway}, "its own go first")

	for _, c := range []struct{ text, says string }{
		{"", "standard input: nothing was asked for:\n  there is no machine in it"},
		{"[]", "there is no machine in it"},
		{"a 7CX\nb 7CY 10.0.8.2 u 5", "line 1 has 2 column(s); name, MAC address or serial number, management IP and, if there is one, its controller's URL are meant\n  line 2 has 5"},
		{"name,mac,ip", `line 1: the management IP is "ip", which is no IP address`},
		{"a 52:54:00:12:34 10.0.8.1", `line 1: "52:54:00:12:34" is not a MAC address`},
		{"\t7CX\t10.0.8.1\nb\t\t10.0.8.2", "line 1: the name is missing\n  line 2: the MAC address or the serial number is missing"},
		{"a 52-54-00-12-34-5a 10.0.8.1\n\na 52:54:00:12:34:5A 10.0.8.1", "line 3: the same name stands in line 1\n  line 3: the same MAC address stands in line 1\n  line 3: the same management IP stands in line 1"},
		{`[{"name":"a","mac":"x","management_ip":"10.0.8.1","ip":"y"}]`, `unknown field "ip"`},
		{`{"name":"a"}`, "it is not a JSON list of objects with name, mac"},
		{`[] []`, "something after the list"},
		{`[{"name":"a","mac":"x","management_ip":"10.0.8.1"},{"name":"b","mac":"X","management_ip":"10.0.8.2"}]`, "machine 2: the same MAC address stands in machine 1"},
	} {
		_, err := read(c.text, machineFlags{})
		require.ErrorContains(t, err, c.says, "%q", c.text)
		var e exit
		require.ErrorAs(t, err, &e)
		require.Equal(t, exitUsage, e.code)
	}
	_, err = read("a 7CX 10.0.8.1", machineFlags{Power: powerFlags{Username: "slipway"}})
	require.ErrorContains(t, err, "line 1: its controller's URL is missing")
}
