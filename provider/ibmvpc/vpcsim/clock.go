package vpcsim

import (
	"sort"
	"sync"
	"time"
)

// Clock is the simulator's time: every created_at, every expiry and every delayed change of state goes by it.
type Clock interface {
	// Now is the present time.
	Now() time.Time
	// AfterFunc calls f in another goroutine, or on the goroutine that advances a manual clock, once d has passed.
	// The function it returns cancels the call; it reports false when the call was made already.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// systemClock is the machine's own clock.
type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// ManualClock is a Clock that stands still until Advance moves it. It is safe for concurrent use.
type ManualClock struct {
	mu     sync.Mutex
	now    time.Time
	serial int
	timers []*manualTimer
}

type manualTimer struct {
	at     time.Time
	serial int
	f      func()
}

// NewManualClock returns a ManualClock that shows now.
func NewManualClock(now time.Time) *ManualClock { return &ManualClock{now: now} }

// Now is the time the clock was last set to.
func (m *ManualClock) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// AfterFunc arranges for f to be called by the Advance that reaches now+d.
func (m *ManualClock) AfterFunc(d time.Duration, f func()) func() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serial++
	t := &manualTimer{at: m.now.Add(d), serial: m.serial, f: f}
	m.timers = append(m.timers, t)
	return func() bool { return m.remove(t) }
}

func (m *ManualClock) remove(t *manualTimer) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, other := range m.timers {
		if other == t {
			m.timers = append(m.timers[:i], m.timers[i+1:]...)
			return true
		}
	}
	return false
}

// Advance moves the clock by d and calls, on this goroutine and in order of time, everything that falls due on the
// way, including what those calls themselves arrange.
func (m *ManualClock) Advance(d time.Duration) {
	m.mu.Lock()
	end := m.now.Add(d)
	m.mu.Unlock()
	for {
		f := m.next(end)
		if f == nil {
			return
		}
		f()
	}
}

// next takes the earliest timer due by end and sets the clock to its time; without one it sets the clock to end.
func (m *ManualClock) next(end time.Time) func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	sort.Slice(m.timers, func(i, j int) bool {
		if m.timers[i].at.Equal(m.timers[j].at) {
			return m.timers[i].serial < m.timers[j].serial
		}
		return m.timers[i].at.Before(m.timers[j].at)
	})
	if len(m.timers) == 0 || m.timers[0].at.After(end) {
		if end.After(m.now) {
			m.now = end
		}
		return nil
	}
	t := m.timers[0]
	m.timers = m.timers[1:]
	if t.at.After(m.now) {
		m.now = t.at
	}
	return t.f
}
