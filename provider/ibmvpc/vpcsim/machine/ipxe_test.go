package machine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// fakeEnv is a machine made of maps.
type fakeEnv struct {
	files   map[string]string // by address
	headers map[string]string // X-Checksum-Sha256 by address
	console strings.Builder
	slept   time.Duration
	fetched []string
	waiting string
	cancel  context.CancelFunc // called when the script waits for a person
	naps    int
	maxNaps int // after so many, the power goes
}

func (e *fakeEnv) fetch(_ context.Context, uri *url.URL) (*pxeImage, error) {
	e.fetched = append(e.fetched, uri.String())
	text, ok := e.files[uri.String()]
	if !ok {
		return nil, errors.New("HTTP 404 Not Found")
	}
	sum := sha256.Sum256([]byte(text))
	img := &pxeImage{uri: uri, sha256: hex.EncodeToString(sum[:]), size: int64(len(text)), header: e.headers[uri.String()]}
	if isScript([]byte(text)) {
		img.script = []byte(text)
	}
	return img, nil
}

func (e *fakeEnv) sleep(ctx context.Context, d time.Duration) error {
	e.slept += d
	if e.naps++; e.maxNaps > 0 && e.naps >= e.maxNaps {
		e.cancel()
	}
	return ctx.Err()
}

func (e *fakeEnv) print(text string) { e.console.WriteString(text) }

func (e *fakeEnv) prompt(what string) { e.waiting = what; e.cancel() }

var testSpec = vpcsim.Spec{
	ServerID: "srv-1", Name: "node-1", Profile: "bx2d-metal-96x384", IP: "127.64.0.4", MAC: "02:00:01:0a:0b:0c",
	DNSServers: []string{"161.26.0.7"},
	Interfaces: []vpcsim.Interface{
		{Name: "a", MAC: "02:00:01:0a:0b:0c", IP: "127.64.0.4", CIDR: "127.64.0.0/24", Gateway: "127.64.0.1"},
		{Name: "b", MAC: "02:00:01:0a:0b:0d"},
	},
}

func sum256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// interpret runs the body of a script, which came from http://boot/dir/s.ipxe.
func interpret(t testing.TB, env *fakeEnv, body string) (*pxe, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	env.cancel = cancel
	base, err := url.Parse("http://boot/dir/s.ipxe")
	require.NoError(t, err)
	p := newPXE(env, newSettings(testSpec, "11111111-2222-3333-4444-555555555555"))
	return p, p.run(ctx, []byte("#!ipxe\n"+body), base, 0)
}

// TestScripts checks what scripts print, in which state they end, and with what.
func TestScripts(t *testing.T) {
	long := strings.Repeat("x", 64)
	for _, tc := range []struct {
		name, script, console string
		err                   error
		slept                 time.Duration
	}{
		{"empty", "", "", nil, 0},
		{"comments and blank lines", "# one\n\n   # two\necho a # three\n", "a\n", nil, 0},
		{"comment glued to a word is part of it", "echo a#b\n", "a#b\n", nil, 0},
		{"carriage returns", "echo a\r\necho b\r\n", "a\nb\n", nil, 0},
		{"continued line", "echo a \\\n b\n", "a b\n", nil, 0},
		{"words are joined by one space", "echo   a    b\n", "a b\n", nil, 0},
		{"no quoting", "echo 'a  b'\n", "'a b'\n", nil, 0},
		{"echo -n", "echo -n a\necho b\n", "ab\n", nil, 0},

		{"set and expand", "set x 1 2\necho <${x}>\n", "<1 2>\n", nil, 0},
		{"unset is empty", "echo <${nothing}>\n", "<>\n", nil, 0},
		{"nested expansion", "set a b\nset b deep\necho ${${a}}\n", "deep\n", nil, 0},
		{"an expanded word stays one word", "set a x y\nisset ${a} && echo one\n", "one\n", nil, 0},
		{"expansion does not make commands", "set a ; echo no\necho <${a}>\n", "no\n<>\n", nil, 0},
		{"set without value clears", "set a 1\nset a\necho <${a}>\n", "<>\n", nil, 0},
		{"clear", "set a 1\nclear a\necho <${a}>\n", "<>\n", nil, 0},
		{"unfinished expansion is text", "echo ${a\n", "${a\n", nil, 0},
		{"self-reference ends", "set d $\nset x ${d}{x}\necho <${x}>\n", "<>\n", nil, 0},

		{"built-in settings", "echo ${net0/mac} ${net0/ip} ${buildarch} ${platform} ${uuid}\n",
			"02:00:01:0a:0b:0c 127.64.0.4 x86_64 efi 11111111-2222-3333-4444-555555555555\n", nil, 0},
		{"unscoped settings", "echo ${mac} ${ip} ${netmask} ${gateway} ${dns} ${hostname} ${serial}\n",
			"02:00:01:0a:0b:0c 127.64.0.4 255.255.255.0 127.64.0.1 161.26.0.7 node-1 srv-1\n", nil, 0},
		{"other scopes", "echo ${netX/ip} ${net0.dhcp/ip} ${net1/mac} <${net1/ip}>\n",
			"127.64.0.4 127.64.0.4 02:00:01:0a:0b:0d <>\n", nil, 0},
		{"formats", "set s a b\necho ${net0/mac:hexhyp} ${net0/mac:hexraw} ${s:uristring} ${ip:ipv4}\n",
			"02-00-01-0a-0b-0c 0200010a0b0c a%20b 127.64.0.4\n", nil, 0},

		{"or after failure", "isset ${x} || echo no\n", "no\n", nil, 0},
		{"or after success", "isset x || echo no\n", "", nil, 0},
		{"and after success", "isset x && echo yes\n", "yes\n", nil, 0},
		{"and or chain", "isset ${x} && echo yes || echo no\n", "no\n", nil, 0},
		{"success keeps its result over a skipped or", "isset x || isset ${y} && echo yes\n", "yes\n", nil, 0},
		{"semicolon", "isset ${x} ; echo on\n", "on\n", nil, 0},
		{"empty alternative succeeds", "isset ${x} ||\necho on\n", "on\n", nil, 0},
		{"failure ends the script", "isset ${x}\necho never\n", "", errNoEntry, 0},
		{"iseq", "iseq a a && echo same\niseq a b || echo other\n", "same\nother\n", nil, 0},
		{"inc", "inc n\ninc n 4\necho ${n}\n", "5\n", nil, 0},

		{"goto forward", "goto end\necho never\n:end\necho end\n", "end\n", nil, 0},
		{"goto back", ":again\ninc n\niseq ${n} 3 || goto again\necho ${n}\n", "3\n", nil, 0},
		{"goto expanded", "set where end\ngoto ${where}\necho never\n:end\necho end\n", "end\n", nil, 0},
		{"goto nowhere", "goto nowhere\n", "goto: no label \"nowhere\"\n", errNoEntry, 0},
		{"goto skips the alternative", "dhcp && goto on ||\necho never\n:on\necho on\n",
			"Configuring (net0 02:00:01:0a:0b:0c)...... ok\non\n", nil, 0},

		{"exit", "exit\necho never\n", "", nil, 0},
		{"exit status", "exit 3\necho never\n", "", exitStatus(3), 0},
		{"exit cannot be caught", "exit 3 || echo never\necho never\n", "", exitStatus(3), 0},
		{"sleep", "sleep 2\nsleep 3\n", "", nil, 5 * time.Second},
		{"sleep of nonsense", "sleep soon\n", "", errUsage, 0},
		{"prompt times out", "prompt --key 0x03 --timeout 1500 Press || echo nobody\n", "Press\nnobody\n", nil, 1500 * time.Millisecond},
		{"shell waits for good", "shell\necho never\n", "iPXE> ", context.Canceled, 0},
		{"prompt waits for good", "prompt\necho never\n", "\n", context.Canceled, 0},

		{"unknown command", "frobnicate now\necho never\n", "frobnicate: command not found\n", errNoCommand, 0},
		{"unknown command caught", "frobnicate || echo caught\n", "frobnicate: command not found\ncaught\n", nil, 0},
		{"unknown option", "kernel --frob vmlinuz\n", "", errUsage, 0},
		{"no such interface", "dhcp net7 || echo caught\n", "net7: no such interface\ncaught\n", nil, 0},
		{"no address there", "dhcp net1 || echo caught\n",
			"Configuring (net1 02:00:01:0a:0b:0d)...... No configuration methods succeeded\ncaught\n", nil, 0},
		{"ifconf", "ifconf -c dhcp net1 net0\n", "Configuring (net1 02:00:01:0a:0b:0d)...... No configuration methods succeeded\n" +
			"Configuring (net0 02:00:01:0a:0b:0c)...... ok\n", nil, 0},
		{"ntp", "ntp 161.26.0.6\n", "", nil, 0},

		{"boot without kernel", "boot || echo caught\n", "No image selected\ncaught\n", nil, 0},
		{"missing file", "kernel http://boot/none || echo caught\n", "http://boot/none... HTTP 404 Not Found\ncaught\n", nil, 0},
		{"chain returns", "chain sub.ipxe\necho back\n", "http://boot/dir/sub.ipxe... ok\nin sub\nback\n", nil, 0},
		{"chain hands on failure", "chain bad.ipxe || echo caught\n", "http://boot/dir/bad.ipxe... ok\ncaught\n", nil, 0},
		{"chain --replace does not return", "chain --replace sub.ipxe\necho never\n", "http://boot/dir/sub.ipxe... ok\nin sub\n", nil, 0},
		{"chain --replace that cannot be fetched", "chain --replace none || echo caught\n",
			"http://boot/dir/none... HTTP 404 Not Found\ncaught\n", nil, 0},
		{"settings survive a chain", "set v 1\nchain set.ipxe\necho ${v}\n", "http://boot/dir/set.ipxe... ok\n2\n", nil, 0},
		{"spinning script is stopped", ":a\ngoto a\n", "Script stopped: it runs in a circle without pause\n", errSpin, 0},
		{"growing word is stopped", "set a " + long + "\n" + strings.Repeat("set a ${a}${a}\n", 12), "", errExpand, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := &fakeEnv{files: map[string]string{
				"http://boot/dir/sub.ipxe": "#!ipxe\necho in sub\n",
				"http://boot/dir/bad.ipxe": "#!ipxe\nexit 1\n",
				"http://boot/dir/set.ipxe": "#!ipxe\nset v 2\n",
			}}
			p, err := interpret(t, env, tc.script)
			require.ErrorIs(t, err, tc.err)
			require.Nil(t, p.booted)
			if !errors.Is(tc.err, errExpand) {
				require.Equal(t, tc.console, env.console.String())
			}
			require.Equal(t, tc.slept, env.slept)
		})
	}
}

func TestBootScript(t *testing.T) {
	env := &fakeEnv{files: map[string]string{"http://boot/boot/images/vmlinuz": "kernel", "http://boot/boot/images/initrd.img": "ramdisk"}}
	script := "# sha256 vmlinuz " + sum256("kernel") + "\n# sha256 initrd.img " + strings.ToUpper(sum256("ramdisk")) + `
set base http://boot
:retry_dhcp
dhcp && goto online ||
sleep 2
goto retry_dhcp
:online
kernel ${base}/boot/images/vmlinuz initrd=initrd.img slipway.url=${base} slipway.ip=127.64.0.4 console=ttyS0 || goto failed
initrd --name initrd.img ${base}/boot/images/initrd.img || goto failed
boot || goto failed
:failed
echo failed
`
	p, err := interpret(t, env, script)
	require.NoError(t, err)
	require.NotNil(t, p.booted)
	require.Equal(t, "vmlinuz", p.booted.kernel.name)
	require.Equal(t, "initrd=initrd.img slipway.url=http://boot slipway.ip=127.64.0.4 console=ttyS0", p.booted.cmdline)
	require.Len(t, p.booted.initrds, 1)
	require.Equal(t, "initrd.img", p.booted.initrds[0].name)
	require.NotContains(t, env.console.String(), "failed")
}

func TestRelativeAddressesAndImageCommands(t *testing.T) {
	env := &fakeEnv{files: map[string]string{
		"http://boot/dir/next/s.ipxe": "#!ipxe\nkernel k one\nimgargs k two three\nmodule ../i\nimgstat\nboot\n",
		"http://boot/dir/next/k":      "k", "http://boot/dir/i": "i",
	}}
	p, err := interpret(t, env, "chain next/s.ipxe\n")
	require.NoError(t, err)
	require.Equal(t, []string{"http://boot/dir/next/s.ipxe", "http://boot/dir/next/k", "http://boot/dir/i"}, env.fetched)
	require.Equal(t, "two three", p.booted.cmdline)
	require.Len(t, p.booted.initrds, 1, "the running script is not one of them")
	require.Contains(t, env.console.String(), `k : 1 bytes "two three"`)

	env = &fakeEnv{files: env.files}
	p, err = interpret(t, env, "kernel next/k\nimgfree\nboot || echo gone\n")
	require.NoError(t, err)
	require.Nil(t, p.booted)
	require.Contains(t, env.console.String(), "gone")
}

func TestChecksums(t *testing.T) {
	const kernel, address = "kernel", "http://boot/dir/vmlinuz"
	good, bad := sum256(kernel), sum256("another")
	for _, tc := range []struct {
		name, comment, header string
		stops                 bool
	}{
		{"none announced", "", "", false},
		{"both agree", good, good, false},
		{"script disagrees", bad, good, true},
		{"header disagrees", good, bad, true},
		{"only header, disagrees", "", bad, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := &fakeEnv{files: map[string]string{address: kernel}, headers: map[string]string{address: tc.header}}
			script := "kernel vmlinuz || echo caught\nboot\n"
			if tc.comment != "" {
				script = "# sha256 vmlinuz " + tc.comment + "\n" + script
			}
			p, err := interpret(t, env, script)
			if !tc.stops {
				require.NoError(t, err)
				require.NotNil(t, p.booted)
				return
			}
			require.ErrorIs(t, err, errChecksum)
			require.Nil(t, p.booted, "a file with a wrong sum is never booted")
			require.Contains(t, env.console.String(), "CHECKSUM MISMATCH")
			require.NotContains(t, env.console.String(), "caught")
		})
	}
}

// TestReplaceLoop is the script that makes a machine ask again: it must be able
// to go on for ever without nesting deeper.
func TestReplaceLoop(t *testing.T) {
	env := &fakeEnv{maxNaps: 200, files: map[string]string{
		"http://boot/dir/again": "#!ipxe\n:wait\nsleep 15\nchain --replace again || goto wait\n",
	}}
	_, err := interpret(t, env, "chain --replace again\n")
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 200, env.naps)
}

func TestChainsAreNotEndless(t *testing.T) {
	env := &fakeEnv{files: map[string]string{"http://boot/dir/self": "#!ipxe\nchain self\n"}}
	_, err := interpret(t, env, "chain self\n")
	require.ErrorIs(t, err, errSpin)
}

func TestIsScript(t *testing.T) {
	for _, yes := range []string{"#!ipxe", "#!ipxe\n", "#!ipxe \n", "#!ipxe\r\necho"} {
		require.True(t, isScript([]byte(yes)), "%q", yes)
	}
	for _, no := range []string{"", "#!ipxes\n", " #!ipxe\n", "#!/bin/sh\n", "http://boot/"} {
		require.False(t, isScript([]byte(no)), "%q", no)
	}
	_, err := interpret(t, &fakeEnv{}, "echo a"+strings.Repeat("\n", maxScript))
	require.ErrorIs(t, err, errNoExec, "too large")
}

// FuzzScript interprets anything: it must end, not panic, and never boot a file
// that is not the announced one.
func FuzzScript(f *testing.F) {
	for _, s := range []string{
		"kernel k a ${ip} || goto x\ninitrd -n i i\nboot\n:x\necho x\n", "chain --replace self\n", ":a\ninc n\ngoto a\n",
		"set a ${b:hexhyp} # c\nprompt -t 5 a\nsleep 0x10\nexit ${n}\n", "imgfree k ; imgargs k v && imgstat || shell\n",
		"# sha256 k " + strings.Repeat("0", 64) + "\nboot k\n", "echo \\\n${net0/mac:uristring}\n",
		"set d $\nset a ${d}{a}x\nset a ${a}${a}\ngoto\n", "chain self || chain sub\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		env := &fakeEnv{maxNaps: 50, files: map[string]string{
			"http://boot/dir/k": "kernel", "http://boot/dir/i": "initrd",
			"http://boot/dir/self": "#!ipxe\n" + script, "http://boot/dir/sub": "#!ipxe\nboot k\n",
		}}
		p, err := interpret(t, env, script)
		if errors.Is(err, errChecksum) && p.booted != nil {
			t.Fatal("booted after a checksum mismatch")
		}
		if p.booted != nil {
			want := p.sums[p.booted.kernel.uri.Path[len("/dir/"):]]
			if want != "" && want != p.booted.kernel.sha256 {
				t.Fatalf("booted %s with sha256 %s, announced was %s", p.booted.kernel.name, p.booted.kernel.sha256, want)
			}
		}
	})
}
