package crash

import (
	"sync"
	"testing"
)

// worlds bounds how many there are at once, over all tests. They mostly wait.
var worlds = make(chan struct{}, 12)

// each runs a subtest for every item, as many beside each other as may be.
func each[T any](t *testing.T, items []T, name func(T) string, run func(t *testing.T, item T)) {
	t.Helper()
	var all sync.WaitGroup
	for _, item := range items {
		worlds <- struct{}{}
		all.Go(func() {
			defer func() { <-worlds }()
			t.Run(name(item), func(t *testing.T) { run(t, item) })
		})
	}
	all.Wait()
}
