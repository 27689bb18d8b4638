package cvm_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/deploy/health"
)

func (w *world) join(token string) func() (cvm.Step, error) {
	return func() (cvm.Step, error) {
		n := len(w.targets) - 1
		return w.client.Join(w.Context(), cvm.JoinRequest{Existing: w.targets[:n], New: w.targets[n], Token: token})
	}
}

func (w *world) destroy(token string) func() (cvm.Step, error) {
	return func() (cvm.Step, error) {
		return w.client.Destroy(w.Context(), cvm.DestroyRequest{Members: w.targets, Token: token})
	}
}

func (w *world) preform(nodes int) {
	w.Helper()
	var addrs []netip.Addr
	for i := range nodes {
		addrs = append(addrs, addr(i))
	}
	if err := w.site.Preform("prod", addrs...); err != nil {
		w.Fatal(err)
	}
}

func TestJoin(t *testing.T) {
	w := newWorld(t, 4)
	w.preform(3)
	acted := 0
	s := w.drive(func() (cvm.Step, error) {
		s, err := w.join("j-1")()
		if s.Acted {
			acted++
		}
		return s, err
	}, ended)
	w.mustBe(s, cvm.ActionDone, cvm.ReasonJoined)
	if acted != 1 {
		t.Errorf("acted %d times", acted)
	}
	if r := w.client.Health(t.Context(), w.targets, netip.Addr{}); !r.OK() {
		t.Errorf("%+v", r.Bad())
	}
}

// A node that comes late is waited for, then joins.
func TestLateNodeJoins(t *testing.T) {
	w := newWorld(t, 4)
	w.preform(3)
	w.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultDown, Addr: addr(3)})
	s := w.rest(w.join("j-1"))
	if s.Action != cvm.ActionWait || s.Reason != cvm.ReasonUnreached || !slices.Equal(s.Members, []netip.Addr{addr(3)}) {
		t.Fatalf("%+v", s.Decision)
	}
	w.site.Clear()
	w.mustBe(w.drive(w.join("j-1"), ended), cvm.ActionDone, cvm.ReasonJoined)
}

func TestJoinThatStaysHalf(t *testing.T) {
	w := newWorld(t, 4)
	w.preform(3)
	w.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultNeverUp, Addr: addr(3)})
	s := w.rest(w.join("j-1"))
	w.mustBe(s, cvm.ActionWait, cvm.ReasonStarting)
	w.site.Clear()
	w.mustBe(w.drive(w.join("j-1"), ended), cvm.ActionDone, cvm.ReasonJoined)
}

func TestSingleNodeIsNotGrown(t *testing.T) {
	w := newWorld(t, 2)
	w.preform(1)
	s, err := w.join("j-1")()
	if err != nil || s.Action != cvm.ActionFail || s.Reason != cvm.ReasonNotGrowable {
		t.Errorf("%+v %v", s.Decision, err)
	}
}

func TestDestroy(t *testing.T) {
	w := newWorld(t, 3)
	r := w.request("c1-1")
	r.Spec.VIP = vip
	w.drive(func() (cvm.Step, error) { return w.client.Form(t.Context(), r) }, ended)
	var acts []cvm.Action
	s := w.drive(func() (cvm.Step, error) {
		s, err := w.destroy("d-1")()
		if s.Acted {
			acts = append(acts, s.Action)
		}
		return s, err
	}, ended)
	if s.Action != cvm.ActionDone || s.Reason != cvm.ReasonGone || !slices.Equal(acts, []cvm.Action{cvm.ActionStop, cvm.ActionDestroy}) {
		t.Fatalf("%+v after %v", s.Decision, acts)
	}
	for _, st := range w.site.State() {
		if st.State != "" || st.Services != 0 {
			t.Errorf("%+v", st)
		}
	}
	// The same nodes make a cluster again, its address too.
	r.Token = "c2-1"
	w.mustBe(w.drive(func() (cvm.Step, error) { return w.client.Form(t.Context(), r) }, ended), cvm.ActionDone, cvm.ReasonFormed)
}

// A job that dies at its first stage, a silent member, a stranger: nothing is
// destroyed by mistake, and the state is told as it is.
func TestDestroyThatCannot(t *testing.T) {
	t.Run("dies", func(t *testing.T) {
		w := newWorld(t, 3)
		w.preform(3)
		w.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultDie, Times: 1})
		if s := w.drive(w.destroy("d-1"), ended); s.Reason != cvm.ReasonJobDied || !w.formed() {
			t.Errorf("%+v", s.Decision)
		}
		if s := w.drive(w.destroy("d-2"), ended); s.Reason != cvm.ReasonGone {
			t.Errorf("%+v", s.Decision)
		}
	})
	t.Run("silent", func(t *testing.T) {
		w := newWorld(t, 3)
		w.preform(3)
		w.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultDown, Addr: addr(1)})
		if s := w.rest(w.destroy("d-1")); s.Reason != cvm.ReasonUnreached || s.Acted {
			t.Errorf("%+v", s.Decision)
		}
	})
	t.Run("stranger", func(t *testing.T) {
		w := newWorld(t, 4)
		w.preform(4)
		w.targets = w.targets[:3]
		if s := w.rest(w.destroy("d-1")); s.Reason != cvm.ReasonOtherCluster {
			t.Errorf("%+v", s.Decision)
		}
		for _, c := range w.site.Ran() {
			if strings.Contains(c.Line, "destroy |") || strings.Contains(c.Line, "| cluster") {
				t.Errorf("ran %q", c.Line)
			}
		}
	})
}

func TestHealthTellsWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault cvmsim.Fault
		bad   []string // "name address"
	}{
		{"well", cvmsim.Fault{Kind: cvmsim.FaultSlow}, nil},
		{"one down", cvmsim.Fault{Kind: cvmsim.FaultDown, Addr: addr(1)},
			[]string{"cvm_answers 127.77.0.12", "cvm_services 127.77.0.12", "prism_answers 127.77.0.12", "cluster_normal"}},
		{"no Prism on one", cvmsim.Fault{Kind: cvmsim.FaultNoPrism, Addr: addr(2)}, []string{"prism_answers 127.77.0.13"}},
		{"garbage of one", cvmsim.Fault{Kind: cvmsim.FaultAnswer, Addr: addr(0), Text: "?\n"},
			[]string{"cvm_answers 127.77.0.11", "cvm_services 127.77.0.11", "cluster_normal"}},
		{"another host", cvmsim.Fault{Kind: cvmsim.FaultHostKey, Addr: addr(0)},
			[]string{"cvm_answers 127.77.0.11", "cvm_services 127.77.0.11", "cluster_normal"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 3)
			w.preform(3)
			w.site.Inject(c.fault)
			r := w.client.Health(t.Context(), w.targets, netip.Addr{})
			var bad []string
			for _, k := range r.Bad() {
				s := string(k.Name)
				if k.Addr.IsValid() {
					s += " " + k.Addr.String()
				}
				bad = append(bad, s)
				if k.Message == "" {
					t.Errorf("%+v says nothing", k)
				}
			}
			if !slices.Equal(bad, c.bad) || r.OK() != (c.bad == nil) || len(r.Checks) != 10 {
				t.Errorf("%d checks, bad %q", len(r.Checks), bad)
			}
		})
	}
	w := newWorld(t, 1)
	if r := w.client.Health(t.Context(), w.targets, netip.Addr{}); r.OK() || len(r.Bad()) != 3 {
		t.Errorf("no cluster: %+v", r.Bad())
	}
	if (cvm.Report{}).OK() {
		t.Error("nothing checked is well")
	}
}

func TestPrismAnswers(t *testing.T) {
	w := newWorld(t, 1)
	at := netip.AddrPortFrom(addr(0), uint16(w.targets[0].PrismPort))
	if _, err := w.client.PrismAnswers(t.Context(), at); cvm.ClassOf(err) != cvm.ClassTLS && cvm.ClassOf(err) != health.ClassUnreachable {
		t.Errorf("before: %v", err)
	}
	w.preform(1)
	p, err := w.client.PrismAnswers(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.Subject, "CN="+cvmsim.PrismSubject) || !p.SelfSigned || len(p.Fingerprint) != 64 || p.Version != "TLS 1.3" || p.NotAfter.Before(time.Now()) {
		t.Errorf("%+v", p)
	}
	if e := p.Evidence(); !strings.Contains(e, p.Fingerprint) || !strings.Contains(e, "TLS 1.3") {
		t.Errorf("evidence %q", e)
	}
	if _, err := w.client.PrismAnswers(t.Context(), netip.MustParseAddrPort("127.77.9.9:9")); cvm.ClassOf(err) != health.ClassRefused {
		t.Errorf("closed: %v", err)
	}
	// It takes the connection and says nothing, or something else.
	for text, want := range map[string]cvm.Class{"": health.ClassTimeout, "SSH-2.0-other\r\n": cvm.ClassTLS} {
		l, err := net.Listen("tcp", "127.77.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		hold := make(chan struct{})
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			conn.Write([]byte(text))
			<-hold
		}()
		quick := *w.client
		if text == "" {
			quick.Timeouts.TLS = 100 * time.Millisecond
		}
		if _, err := quick.PrismAnswers(t.Context(), netip.MustParseAddrPort(l.Addr().String())); cvm.ClassOf(err) != want {
			t.Errorf("%q: %s %v", text, cvm.ClassOf(err), err)
		}
		close(hold)
		l.Close()
	}
}
