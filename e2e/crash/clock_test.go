package crash

import "time"

// scale is by how much time passes faster than on the machine's clock.
const scale = 20

// clock is a time that runs faster. Processes that know the same epoch have
// the same time. It is the cloud's clock too.
type clock struct{ epoch time.Time }

func newClock() clock { return clock{time.Now()} }

func parseClock(text string) (clock, error) {
	epoch, err := time.Parse(time.RFC3339Nano, text)
	return clock{epoch}, err
}

func (c clock) String() string { return c.epoch.Format(time.RFC3339Nano) }

// Now is the fast time.
func (c clock) Now() time.Time { return c.epoch.Add(scale * time.Since(c.epoch)) }

// AfterFunc calls f when d has passed on this clock.
func (c clock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d/scale, f).Stop
}
