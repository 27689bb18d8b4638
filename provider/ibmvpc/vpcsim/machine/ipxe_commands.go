package machine

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pxeCommand runs one command; argv[0] is its name.
type pxeCommand func(p *pxe, ctx context.Context, s *scriptRun, argv []string) error

// pxeCommands are the commands this interpreter knows; any other one is
// answered as iPXE answers a command it was built without.
var pxeCommands map[string]pxeCommand

func init() { // not a literal: chain refers to the table through run
	pxeCommands = map[string]pxeCommand{
		"echo": (*pxe).echo, "set": (*pxe).set, "clear": (*pxe).clear, "isset": (*pxe).isset,
		"iseq": (*pxe).iseq, "inc": (*pxe).inc, "goto": (*pxe).jump, "exit": (*pxe).exit,
		"sleep": (*pxe).sleep, "prompt": (*pxe).prompt, "shell": (*pxe).shell,
		"dhcp": (*pxe).ifconf, "ifconf": (*pxe).ifconf, "ifopen": (*pxe).ifopen, "ifclose": (*pxe).ifopen,
		"ifstat": (*pxe).ifstat, "ntp": (*pxe).ntp,
		"kernel": (*pxe).kernel, "imgselect": (*pxe).kernel,
		"initrd": (*pxe).initrd, "module": (*pxe).initrd, "imgfetch": (*pxe).initrd,
		"imgargs": (*pxe).imgargs, "imgstat": (*pxe).imgstat, "imgfree": (*pxe).imgfree,
		"boot": (*pxe).boot, "imgexec": (*pxe).boot, "chain": (*pxe).chain,
	}
}

// options takes leading options off argv. spec maps each accepted option, long
// and short, to its canonical name; a trailing "=" there means it has a value.
// As iPXE's getopt it stops at the first word that is no option.
func options(argv []string, spec map[string]string) (map[string]string, []string, error) {
	got := map[string]string{}
	rest := argv[1:]
	for len(rest) > 0 && len(rest[0]) > 1 && rest[0][0] == '-' {
		word := rest[0]
		rest = rest[1:]
		if word == "--" {
			break
		}
		flag, value, inline := strings.Cut(word, "=")
		name, ok := spec[flag]
		if !ok {
			return nil, nil, fmt.Errorf("unrecognised option %q: %w", flag, errUsage)
		}
		name, takes := strings.CutSuffix(name, "=")
		switch {
		case !takes && inline:
			return nil, nil, fmt.Errorf("option %q takes no value: %w", flag, errUsage)
		case takes && !inline:
			if len(rest) == 0 {
				return nil, nil, fmt.Errorf("option %q needs a value: %w", flag, errUsage)
			}
			value, rest = rest[0], rest[1:]
		}
		got[name] = value
	}
	return got, rest, nil
}

func (p *pxe) echo(_ context.Context, _ *scriptRun, argv []string) error {
	opts, rest, err := options(argv, map[string]string{"-n": "n"})
	if err != nil {
		return err
	}
	end := "\n"
	if _, ok := opts["n"]; ok {
		end = ""
	}
	p.env.print(strings.Join(rest, " ") + end)
	return nil
}

func (p *pxe) set(_ context.Context, _ *scriptRun, argv []string) error {
	if len(argv) < 2 {
		return errUsage
	}
	name, _, _ := strings.Cut(argv[1], ":")
	value := strings.Join(argv[2:], " ")
	if name == "" || len(value) > maxWord {
		return errUsage
	}
	if value == "" { // an empty value deletes, as in iPXE
		delete(p.settings, name)
	} else {
		p.settings[name] = value
	}
	return nil
}

func (p *pxe) clear(_ context.Context, _ *scriptRun, argv []string) error {
	if len(argv) != 2 {
		return errUsage
	}
	delete(p.settings, argv[1])
	return nil
}

func (p *pxe) isset(_ context.Context, _ *scriptRun, argv []string) error {
	if len(argv) != 2 {
		return errUsage
	}
	if argv[1] == "" {
		return errNoEntry
	}
	return nil
}

func (p *pxe) iseq(_ context.Context, _ *scriptRun, argv []string) error {
	if len(argv) != 3 {
		return errUsage
	}
	if argv[1] != argv[2] {
		return errNoEntry
	}
	return nil
}

func (p *pxe) inc(_ context.Context, _ *scriptRun, argv []string) error {
	if len(argv) < 2 || len(argv) > 3 {
		return errUsage
	}
	by := 1
	if len(argv) == 3 {
		var err error
		if by, err = strconv.Atoi(argv[2]); err != nil {
			return errUsage
		}
	}
	now, _ := p.settings.lookup(argv[1])
	n, _ := strconv.Atoi(now) // what is no number counts as 0, as in iPXE
	p.settings[argv[1]] = strconv.Itoa(n + by)
	return nil
}

func (p *pxe) jump(_ context.Context, s *scriptRun, argv []string) error {
	if len(argv) != 2 {
		return errUsage
	}
	for i, line := range s.lines {
		if label, ok := strings.CutPrefix(line, ":"); ok && strings.TrimSpace(label) == argv[1] {
			s.next = i
			return nil
		}
	}
	p.env.print("goto: no label \"" + argv[1] + "\"\n")
	return fmt.Errorf("label %q: %w", argv[1], errNoEntry)
}

func (p *pxe) exit(_ context.Context, s *scriptRun, argv []string) error {
	if len(argv) > 2 {
		return errUsage
	}
	status := 0
	if len(argv) == 2 {
		var err error
		if status, err = strconv.Atoi(argv[1]); err != nil {
			return errUsage
		}
	}
	s.done = true
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}

func (p *pxe) sleep(ctx context.Context, _ *scriptRun, argv []string) error {
	if len(argv) != 2 {
		return errUsage
	}
	n, err := strconv.ParseUint(argv[1], 0, 31)
	if err != nil {
		return errUsage
	}
	return p.pause(ctx, time.Duration(n)*time.Second)
}

func (p *pxe) prompt(ctx context.Context, _ *scriptRun, argv []string) error {
	opts, rest, err := options(argv, map[string]string{
		"-k": "key=", "--key": "key=", "-t": "timeout=", "--timeout": "timeout=", "-v": "variable=", "--variable": "variable=",
	})
	if err != nil {
		return err
	}
	text := strings.Join(rest, " ")
	p.env.print(text + "\n")
	timeout, ok := opts["timeout"]
	if !ok {
		return p.waitForPerson(ctx, text)
	}
	ms, err := strconv.ParseUint(timeout, 0, 31)
	if err != nil {
		return errUsage
	}
	if err := p.pause(ctx, time.Duration(ms)*time.Millisecond); err != nil {
		return err
	}
	return errTimedOut // nobody pressed a key
}

func (p *pxe) shell(ctx context.Context, _ *scriptRun, argv []string) error {
	if len(argv) != 1 {
		return errUsage
	}
	p.env.print("iPXE> ")
	return p.waitForPerson(ctx, "shell")
}

// nicArgs are the interfaces a command names, net0 if none.
func (p *pxe) nicArgs(names []string) ([]string, error) {
	if len(names) == 0 {
		return []string{"net0"}, nil
	}
	for _, name := range names {
		if _, ok := p.settings[name+"/mac"]; !ok {
			p.env.print(name + ": no such interface\n")
			return nil, fmt.Errorf("%s: no such interface: %w", name, errNoEntry)
		}
	}
	return names, nil
}

// ifconf is also dhcp. The address was handed out when the machine started, so
// it only has to be there.
func (p *pxe) ifconf(_ context.Context, _ *scriptRun, argv []string) error {
	_, rest, err := options(argv, map[string]string{
		"-c": "configurator=", "--configurator": "configurator=", "-t": "timeout=", "--timeout": "timeout=",
	})
	if err != nil {
		return err
	}
	nics, err := p.nicArgs(rest)
	if err != nil {
		return err
	}
	for _, nic := range nics { // the first that answers suffices
		p.env.print(fmt.Sprintf("Configuring (%s %s)......", nic, p.settings[nic+"/mac"]))
		if p.settings[nic+"/ip"] != "" {
			p.env.print(" ok\n")
			return nil
		}
		p.env.print(" No configuration methods succeeded\n")
	}
	return fmt.Errorf("no configuration methods succeeded: %w", errTimedOut)
}

func (p *pxe) ifopen(_ context.Context, _ *scriptRun, argv []string) error {
	_, err := p.nicArgs(argv[1:])
	return err
}

func (p *pxe) ifstat(_ context.Context, _ *scriptRun, argv []string) error {
	nics, err := p.nicArgs(argv[1:])
	for _, nic := range nics {
		p.env.print(fmt.Sprintf("%s: %s using simulated on %s (Ethernet) [open]\n", nic, p.settings[nic+"/mac"], p.settings["smbios/product"]))
	}
	return err
}

// ntp succeeds: a simulated machine's clock is its host's, which is set.
func (p *pxe) ntp(_ context.Context, _ *scriptRun, argv []string) error {
	if len(argv) != 2 {
		return errUsage
	}
	return nil
}

var imageOptions = map[string]string{
	"-n": "name=", "--name": "name=", "-t": "timeout=", "--timeout": "timeout=",
	"-a": "autofree", "--autofree": "autofree", "-r": "replace", "--replace": "replace",
}

// acquire is what all image commands do first: it finds an image by name or
// fetches it, and gives it its name and arguments.
func (p *pxe) acquire(ctx context.Context, s *scriptRun, opts map[string]string, words []string) (*pxeImage, error) {
	if len(words) == 0 {
		return nil, errUsage
	}
	args := strings.Join(words[1:], " ")
	if img := p.find(words[0]); img != nil {
		if args != "" {
			img.args = args
		}
		return img, nil
	}
	uri, err := url.Parse(words[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", words[0], errUsage)
	}
	if s.base != nil {
		uri = s.base.ResolveReference(uri)
	}
	p.env.print(uri.String() + "...")
	img, err := p.env.fetch(ctx, uri)
	if err != nil {
		p.env.print(" " + err.Error() + "\n")
		return nil, err
	}
	p.env.print(" ok\n")
	img.uri, img.name, img.args = uri, path.Base(uri.Path), args
	if err := p.verify(img); err != nil {
		return nil, err
	}
	if name, ok := opts["name"]; ok {
		img.name = name
	}
	p.images = append(p.images, img)
	return img, nil
}

// verify compares what arrived with what the script and the server announced,
// and says so on the console.
func (p *pxe) verify(img *pxeImage) error {
	var compared []string
	for _, want := range []struct{ by, sum string }{
		{"the boot script", p.sums[img.name]}, {"the X-Checksum-Sha256 header", img.header},
	} {
		if want.sum == "" {
			continue
		}
		if !strings.EqualFold(want.sum, img.sha256) {
			p.env.print(fmt.Sprintf("%s: CHECKSUM MISMATCH: sha256 is %s, %s says %s. Boot stopped.\n",
				img.name, img.sha256, want.by, want.sum))
			return fmt.Errorf("%s: %w", img.name, errChecksum)
		}
		compared = append(compared, want.by)
	}
	if len(compared) > 0 {
		p.env.print(fmt.Sprintf("%s: sha256 is %s, compared with %s\n", img.name, img.sha256, strings.Join(compared, " and ")))
	}
	return nil
}

func (p *pxe) find(name string) *pxeImage {
	for _, img := range p.images {
		if img.name == name {
			return img
		}
	}
	return nil
}

func (p *pxe) kernel(ctx context.Context, s *scriptRun, argv []string) error {
	opts, rest, err := options(argv, imageOptions)
	if err != nil {
		return err
	}
	img, err := p.acquire(ctx, s, opts, rest)
	if err != nil {
		return err
	}
	p.selected = img
	return nil
}

func (p *pxe) initrd(ctx context.Context, s *scriptRun, argv []string) error {
	opts, rest, err := options(argv, imageOptions)
	if err != nil {
		return err
	}
	_, err = p.acquire(ctx, s, opts, rest)
	return err
}

func (p *pxe) imgargs(_ context.Context, _ *scriptRun, argv []string) error {
	if len(argv) < 2 {
		return errUsage
	}
	img := p.find(argv[1])
	if img == nil {
		return errNoEntry
	}
	img.args = strings.Join(argv[2:], " ")
	return nil
}

func (p *pxe) imgstat(_ context.Context, _ *scriptRun, _ []string) error {
	for _, img := range p.images {
		p.env.print(fmt.Sprintf("%s : %d bytes \"%s\"\n", img.name, img.size, img.args))
	}
	return nil
}

func (p *pxe) imgfree(_ context.Context, _ *scriptRun, argv []string) error {
	if len(argv) == 1 {
		p.images, p.selected = nil, nil
		return nil
	}
	img := p.find(argv[1])
	if img == nil {
		return errNoEntry
	}
	p.images = slices.DeleteFunc(p.images, func(o *pxeImage) bool { return o == img })
	if p.selected == img {
		p.selected = nil
	}
	return nil
}

func (p *pxe) boot(ctx context.Context, s *scriptRun, argv []string) error {
	return p.execute(ctx, s, argv, false)
}

func (p *pxe) chain(ctx context.Context, s *scriptRun, argv []string) error {
	return p.execute(ctx, s, argv, true)
}

// execute starts an image: a script is interpreted, anything else is a kernel.
func (p *pxe) execute(ctx context.Context, s *scriptRun, argv []string, needsImage bool) error {
	opts, rest, err := options(argv, imageOptions)
	if err != nil {
		return err
	}
	img := p.selected
	if len(rest) > 0 || needsImage {
		if img, err = p.acquire(ctx, s, opts, rest); err != nil {
			return err
		}
	}
	if img == nil {
		p.env.print("No image selected\n")
		return fmt.Errorf("no image selected: %w", errNoEntry)
	}
	if img.script != nil {
		// A running script is not an initrd of what it boots.
		p.images = slices.DeleteFunc(p.images, func(o *pxeImage) bool { return o == img })
		if _, replace := opts["replace"]; replace { // the caller never gets control back
			p.replaced, s.done = img, true
			return nil
		}
		return p.run(ctx, img.script, img.uri, s.depth+1)
	}
	boot := &pxeBoot{kernel: img, cmdline: img.args}
	for _, other := range p.images {
		if other != img {
			boot.initrds = append(boot.initrds, other)
		}
	}
	p.booted = boot
	return nil
}
