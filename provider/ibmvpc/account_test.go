package ibmvpc

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Of many that ask the same at once, one asks; what was asked for before all
// was forgotten is nobody else's answer.
func TestManyAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now()
		p := &Provider{cfg: Config{Now: func() time.Time { return at }}}
		asked := 0
		answer := make(chan string)
		var wg sync.WaitGroup
		got := make([]string, 8)
		for i := range got {
			wg.Go(func() {
				var err error
				got[i], err = remembered(t.Context(), p, "it", func() (string, error) {
					asked++ // by one at a time, that is what is tested
					return <-answer, nil
				})
				require.NoError(t, err)
			})
		}
		synctest.Wait()
		answer <- "first"
		wg.Wait()
		require.Equal(t, 1, asked)
		for _, g := range got {
			require.Equal(t, "first", g)
		}

		at = at.Add(seenFor)
		for i := range 2 {
			wg.Go(func() {
				var err error
				got[i], err = remembered(t.Context(), p, "it", func() (string, error) { asked++; return <-answer, nil })
				require.NoError(t, err)
			})
		}
		synctest.Wait()
		require.Equal(t, 2, asked)
		p.seen.forget()
		answer <- "of yesterday"
		synctest.Wait()
		require.Equal(t, 3, asked, "the other one asks for itself")
		answer <- "new"
		wg.Wait()
		require.ElementsMatch(t, []string{"of yesterday", "new"}, got[:2])
	})
}
