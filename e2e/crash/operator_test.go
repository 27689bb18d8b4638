package crash

import (
	"context"
	"fmt"
	"time"
)

// patience is how long anything may take to come to rest, on the machine's clock.
const patience = 5 * time.Minute

// lookEvery is the pause between looks at what is in the database.
const lookEvery = 100 * time.Millisecond

// state asks for all that is in the database.
func (w *world) state(ctx context.Context) (*state, error) {
	out, err := w.ask(ctx, request{Verb: "state"})
	return out.State, err
}

// rest waits until a deployment, or with id 0 all of them, is in none of the
// states that go on by themselves, and gives what is in the database then. With
// id 0 also no job and no call to the cloud is under way.
func (w *world) rest(ctx context.Context, id int64) (*state, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last *state
	for {
		s, err := w.state(ctx)
		if err != nil {
			return nil, fmt.Errorf("waiting for rest: %w; last seen: %s", err, last)
		}
		if last = s; s.restful(id) && (id != 0 || s.Busy == 0 && w.flying.Load() == 0 && w.heard(s.Told)) {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("it does not come to rest: %s", last)
		case <-tick.C:
		}
	}
}

// heard tells whether all that the present core has told is known here.
func (w *world) heard(told int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.child != nil && w.child.told >= told
}

func (s *state) restful(id int64) bool {
	for _, d := range s.Deployments {
		if id != 0 && d.ID != id {
			continue
		}
		switch d.State {
		case "queued", "running", "canceling", "cleaning_up":
			return false
		}
	}
	return true
}

func (s *state) of(id int64) deployment {
	for _, d := range s.Deployments {
		if d.ID == id {
			return d
		}
	}
	return deployment{}
}

// String is short enough for a failure's text.
func (s *state) String() string {
	if s == nil {
		return "nothing"
	}
	text := fmt.Sprintf("%d jobs run", s.Busy)
	for _, d := range s.Deployments {
		text += fmt.Sprintf("; %s of %s (%d): %s at %s, attempt %d", d.Kind, d.Name, d.ID, d.State, d.Phase, d.Attempt)
		if d.Code != "" {
			text += fmt.Sprintf(" (%s in %s: %s)", d.Code, d.FailedIn, d.Failure)
		}
	}
	for _, r := range s.Rows {
		if r.State != "present" && r.State != "gone" {
			text += fmt.Sprintf("; %s is %s (%s)", r.Name, r.State, r.LastError)
		}
	}
	return text
}
