package feed

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRing: what the ring gives is all there is behind a position, or it says
// that it no longer has it.
func TestRing(t *testing.T) {
	r := ring[int64]{max: 8, base: 100}
	var all []int64
	for p := int64(101); p < 200; p += 1 + p%3 {
		r.add(p, p)
		all = append(all, p)
		require.LessOrEqual(t, len(r.entries), 10)
		had := 0
		for after := int64(90); after <= p+1; after++ {
			got, ok := r.after(after, 1000)
			if !ok {
				continue
			}
			had++
			var want []int64
			for _, q := range all {
				if q > after {
					want = append(want, q)
				}
			}
			require.ElementsMatch(t, want, got, "after %d of %v", after, all)
			some, _ := r.after(after, 3)
			require.Equal(t, got[:min(3, len(got))], some)
		}
		require.GreaterOrEqual(t, had, min(8, len(all)), "it keeps as many as it was asked to")
	}
}
