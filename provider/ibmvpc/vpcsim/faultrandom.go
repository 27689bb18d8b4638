package vpcsim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
)

// randomRate is the probability of a FaultRandom that names none.
const randomRate = 0.05

// randomStatuses are what a random FaultFail answers.
var randomStatuses = []int{
	http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusTooManyRequests,
}

func (f *Fault) checkRandom() error {
	if f.Rate == 0 {
		f.Rate = randomRate
	}
	if f.Rate < 0 || f.Rate > 1 {
		return fmt.Errorf("rate %v is not 0 to 1", f.Rate)
	}
	if len(f.Kinds) == 0 {
		f.Kinds = []FaultKind{FaultFail, FaultDropBefore, FaultDropAfter}
	}
	f.Kinds = slices.Clone(f.Kinds)
	for _, kind := range f.Kinds {
		if !slices.Contains(callFaults, kind) && !slices.Contains(serverFaults, kind) {
			return fmt.Errorf("fault kind %q is none of %v %v", kind, callFaults, serverFaults)
		}
	}
	return nil
}

// draw decides whether a random fault strikes with this kind here: nil if not. The n-th draw for the same seed, kind,
// operation and subject is always the same, whatever else happens meanwhile.
func (s *Simulator) draw(f *Fault, kind FaultKind, operation, subject string) *Fault {
	key := fmt.Sprintf("%d/%s/%s/%s", f.Seed, kind, operation, subject)
	s.draws[key]++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", key, s.draws[key]))
	chance := float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
	// The rate is that of all kinds together, or nearly: each kind has a draw of its own.
	if chance >= f.Rate/float64(len(f.Kinds)) {
		return nil
	}
	strikes := *f
	strikes.Kind, strikes.Kinds = kind, nil
	if kind == FaultFail && f.Status == 0 {
		strikes.Status = randomStatuses[int(sum[8])%len(randomStatuses)]
		if strikes.Status == http.StatusTooManyRequests && f.RetryAfterSeconds == 0 {
			strikes.RetryAfterSeconds = 1
		}
	}
	_ = strikes.complete() // what could be wrong was checked when the fault was set
	return &strikes
}
