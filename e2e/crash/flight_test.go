package crash

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// flight is a call that is under way when everything is called off.
type flight struct {
	operation string
	killed    bool // and its caller is killed
}

func (f flight) String() string {
	if f.killed {
		return f.operation + ", its caller killed"
	}
	return f.operation
}

// How long a call takes, on the fast clock: less than its caller waits, and a
// create longer than it takes to cancel and to ask for a cleanup, a read longer
// than that takes.
const (
	createMS = 30_000
	readMS   = 70_000
)

// TestCanceledInFlight cancels a deployment while a call for it is under way,
// and asks for the cleanup before that has its effect. The cleanup must not end
// before that is seen, or can be no more; and nothing more may be asked for.
func TestCanceledInFlight(t *testing.T) {
	t.Parallel()
	var all []flight
	for _, operation := range []string{"ListVpcs", "CreateSubnetReservedIP", "CreateVirtualNetworkInterface", "ListImages", "CreateBareMetalServer", "ListDnszones", "CreateResourceRecord"} {
		all = append(all, flight{operation, false})
		if strings.HasPrefix(operation, "Create") {
			all = append(all, flight{operation, true})
		}
	}
	each(t, all, flight.String, func(t *testing.T, f flight) {
		w := newWorld(t, storetest.SQLiteURL(t))
		slow := vpcsim.Fault{Kind: vpcsim.FaultLatency, Operation: f.operation, Times: 1, LatencyMS: createMS}
		if !strings.HasPrefix(f.operation, "Create") {
			slow.LatencyMS = readMS
		}
		w.arm(t, "", slow)
		l := w.newLife(t.Context(), "flight")
		w.start()
		if err := l.calledOff(f); err != nil {
			t.Fatal(err)
		}
		if err := w.closing(t.Context(), []*life{l}); err != nil {
			t.Error(err)
		}
	})
}

// calledOff deploys a node, and cancels and cleans it up as soon as the call is
// under way.
func (l *life) calledOff(f flight) error {
	if err := l.order("deploy"); err != nil {
		return err
	}
	begins, cancel := context.WithTimeout(l.ctx, patience)
	defer cancel()
	if err := l.w.sim.Wait(begins, func(s vpcsim.State) bool { return s.Calls[f.operation] > 0 }); err != nil {
		return fmt.Errorf("%s was not called: %w", f.operation, err)
	}
	l.canceled = true
	if out, err := l.request(request{Verb: "cancel", Immediate: true}); err != nil || out.Code != "" {
		return fmt.Errorf("cancel: %s %s: %w", out.Code, out.Message, err)
	}
	if f.killed {
		l.w.crash()
	}
	d, err := l.ended()
	if err != nil {
		return err
	}
	if d.State != "canceled" {
		return fmt.Errorf("it is %s and not canceled: the call was over too soon", d.State)
	}
	return l.cleanUp()
}
