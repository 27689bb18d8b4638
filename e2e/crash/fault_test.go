package crash

import (
	"testing"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// arm sets a fault; reason is the failure that it explains, empty if it must
// not lead to one.
func (w *world) arm(t *testing.T, reason string, f vpcsim.Fault) {
	t.Helper()
	id, err := w.sim.AddFault(f)
	if err != nil {
		t.Fatal(err)
	}
	if reason == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed == nil {
		w.armed = map[string]string{}
	}
	w.armed[id] = reason
}

// struck tells whether something has happened that explains a failure.
func (w *world) struck(reason string) bool {
	if reason == reasonInstall {
		return w.fleet.failed()
	}
	waiting := map[string]bool{}
	for _, f := range w.sim.Faults() {
		waiting[f.ID] = f.Used == 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, explains := range w.armed {
		if explains == reason && !waiting[id] {
			return true
		}
	}
	return false
}

// failed tells whether a machine has failed to install.
func (f *fleet) failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken > 0
}
