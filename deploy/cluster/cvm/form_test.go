package cvm_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/deploy/health"
)

func TestFormation(t *testing.T) {
	for _, n := range []int{1, 3, 4} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newWorld(t, n)
			acted := 0
			var waits []cvm.Reason
			s := w.drive(func() (cvm.Step, error) {
				r := w.request("c1-1")
				r.Spec.VIP = vip
				s, err := w.client.Form(t.Context(), r)
				if s.Acted {
					acted++
				} else if s.Action == cvm.ActionWait {
					waits = append(waits, s.Reason)
					if s.Message == "" || len(s.Members) == 0 {
						t.Errorf("waits for nothing: %+v", s.Decision)
					}
				}
				return s, err
			}, ended)
			w.mustBe(s, cvm.ActionDone, cvm.ReasonFormed)
			if acted != 1 || w.site.Formed() != 1 || len(waits) == 0 {
				t.Errorf("acted %d times, formed %d, waited %v", acted, w.site.Formed(), waits)
			}
			st := w.site.State()[0]
			if st.Cluster != "prod" || st.VIP != vip || st.RF != fmt.Sprint(cvm.DefaultRedundancyFactor(n)) {
				t.Errorf("%+v", st)
			}
			// Asked again, it does nothing.
			again, err := w.form("c1-1")()
			if err != nil || again.Action != cvm.ActionDone || again.Acted {
				t.Errorf("again: %+v %v", again.Decision, err)
			}
			if r := w.client.Health(t.Context(), w.targets, vip); !r.OK() || len(r.Checks) != 3*n+2 {
				t.Errorf("%d checks, bad: %+v", len(r.Checks), r.Bad())
			}
			for _, e := range again.Facts.Job.Tail {
				if strings.Contains(e, "$6$") {
					t.Errorf("kept the hash: %q", e)
				}
			}
		})
	}
}

// Every fault ends in a state that is true, and says what it is about.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults []cvmsim.Fault
		action cvm.Action
		reason cvm.Reason
		about  []int // members
		says   string
	}{
		{"slow", []cvmsim.Fault{{Kind: cvmsim.FaultSlow, Steps: 3}}, cvm.ActionDone, cvm.ReasonFormed, []int{0, 1, 2}, ""},
		{"half-formed", []cvmsim.Fault{{Kind: cvmsim.FaultHalfFormed, Addr: addr(2)}}, cvm.ActionFail, cvm.ReasonHalfFormed, []int{2}, "without 127.77.0.13"},
		{"lying exit status", []cvmsim.Fault{{Kind: cvmsim.FaultLie}}, cvm.ActionFail, cvm.ReasonNotDone, []int{0}, "Failed to configure"},
		{"dies at once", []cvmsim.Fault{{Kind: cvmsim.FaultDie, Stage: "discover"}}, cvm.ActionFail, cvm.ReasonJobDied, []int{0}, ""},
		{"dies before the members", []cvmsim.Fault{{Kind: cvmsim.FaultDie, Stage: "certificates"}}, cvm.ActionFail, cvm.ReasonJobDied, []int{0}, ""},
		{"dies before Zeus", []cvmsim.Fault{{Kind: cvmsim.FaultDie, Stage: "zeus"}}, cvm.ActionWait, cvm.ReasonStarting, []int{0, 1, 2}, ""},
		{"dies while services start", []cvmsim.Fault{{Kind: cvmsim.FaultDie, Stage: "services"}}, cvm.ActionDone, cvm.ReasonFormed, []int{0, 1, 2}, ""},
		{"dies at the end", []cvmsim.Fault{{Kind: cvmsim.FaultDie, Stage: "end"}}, cvm.ActionDone, cvm.ReasonFormed, []int{0, 1, 2}, ""},
		{"services never start on one", []cvmsim.Fault{{Kind: cvmsim.FaultNeverUp, Addr: addr(1)}}, cvm.ActionWait, cvm.ReasonStarting, []int{0, 1, 2}, "127.77.0.12"},
		{"one never comes", []cvmsim.Fault{{Kind: cvmsim.FaultDown, Addr: addr(2)}}, cvm.ActionWait, cvm.ReasonUnreached, []int{2}, "127.77.0.13"},
		{"garbage", []cvmsim.Fault{{Kind: cvmsim.FaultAnswer, Addr: addr(1), Text: "no such thing\n"}}, cvm.ActionWait, cvm.ReasonUnclear, []int{1}, ""},
		{"a wrong answer that looks well", []cvmsim.Fault{{Kind: cvmsim.FaultAnswer, Addr: addr(1), Text: "The state of the cluster: start\n"}}, cvm.ActionWait, cvm.ReasonUnclear, []int{1}, ""},
		{"another host", []cvmsim.Fault{{Kind: cvmsim.FaultHostKey, Addr: addr(0)}}, cvm.ActionFail, cvm.ReasonWrongHost, []int{0}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			for _, f := range c.faults {
				w.site.Inject(f)
			}
			s := w.rest(w.form("c1-1"))
			w.mustBe(s, c.action, c.reason)
			var about []netip.Addr
			for _, i := range c.about {
				about = append(about, addr(i))
			}
			if !slices.Equal(s.Members, about) || !strings.Contains(s.Message, c.says) {
				t.Errorf("about %v: %s", s.Members, s.Message)
			}
			if c.action == cvm.ActionFail && (s.Hint == "" || w.site.Formed() > 1) {
				t.Errorf("hint %q, formed %d", s.Hint, w.site.Formed())
			}
		})
	}
}

// A cut answer of a cluster that is up is waited for, and found out when it is
// whole again.
func TestCutAnswers(t *testing.T) {
	w := newWorld(t, 3)
	if err := w.site.Preform("prod", addr(0), addr(1), addr(2)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []cvmsim.FaultKind{cvmsim.FaultCut, cvmsim.FaultCutExit} {
		for _, n := range []int{0, 1, 100, 1500, 5000} {
			w.site.Inject(cvmsim.Fault{Kind: kind, Addr: addr(1), Bytes: n, Times: 1})
			s, err := w.form("c1-1")()
			if err != nil {
				t.Fatal(err)
			}
			want := cvm.ReasonUnclear
			if kind == cvmsim.FaultCut {
				want = cvm.ReasonUnreached
			}
			if s.Action != cvm.ActionWait || s.Reason != want {
				t.Errorf("%s after %d: %s %s", kind, n, s.Action, s.Reason)
			}
			w.site.Clear()
			if s, err = w.form("c1-1")(); err != nil || s.Action != cvm.ActionDone {
				t.Errorf("whole again: %s %v", s.Action, err)
			}
		}
	}
	if w.site.Formed() != 0 {
		t.Errorf("formed %d", w.site.Formed())
	}
}

// After a fault is mended, a retry (another token) forms; the same token never
// begins again.
func TestRetryIsAnotherAttempt(t *testing.T) {
	w := newWorld(t, 3)
	w.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultDie, Stage: "certificates", Times: 1})
	w.mustBe(w.drive(w.form("c1-1"), ended), cvm.ActionFail, cvm.ReasonJobDied)
	w.mustBe(w.drive(w.form("c1-1"), ended), cvm.ActionFail, cvm.ReasonJobDied)
	if w.site.Formed() != 0 {
		t.Fatal("the same attempt began again")
	}
	w.mustBe(w.drive(w.form("c1-2"), ended), cvm.ActionDone, cvm.ReasonFormed)
}

// The first member restarts in the middle of its command.
func TestRestartOfTheFirst(t *testing.T) {
	w := newWorld(t, 3)
	w.drive(w.form("c1-1"), func(s cvm.Step) bool { return s.Acted })
	for range 3 { // discover, certificates, the first member
		w.site.Step()
	}
	w.site.Restart(addr(0))
	w.mustBe(w.drive(w.form("c1-1"), ended), cvm.ActionFail, cvm.ReasonHalfFormed)
}

func TestVIPThatAnswers(t *testing.T) {
	w := newWorld(t, 1)
	l, err := net.Listen("tcp", netip.AddrPortFrom(vip, uint16(w.targets[0].PrismPort)).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := w.request("c1-1")
	r.Spec.VIP = vip
	s, err := w.client.Form(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	w.mustBe(s, cvm.ActionFail, cvm.ReasonVIPTaken)
}

func TestMembersOfAnotherCluster(t *testing.T) {
	w := newWorld(t, 4)
	if err := w.site.Preform("old", addr(2), addr(3)); err != nil {
		t.Fatal(err)
	}
	w.targets = w.targets[:3]
	s, err := w.form("c1-1")()
	if err != nil || s.Action != cvm.ActionFail || s.Reason != cvm.ReasonOtherCluster || !slices.Equal(s.Members, []netip.Addr{addr(2)}) {
		t.Errorf("%+v %v", s.Decision, err)
	}
}

// killer is a connection to a world that ends: after so many connections, the
// next one is cut after so many bytes, and no further one is made.
type killer struct {
	left  atomic.Int64 // connections that still go well
	bytes int64        // of the one that is cut
	dead  atomic.Bool
	end   context.CancelFunc
}

var errKilled = errors.New("killed")

func (k *killer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if k.dead.Load() {
		return nil, errKilled
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil || k.left.Add(-1) >= 0 {
		return conn, err
	}
	return &cutConn{Conn: conn, k: k, left: k.bytes}, nil
}

type cutConn struct {
	net.Conn
	k    *killer
	left int64
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.left -= int64(len(p)); c.left < 0 {
		c.k.dead.Store(true)
		c.k.end()
		c.Conn.Close()
		return 0, errKilled
	}
	return c.Conn.Write(p)
}

// Slipway is killed in the middle of a formation: at one of its connections,
// before or after it has sent its question; another one asks anew. There is one
// cluster in the end, formed once.
func TestKillAnywhere(t *testing.T) {
	sent, connections := []int64{0, 1600, 2600, 3200}, []int64{0, 1, 3, 4, 5, 9, 14, 23, 37}
	if testing.Short() {
		sent, connections = sent[2:], connections[2:6]
	}
	killed := 0
	for _, bytes := range sent {
		for _, at := range connections {
			w := newWorld(t, 3)
			ctx, cancel := context.WithCancel(t.Context())
			k := &killer{bytes: bytes, end: cancel}
			k.left.Store(at)
			victim := &cvm.Client{Key: w.client.Key, Timeouts: short, Dial: k.dial}
			for range beats {
				s, err := victim.Form(ctx, w.request("c1-1"))
				if err != nil || s.Action.Ended() {
					break
				}
				w.site.Step()
			}
			cancel()
			if k.dead.Load() {
				killed++
			}
			w.mustBe(w.drive(w.form("c1-1"), ended), cvm.ActionDone, cvm.ReasonFormed)
			if w.site.Formed() != 1 {
				t.Fatalf("killed at connection %d after %d bytes: formed %d times", at, bytes, w.site.Formed())
			}
			w.site.Close()
		}
	}
	if killed < len(sent)*len(connections)*3/4 {
		t.Errorf("killed %d times only", killed)
	}
}

// The answer to the start is lost: the next look knows that it began.
func TestLostAnswerOfTheStart(t *testing.T) {
	w := newWorld(t, 3)
	w.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultLoseAnswer, Times: 1})
	s, err := w.form("c1-1")()
	if err != nil || s.Action != cvm.ActionWait || s.Acted {
		t.Fatalf("%+v %v", s.Decision, err)
	}
	if s, err = w.form("c1-1")(); err != nil || s.Reason != cvm.ReasonJobRuns {
		t.Fatalf("%+v %v", s.Decision, err)
	}
	w.mustBe(w.drive(w.form("c1-1"), ended), cvm.ActionDone, cvm.ReasonFormed)
	if w.site.Formed() != 1 {
		t.Errorf("formed %d", w.site.Formed())
	}
}

// Two workers make the same step at once, again and again.
func TestTwoWorkersAtOnce(t *testing.T) {
	w := newWorld(t, 3)
	other := *w.client
	for range beats {
		done := make(chan cvm.Step, 2)
		for _, c := range []*cvm.Client{w.client, &other} {
			go func() {
				s, err := c.Form(t.Context(), w.request("c1-1"))
				if err != nil {
					t.Error(err)
				}
				done <- s
			}()
		}
		a, b := <-done, <-done
		if a.Acted && b.Acted {
			t.Fatal("both acted")
		}
		if a.Action == cvm.ActionFail || b.Action == cvm.ActionFail {
			t.Fatalf("%+v %+v", a.Decision, b.Decision)
		}
		if ended(a) && ended(b) {
			break
		}
		w.site.Step()
	}
	if !w.formed() || w.site.Formed() != 1 {
		t.Errorf("%+v, formed %d", w.site.State(), w.site.Formed())
	}
}

func TestRequestsThatAreNotSent(t *testing.T) {
	w := newWorld(t, 1)
	for name, change := range map[string]func(*cvm.FormRequest){
		"token":   func(r *cvm.FormRequest) { r.Token = "a'; reboot; '" },
		"empty":   func(r *cvm.FormRequest) { r.Token = "" },
		"name":    func(r *cvm.FormRequest) { r.Spec.Name = "$(reboot)" },
		"nobody":  func(r *cvm.FormRequest) { r.Members = nil },
		"members": func(r *cvm.FormRequest) { r.Spec.Members = []netip.Addr{addr(7)} },
	} {
		r := w.request("c1-1")
		change(&r)
		if _, err := w.client.Form(t.Context(), r); cvm.ClassOf(err) != cvm.ClassRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ran := w.site.Ran(); len(ran) != 0 {
		t.Errorf("ran %v", ran)
	}
}

func TestQuestionsWithoutAnswer(t *testing.T) {
	w := newWorld(t, 1)
	good := w.targets[0]
	other := newWorld(t, 1).targets[0]
	quick := *w.client
	quick.Timeouts.Command = 50 * time.Millisecond
	for name, c := range map[string]struct {
		client *cvm.Client
		change func(*cvm.Target)
		fault  cvmsim.FaultKind
		want   cvm.Class
	}{
		"no key":    {w.client, func(t *cvm.Target) { t.HostKey = "" }, "", health.ClassWrongHost},
		"other key": {w.client, func(t *cvm.Target) { t.HostKey = other.HostKey }, "", health.ClassWrongHost},
		"key of a kind that is not there": {w.client, func(t *cvm.Target) {
			t.HostKey = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="
		}, "", health.ClassWrongHost},
		"user":         {w.client, func(t *cvm.Target) { t.User = "root" }, "", health.ClassAuthFailed},
		"closed port":  {w.client, func(t *cvm.Target) { t.Addr = netip.MustParseAddr("127.77.9.9") }, "", health.ClassRefused},
		"hangs":        {&quick, func(*cvm.Target) {}, cvmsim.FaultHang, health.ClassTimeout},
		"down":         {w.client, func(*cvm.Target) {}, cvmsim.FaultDown, ""},
		"cut":          {w.client, func(*cvm.Target) {}, cvmsim.FaultCut, health.ClassProtocol},
		"no key of us": {&cvm.Client{Timeouts: short}, func(*cvm.Target) {}, "", cvm.ClassRequest},
	} {
		target := good
		c.change(&target)
		if c.fault != "" {
			w.site.Inject(cvmsim.Fault{Kind: c.fault})
		}
		_, err := c.client.Status(t.Context(), target)
		w.site.Clear()
		if err == nil || c.want != "" && cvm.ClassOf(err) != c.want {
			t.Errorf("%s: %s %v", name, cvm.ClassOf(err), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.client.Status(ctx, good); cvm.ClassOf(err) != health.ClassCanceled {
		t.Errorf("canceled: %v", err)
	}
}
