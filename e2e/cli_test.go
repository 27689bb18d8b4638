package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
)

// commandLine uses every command of the program as a person would.
func (y *system) commandLine(t *testing.T) {
	t.Run("version and usage", func(t *testing.T) {
		require.Regexp(t, `^slipway \S+$`, must(t, "version"))
		for _, bad := range [][]string{{}, {"nothing"}, {"nodes", "--no-such-flag"}, {"deploy", "a"}, {"token", "create"}, {"token", "create", "x", "--role=king"}} {
			r := slipway(t, nil, bad...)
			require.Equal(t, 2, r.code, "%v: %s", bad, r.stderr)
			require.Contains(t, r.stderr, "slipway: ", "%v", bad)
		}
		require.Equal(t, 2, slipway(t, nil, "nodes").code, "without a token")
	})
	t.Run("artifacts", func(t *testing.T) {
		list := must(t, append([]string{"artifacts", "list"}, y.data...)...)
		for _, name := range []string{"vmlinuz", "initrd.img", "hypervisor.img", "cvm.img", "installer.sh"} {
			require.Regexp(t, `(?m)^`+regexp.QuoteMeta(name)+` .* ok$`, list)
		}
		bad := slipway(t, nil, append([]string{"artifacts", "add", "../x", file(t, "x", "content")}, y.data...)...)
		require.Equal(t, 1, bad.code, bad.stderr)
	})
	t.Run("tokens", y.tokens)
	t.Run("migrate", func(t *testing.T) {
		fresh := "--database=sqlite:" + t.TempDir() + "/fresh.db"
		pending := slipway(t, nil, "migrate", "--check", fresh)
		require.Equal(t, 1, pending.code)
		require.Contains(t, pending.out, "pending ")
		require.Contains(t, must(t, "migrate", fresh), "the schema is this version's")
		require.Equal(t, "nothing is pending", must(t, "migrate", "--check", fresh))
		require.Equal(t, 1, slipway(t, nil, "migrate", "--database=mysql://nowhere").code)
	})
	t.Run("deploy, watch, nodes", y.deployAndWatch)
	t.Run("one server a data directory", func(t *testing.T) {
		second := start(t, "second", append([]string{"serve", "--listen=127.0.0.1:0"}, y.data...)...)
		require.Equal(t, 1, second.end(y.ctx))
		require.Contains(t, second.tail(5), "another slipway uses it")
	})
}

func (y *system) tokens(t *testing.T) {
	made := slipway(t, nil, append([]string{"token", "create", "robot", "--role=viewer", "--for=1h"}, y.data...)...)
	require.Equal(t, 0, made.code)
	require.Regexp(t, `^slw_\S+\n$`, made.out, "the secret alone, for scripts")
	id := regexp.MustCompile(`token (\d+) \(robot, viewer\)`).FindStringSubmatch(made.stderr)
	require.NotNil(t, id, made.stderr)
	secret := strings.TrimSpace(made.out)
	require.Equal(t, 200, y.curl(t, "/api/status/summary", bearer(secret)...).status)
	list := must(t, append([]string{"token", "list"}, y.data...)...)
	require.Regexp(t, `(?m)^`+id[1]+` +robot +viewer .* valid$`, list)
	require.NotContains(t, list, secret)
	must(t, append([]string{"token", "revoke", id[1]}, y.data...)...)
	require.Regexp(t, `(?m)^`+id[1]+` +robot .* revoked$`, must(t, append([]string{"token", "list"}, y.data...)...))
	eventually(y.ctx, t, "the token is refused", func() bool { return y.curl(t, "/api/status/summary", bearer(secret)...).status == 401 })
	require.Equal(t, 1, slipway(t, nil, append([]string{"token", "revoke", "99999"}, y.data...)...).code)
}

func (y *system) deployAndWatch(t *testing.T) {
	done := y.cli("deploy", "cli-1", "--profile="+profile, "--label=rack=r1", "--watch")
	require.Equal(t, 0, done.code, "%s%s", done.out, done.stderr)
	require.Regexp(t, `(?m)^cli-1: deployment #1 accepted \(dep_\d+\)$`, done.out)
	require.Regexp(t, `(?m)^\d\d:\d\d:\d\d  cli-1 +installation +success `, done.out)
	require.Regexp(t, `(?m)^cli-1: deployed at 127\.64\.\d+\.\d+$`, done.out)
	require.Equal(t, 0, y.cli("watch", "cli-1").code, "it has ended well")

	taken := y.cli("deploy", "cli-1", "dark-cli", "--profile="+profile)
	require.Equal(t, 1, taken.code)
	require.Regexp(t, `(?m)^cli-1: refused: .*name_in_use`, taken.stderr)
	require.Regexp(t, `(?m)^dark-cli: deployment #1 accepted`, taken.out, "the other is accepted all the same")

	y.events.until(y.ctx, "the server was ordered", func(e []client.Event) bool {
		return len(e) > 0 && e[len(e)-1].Phase == "monitoring_start"
	})
	watch := start(t, "watch", "watch", "dark-cli", "--server="+y.base, "--token-file="+file(t, "token", y.token+"\n"))
	watch.await(y.ctx, `^dark-cli: deployment #1 is `)
	state, err := y.api.Find(y.ctx, "dark-cli")
	require.NoError(t, err)
	d, err := y.api.Deployment(y.ctx, state)
	require.NoError(t, err)
	got := y.as(t, "/api/status/phase", args(jsonType, []string{"-d", `{"server_ip":"` + *d.Node.ManagementIp + `","phase":"failed","status":"failed","message":"given up"}`})...)
	require.Equal(t, 200, got.status, got.body)
	require.Equal(t, 1, watch.end(y.ctx), "a failed deployment")
	require.Regexp(t, `(?m)^dark-cli: failed in monitoring_start: given up \(reported_failure\)$`, watch.said())

	list := y.cli("nodes")
	require.Equal(t, 0, list.code)
	require.Regexp(t, `(?m)^NAME +STATUS +PROGRESS `, list.out)
	require.Regexp(t, `(?m)^cli-1 +deployed +100% +#1 +127\.64\.\d+\.\d+ +`+profile, list.out)
	require.Regexp(t, `(?m)^dark-cli +failed `, list.out)
	require.NotContains(t, y.cli("nodes", "cli-1").out, "dark-cli")
	require.Equal(t, 1, y.cli("watch", "nobody").code)
	require.Equal(t, 1, y.cli("nodes", "--token=slw_wrong").code)
	require.Equal(t, 4, y.cli("nodes", "--server=http://"+freeAddress(t)).code, "nobody is there")
}

// TestWatchGivesUp: a server that is gone for good ends in an exit code of its
// own.
func TestWatchGivesUp(t *testing.T) {
	ctx := deadline(t)
	c := startCloud(ctx, t)
	s := newServer(t, c, "serve")
	s.start(ctx)
	s.order(ctx, "dark-1")
	watch := start(t, "watch", "watch", "dark-1", "--give-up=1s", "--server="+s.base, "--token="+s.token)
	watch.await(ctx, `dark-1 +monitoring_start`)
	s.proc.kill()
	require.Equal(t, 4, watch.end(ctx))
	require.Contains(t, watch.said(), "connection lost")
}

// TestHostIsUnchangedByADemo: while scripts of whole installations run as the
// child processes of root, this host's links, routes and block devices stay as
// they are.
func TestHostIsUnchangedByADemo(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root could change the host, and this is not root")
	}
	ctx := deadline(t)
	before := hostState(t)
	demo := start(t, "demo", "demo", "--exit-when-done", "--pace=quick", "--listen=127.0.0.1:0")
	demo.await(ctx, `network_config +success`)
	require.Equal(t, before, hostState(t), "after a network was set up")
	demo.await(ctx, `installation +in_progress +writing`)
	require.Equal(t, before, hostState(t), "while disks are written")
	require.Equal(t, 0, demo.end(ctx))
	require.Equal(t, before, hostState(t), "afterwards")
}

// hostState is what an installation must not change.
func hostState(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, argv := range [][]string{
		{"ip", "-j", "link"}, {"ip", "-j", "-4", "addr"}, {"ip", "-j", "-4", "route", "show", "table", "all"}, {"ip", "-j", "-6", "route", "show", "table", "all"},
		{"ip", "-j", "rule"}, {"lsblk", "--json", "--output", "NAME,SIZE,TYPE,RO,FSTYPE,UUID,MOUNTPOINTS"},
	} {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		require.NoError(t, err, "%v: %s", argv, out)
		b.WriteString(strings.Join(argv, " ") + "\n" + string(out) + "\n")
	}
	for _, name := range []string{"/etc/resolv.conf", "/etc/hostname", "/root/.ssh/authorized_keys", "/etc/ssh/ssh_host_ed25519_key.pub"} {
		content, err := os.ReadFile(name)
		b.WriteString(name + " " + string(content) + text(err) + "\n")
	}
	entries, err := os.ReadDir("/sys/block")
	require.NoError(t, err)
	for _, e := range entries {
		b.WriteString(e.Name() + "\n")
	}
	return b.String()
}
