package admission

import (
	"fmt"
	"time"
)

// Facts is what an admission is decided from. Machines that are silent are in
// none of the counts.
type Facts struct {
	Slots  int   // how many may download at once
	Budget int64 // bytes that may be under way at once; 0 = no bound

	Running      int   // machines that download
	RunningBytes int64 // what they count for
	Ahead        int   // machines that wait and asked before this one
	AheadBytes   int64 // what they want
	Bytes        int64 // what this one wants
}

// Answer is what a machine that asks is told.
type Answer struct {
	Admitted bool
	// Position is how many machines wait before this one; Running how many
	// download. Both are 0 for an admitted machine.
	Position int
	Running  int
	// RetryAfter is when to ask again; whole seconds.
	RetryAfter time.Duration
}

// Decide lets a machine in if all that wait before it fit in as well: nobody
// is overtaken, so that a large download is not starved by small ones. Nothing
// is too large for the budget when it is alone. retryMax bounds the wait
// between two questions; zero means 15 s.
func Decide(f Facts, retryMax time.Duration) Answer {
	before := f.Running + f.Ahead
	fits := f.Budget <= 0 || before == 0 || f.RunningBytes+f.AheadBytes+f.Bytes <= f.Budget
	if before < f.Slots && fits {
		return Answer{Admitted: true}
	}
	if retryMax <= 0 {
		retryMax = 15 * time.Second
	}
	// Who is far back asks seldom. A place further costs 50 ms, so that 1,000
	// waiting machines make some 70 questions a second and not 500.
	wait := 2*time.Second + time.Duration(f.Ahead)*50*time.Millisecond
	wait = max(min(wait, retryMax).Round(time.Second), time.Second)
	return Answer{Position: f.Ahead, Running: f.Running, RetryAfter: wait}
}

// Evidence says an answer to people. Far back it counts in steps, so that a
// long queue that moves on by one is not a change of all that wait in it.
func (a Answer) Evidence() string {
	if a.Admitted {
		return ""
	}
	return fmt.Sprintf("%s before this one, %d downloading", coarse(a.Position), a.Running)
}

func coarse(n int) string {
	switch {
	case n < 20:
		return fmt.Sprint(n)
	case n < 200:
		return fmt.Sprintf("about %d", n/10*10)
	default:
		return fmt.Sprintf("about %d", n/100*100)
	}
}
