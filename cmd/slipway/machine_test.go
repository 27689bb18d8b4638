package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
)

// rackArgs order the machine rack-01 with everything that can be said of it.
var rackArgs = []string{
	"rack-01", "--provider=rack", "--mac=52-54-00-12-34-56", "--serial=7cx1y23", "--management-ip=10.0.8.20", "--netmask=255.255.255.0", "--gateway=10.0.8.1",
	"--dns-servers=10.0.8.2,10.0.8.3", "--installer=installer-2", "--power-url=https://10.0.9.20", "--power-username=slipway", "--power-password-ref=lab", "--power-system-id=2",
	"--power-ca-file=lab.pem", "--power-boot-from=http", "--power-boot-mode=uefi", "--power-off-at-release",
}

// What plan and deploy send is what the server reads, to the last setting.
func TestARackMachineIsOrderedByTheCommandLine(t *testing.T) {
	w := wire(t, appConfig{Data: dataFlags{DataDir: t.TempDir()}})
	defer w.stop()
	token, _, err := w.Access.CreateToken(t.Context(), access.NewToken{Name: "t", Role: access.RoleOperator, CreatedBy: "test"})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), showLimit)
	defer cancel()
	run := func(args ...string) (int, string) {
		p := runSlipway(t, t.TempDir(), append([]string{args[0], "--server=" + w.URL, "--token=" + token}, args[1:]...)...)
		code := p.end(ctx)
		out := p.stderr.String()
		for _, line := range p.said() {
			out += line + "\n"
		}
		return code, out
	}

	code, out := run(append([]string{"plan"}, rackArgs...)...)
	require.Equal(t, exitFailed, code, "the controller may not be reached, and there are no artifacts: %s", out)
	require.Contains(t, out, "52:54:00:12:34:56 belongs to no other node")
	require.Contains(t, out, "7CX1Y23 belongs to no other node")
	require.Contains(t, out, "network 10.0.8.0/24, gateway 10.0.8.1")
	require.Contains(t, out, "this server may not reach any board management controller")
	require.Contains(t, out, "installer-2 is not registered")

	code, out = run(append([]string{"deploy", "--label=row=4"}, rackArgs...)...)
	require.Equal(t, exitOK, code, out)
	require.Contains(t, out, "rack-01: deployment #1 accepted")
	var config []byte
	require.NoError(t, w.Store.Read.QueryRow(`SELECT config FROM deployments`).Scan(&config))
	var spec deploy.Spec
	require.NoError(t, json.Unmarshal(config, &spec))
	want := deploy.Spec{
		Provider: deploy.ProviderRack, MAC: "52:54:00:12:34:56", Serial: "7CX1Y23", ManagementIP: "10.0.8.20", Netmask: "255.255.255.0", Gateway: "10.0.8.1",
		DNSServers: []string{"10.0.8.2", "10.0.8.3"}, Installer: "installer-2",
		Power: &deploy.Power{Type: deploy.PowerRedfish, URL: "https://10.0.9.20", Username: "slipway", PasswordRef: "lab", SystemID: "2", CAFile: "lab.pem",
			BootFrom: deploy.BootFromHTTP, BootMode: deploy.BootModeUEFI, OffAtRelease: true},
	}
	require.Equal(t, want, spec)

	code, out = run("deploy", "rack-02", "--provider=rack", "--serial=7CX1Y23", "--management-ip=10.0.8.21")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "the node rack-01 has this serial number")
	code, out = run("plan", "rack-02", "--provider=rack", "--serial=8yyy888", "--management-ip=10.0.8.21", "--netmask=24")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "the machine is known by its serial number 8YYY888")
	table := filepath.Join(t.TempDir(), "row-4.csv")
	require.NoError(t, os.WriteFile(table, []byte("# row 4\nrack-04, 52-54-00-12-34-60, 10.0.8.24\nrack-05, 7CX1Y23, 10.0.8.25\nrack-06, 7CX1Y26, 10.0.8.26\n"), 0o600))
	code, out = run("deploy", "--provider=rack", "--netmask=24", "--file", table)
	require.Equal(t, exitFailed, code, "one is refused: %s", out)
	require.Contains(t, out, "rack-04: deployment #1 accepted")
	require.Contains(t, out, "rack-05: refused: ")
	require.Contains(t, out, "the node rack-01 has this serial number")
	require.Contains(t, out, "rack-06: deployment #1 accepted")
	var batches, nodes int
	require.NoError(t, w.Store.Read.QueryRow(`SELECT count(DISTINCT batch_id), count(*) FROM deployments WHERE (config LIKE '%10.0.8.24"%' OR config LIKE '%10.0.8.26"%') AND batch_id IS NOT NULL`).Scan(&batches, &nodes))
	require.Equal(t, []int{1, 2}, []int{batches, nodes}, "what was accepted is one batch")

	// For programs: a line of JSON each.
	_, out = run("nodes", "rack-04", "--json")
	require.JSONEq(t, `["rack-04", "10.0.8.24", 1]`, picked(t, out, "name", "managementIp", "currentDeployment.number"))
	_, out = run("plan", "rack-07", "--provider=rack", "--serial=7cx1y23", "--management-ip=10.0.8.27", "--json")
	require.JSONEq(t, `[false, "Specification"]`, picked(t, out, "ok", "checks.0.label"))
	code, out = run("deploy", "rack-07", "--provider=rack", "--serial=8yyy888", "--management-ip=10.0.8.27", "--netmask=24", "--json")
	require.Equal(t, exitOK, code, out)
	require.JSONEq(t, `["rack-07", 1, null]`, picked(t, out, "name", "number", "refused"))
	code, out = run("deploy", "rack-08", "--provider=rack", "--serial=8yyy888", "--management-ip=10.0.8.28", "--netmask=24", "--json")
	require.Equal(t, exitFailed, code, out)
	require.JSONEq(t, `["rack-08", null, "nodes.0.spec.rack.serial: already_exists: the node rack-07 has this serial number"]`, picked(t, out, "name", "number", "refused"))

	code, out = run("deploy", "--dry-run", "rack-02", "--provider=rack", "--mac=52-54-00-12-34-57", "--management-ip=10.0.8.21", "--netmask=24", "--gateway=10.0.9.1")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "gateway is not in the node's subnet 10.0.8.0/24")
}

// picked are members of a line of JSON, by their paths, as a JSON list.
func picked(t *testing.T, line string, paths ...string) string {
	t.Helper()
	var doc any
	require.NoError(t, json.Unmarshal([]byte(line), &doc), line)
	out := make([]any, len(paths))
	for i, path := range paths {
		at := doc
		for part := range strings.SplitSeq(path, ".") {
			switch in := at.(type) {
			case map[string]any:
				at = in[part]
			case []any:
				n, err := strconv.Atoi(part)
				require.NoError(t, err, path)
				at = in[n]
			}
		}
		out[i] = at
	}
	raw, err := json.Marshal(out)
	require.NoError(t, err)
	return string(raw)
}

// A flag that would have no effect is refused, and all are named at once.
func TestFlagsOfMachinesAreChecked(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string // empty: nothing
	}{
		{rackArgs, ""},
		{[]string{"a", "--provider=rack", "--serial=x1", "--management-ip=10.0.8.20"}, ""},
		{[]string{"a", "b", "--profile=p", "--dns-servers=10.0.0.2"}, ""},
		{[]string{"a", "--profile=p", "--management-ip=10.0.0.9"}, ""},
		{[]string{"a"}, "--profile is needed"},
		{[]string{"a", "b", "--profile=p", "--management-ip=10.0.0.9"}, "--management-ip is one machine's"},
		{[]string{"a", "--profile=p", "--netmask=24", "--mac=x", "--power-url=https://h"}, "--mac is not for --provider=ibm_vpc; --netmask is not for --provider=ibm_vpc; --power-… is not for --provider=ibm_vpc"},
		{[]string{"a", "--provider=rack", "--profile=p", "--zone=z"}, "--profile is not for --provider=rack; --zone is not for --provider=rack; --mac or --serial is needed; --management-ip is needed"},
		{[]string{"a", "--profile=p", "--image=i", "--key=k", "--security-group=g"}, ""},
		{[]string{"a", "--provider=rack", "--serial=x1", "--management-ip=10.0.8.20", "--image=i", "--key=k", "--security-group=g"}, "--image is not for --provider=rack; --key is not for --provider=rack; --security-group is not for --provider=rack"},
		{[]string{"a", "b", "--provider=rack", "--serial=x1", "--management-ip=10.0.8.20"}, "one name is needed; several machines of a rack, each with an address of its own, are ordered with --file"},
		{[]string{"--profile=p"}, "the nodes' names are needed"},
		{[]string{"--provider=rack", "-f", "x"}, ""},
		{[]string{"a", "--provider=rack", "--mac=x", "-f", "x"}, "stand in the file"},
		{[]string{"a", "--profile=p", "-f", "x"}, "--file is not for --provider=ibm_vpc"},
		{[]string{"a", "--provider=rack", "--serial=x1", "--management-ip=10.0.8.20", "--power-username=u"}, "--power-url is needed"},
	} {
		var f machineFlags
		p, err := kong.New(&f)
		require.NoError(t, err)
		_, err = p.Parse(c.args)
		require.NoError(t, err)
		err = f.check()
		if c.says == "" {
			require.NoError(t, err, "%q", c.args)
			continue
		}
		require.ErrorContains(t, err, c.says, "%q", c.args)
	}
}

// What an order chooses of the account goes to the plan and to the order alike;
// a name with a comma in it is one name.
func TestChoicesOfAnOrder(t *testing.T) {
	var f machineFlags
	p, err := kong.New(&f)
	require.NoError(t, err)
	_, err = p.Parse([]string{"a", "--profile=p", "--image=ipxe", "--key=one", "--key=two, three", "--security-group=g", "--security-group=h"})
	require.NoError(t, err)
	order, spec := f.order(), f.spec().IbmVpc
	require.Equal(t, []any{"ipxe", []string{"one", "two, three"}, []string{"g", "h"}}, []any{order.Node.Image, order.Node.Keys, order.Network.SecurityGroups})
	require.Equal(t, []any{"ipxe", []string{"one", "two, three"}, []string{"g", "h"}}, []any{*spec.Image, spec.Keys, spec.SecurityGroups})
	require.Nil(t, machineFlags{Profile: "p"}.spec().IbmVpc.Image)
}
