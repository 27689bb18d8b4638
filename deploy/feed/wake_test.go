package feed

import (
	"testing"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"
)

func TestNotified(t *testing.T) {
	require.Equal(t, int64(42), notified(&pq.Notification{Extra: "42"}))
	require.Zero(t, notified(nil), "after a lost connection anything may have been committed")
	require.Zero(t, notified(&pq.Notification{Extra: "what?"}))
}

// TestWake: positions only rise, whoever tells them, and who knows none has
// the database asked.
func TestWake(t *testing.T) {
	f := New(nil, Options{})
	f.Wake(7)
	f.Wake(5)
	require.Equal(t, int64(7), f.told.Load())
	require.False(t, f.asked.Load())
	f.Wake(0)
	require.Equal(t, int64(7), f.told.Load())
	require.True(t, f.asked.Load())
	require.Len(t, f.wake, 1, "many wake-ups are one")
}
