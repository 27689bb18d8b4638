package supervisor

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/quick"

	"github.com/stretchr/testify/require"
)

// Whatever is written in whatever pieces, and taken over by another writer at
// any time: what is read is what was written, at its offset, or the line that
// says how much of it is missing; and the limit holds.
func TestLogIsTrue(t *testing.T) {
	property := func(seed uint64, pieces []uint16) bool {
		random := rand.New(rand.NewPCG(seed, 0))
		root, err := os.OpenRoot(t.TempDir())
		require.NoError(t, err)
		defer root.Close()
		limit := int64(800 + random.IntN(8)*800)
		w, err := newLogWriter(root, limit)
		require.NoError(t, err)
		var all []byte
		for _, p := range pieces {
			b := make([]byte, int(p)%3000)
			for i := range b {
				b[i] = 'a' + byte(random.IntN(26))
			}
			all = append(all, b...)
			_, err := w.Write(b)
			require.NoError(t, err)
			if random.IntN(10) == 0 {
				w.close()
				w, err = newLogWriter(root, limit)
				require.NoError(t, err)
			}
		}
		w.close()
		require.NoError(t, w.trouble)
		return reads(t, root, all, limit, random)
	}
	require.NoError(t, quick.Check(property, &quick.Config{MaxCount: 150}))
}

func reads(t *testing.T, root *os.Root, all []byte, limit int64, random *rand.Rand) bool {
	t.Helper()
	parts, err := listSegments(root)
	require.NoError(t, err)
	var kept int64
	for _, p := range parts {
		kept += p.size
	}
	require.LessOrEqual(t, kept, limit)
	total, cut, err := LogSize(root)
	require.NoError(t, err)
	require.Equal(t, int64(len(all)), total)
	require.Equal(t, kept != total, cut)
	var missed int64
	for next := int64(0); next < total; {
		text, after, err := ReadLog(root, next, 1+random.IntN(2000))
		require.NoError(t, err)
		require.NotEmpty(t, text)
		if strings.HasPrefix("[slipway", string(text[:min(len(text), 8)])) {
			require.True(t, bytes.HasPrefix(missing(after-next), text), "%q", text)
			missed += after - next
		} else {
			require.Equal(t, all[next:after], text)
		}
		next = after
	}
	require.Equal(t, total-kept, missed)
	return true
}
