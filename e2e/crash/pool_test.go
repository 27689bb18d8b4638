package crash

import (
	"sync"
	"testing"
)

// beside is how many worlds there are at once: they mostly wait.
const beside = 8

// each runs a subtest for every item, some beside each other.
func each[T any](t *testing.T, items []T, name func(T) string, run func(t *testing.T, item T)) {
	t.Helper()
	queue := make(chan T, len(items))
	for _, item := range items {
		queue <- item
	}
	close(queue)
	var workers sync.WaitGroup
	for range min(beside, len(items)) {
		workers.Go(func() {
			for item := range queue {
				t.Run(name(item), func(t *testing.T) { run(t, item) })
			}
		})
	}
	workers.Wait()
}
