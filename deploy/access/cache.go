package access

import (
	"sync"
	"time"
)

// cache holds principals by the digest of their secret for a short time. When
// it is full, what has expired goes, and if nothing has, everything: a miss
// costs one indexed read, so nothing cleverer is needed.
type cache struct {
	mu    sync.Mutex
	max   int
	items map[string]cached
}

type cached struct {
	p     *Principal
	until time.Time
}

func newCache(size int) *cache { return &cache{max: size, items: make(map[string]cached)} }

func (c *cache) get(sum string, now time.Time) (*Principal, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it, ok := c.items[sum]
	if !ok || !now.Before(it.until) {
		return nil, false
	}
	return it.p, true
}

func (c *cache) put(sum string, p *Principal, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.items) >= c.max {
		c.shrink(until.Add(-CacheFor))
	}
	c.items[sum] = cached{p, until}
}

func (c *cache) shrink(now time.Time) {
	for k, it := range c.items {
		if !now.Before(it.until) {
			delete(c.items, k)
		}
	}
	if len(c.items) >= c.max {
		clear(c.items)
	}
}

// drop forgets every principal that gone names.
func (c *cache) drop(gone func(*Principal) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, it := range c.items {
		if gone(it.p) {
			delete(c.items, k)
		}
	}
}
