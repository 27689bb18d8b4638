package feed

import "sort"

// ring keeps the newest entries by position. base is the position up to which
// entries are no longer in it.
type ring[T any] struct {
	max       int
	base      int64
	positions []int64
	entries   []T
}

func (r *ring[T]) add(position int64, entry T) {
	r.positions = append(r.positions, position)
	r.entries = append(r.entries, entry)
	if len(r.entries) < r.max+r.max/4 {
		return
	}
	// Cut a quarter at once, so that an add costs O(1) on average.
	cut := len(r.entries) - r.max
	r.base = r.positions[cut-1]
	r.positions = append(make([]int64, 0, r.max+r.max/4), r.positions[cut:]...)
	r.entries = append(make([]T, 0, r.max+r.max/4), r.entries[cut:]...)
}

// after gives at most limit entries behind a position; ok is false if some of
// them are no longer in the ring.
func (r *ring[T]) after(position int64, limit int) (entries []T, ok bool) {
	if position < r.base {
		return nil, false
	}
	i := sort.Search(len(r.positions), func(i int) bool { return r.positions[i] > position })
	return r.entries[i:min(i+limit, len(r.entries)):min(i+limit, len(r.entries))], true
}
