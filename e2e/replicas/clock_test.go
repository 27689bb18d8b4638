package replicas_test

import (
	"context"
	"time"
)

// pause is the moment that a client waits before it comes back.
func pause(ctx context.Context) {
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
