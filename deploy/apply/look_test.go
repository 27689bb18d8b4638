package apply_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// slow asks a host that answers after the test's will, or not in time.
type slow struct {
	left   chan time.Duration // until the look is given up
	answer chan health.Result
}

func (s *slow) Check(ctx context.Context, _ health.Target) health.Result {
	deadline, _ := ctx.Deadline()
	s.left <- time.Until(deadline)
	select {
	case r := <-s.answer:
		return r
	case <-ctx.Done():
		return health.Result{Class: health.ClassCanceled, Message: "given up"}
	}
}

// A host has the time of the setting to tell its boot id; nobody waits longer.
func TestAHostThatIsSlowToTell(t *testing.T) {
	at := &slow{left: make(chan time.Duration, 1), answer: make(chan health.Result, 1)}
	h := open(t, storetest.SQLite(t), func(d *apply.Deps) { d.Prober = at })
	at.answer <- health.Result{Class: health.ClassOK, BootID: "before", HostKey: "ssh-ed25519 AAAA"}
	out := h.apply(node("a", 21))
	require.Greater(t, <-at.left, 5*time.Second, "a server that looks names up takes seconds")
	docs, err := h.Documents(t.Context(), out.Run.ID)
	require.NoError(t, err)
	require.Equal(t, "before", docs[0].BootIDBefore)
	h.finish(out)

	h.again(func(d *apply.Deps) { d.Prober, d.LookLimit = at, time.Millisecond })
	out = h.apply(node("b", 22))
	require.LessOrEqual(t, <-at.left, time.Millisecond)
	docs, err = h.Documents(t.Context(), out.Run.ID)
	require.NoError(t, err)
	require.Empty(t, docs[0].BootIDBefore)
}
