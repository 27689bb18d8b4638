package cvm_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"golang.org/x/crypto/ssh"
)

// world is a site of simulated controller VMs and a client that may log in.
type world struct {
	*testing.T
	site    *cvmsim.Site
	client  *cvm.Client
	targets []cvm.Target
}

// short are limits that a test can wait for, on a machine that may be busy; only
// what hangs meets them.
var short = cvm.Timeouts{Dial: time.Minute, Banner: time.Minute, Auth: time.Minute, Command: time.Minute, TLS: time.Minute}

func newWorld(t *testing.T, nodes int) *world {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	site, err := cvmsim.New(cvmsim.Options{Key: key.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	w := &world{T: t, site: site, client: &cvm.Client{Key: key, Timeouts: short}}
	for i := range nodes {
		w.add(i)
	}
	return w
}

func addr(i int) netip.Addr { return netip.MustParseAddr("127.77.0." + strconv.Itoa(11+i)) }

func (w *world) add(i int) cvm.Target {
	w.Helper()
	c, err := w.site.Add(addr(i), cvmsim.Place{})
	if err != nil {
		w.Fatal(err)
	}
	t := cvm.Target{Addr: c.Addr(), Port: c.SSHPort(), PrismPort: c.PrismPort(), HostKey: c.HostKey()}
	w.targets = append(w.targets, t)
	return t
}

var vip = netip.MustParseAddr("127.77.0.200")

func (w *world) request(token string) cvm.FormRequest {
	return cvm.FormRequest{Members: w.targets, Token: token, Spec: cvm.CreateSpec{
		Name: "prod", RedundancyFactor: cvm.DefaultRedundancyFactor(len(w.targets)),
		DNS: []netip.Addr{netip.MustParseAddr("10.0.0.2")}, NTP: []string{"pool.ntp.org"},
	}}
}

// beats is more than any formation takes.
const beats = 60

// drive makes steps, with a beat of the site after each, until so.
func (w *world) drive(step func() (cvm.Step, error), so func(cvm.Step) bool) cvm.Step {
	w.Helper()
	var last cvm.Step
	for range beats {
		s, err := step()
		if err != nil {
			w.Fatal(err)
		}
		if so(s) {
			return s
		}
		last = s
		w.site.Step()
	}
	w.Fatalf("no end; last %s %s: %s %q", last.Action, last.Reason, last.Message, last.Evidence)
	return last
}

func ended(s cvm.Step) bool { return s.Action.Ended() }

// rest makes steps until one ends it, or until nothing works any more and for some
// beats nothing has come of waiting.
func (w *world) rest(step func() (cvm.Step, error)) cvm.Step {
	w.Helper()
	idle := 0
	return w.drive(step, func(s cvm.Step) bool {
		if idle++; w.site.Working() {
			idle = 0
		}
		return ended(s) || idle > 8
	})
}

func (w *world) form(token string) func() (cvm.Step, error) {
	return func() (cvm.Step, error) { return w.client.Form(w.Context(), w.request(token)) }
}

// truth compares what was concluded with what is.
func (w *world) formed() bool {
	states := w.site.State()
	return !slices.ContainsFunc(states, func(s cvmsim.CVMState) bool {
		return s.State != "start" || s.Services != s.Of || len(s.Members) != len(states)
	})
}

func (w *world) mustBe(s cvm.Step, action cvm.Action, reason cvm.Reason) {
	w.Helper()
	if s.Action != action || s.Reason != reason {
		w.Fatalf("got %s %s (%s), want %s %s\nevidence %q", s.Action, s.Reason, s.Message, action, reason, s.Evidence)
	}
	if (s.Action == cvm.ActionDone) != w.formed() {
		w.Fatalf("said %s, but the site is %+v", s.Action, w.site.State())
	}
}
