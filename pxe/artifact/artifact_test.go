package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func write(t testing.TB, content string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "source")
	require.NoError(t, os.WriteFile(p, []byte(content), 0o600))
	return p
}

func open(t testing.TB, dir string) *Catalogue {
	t.Helper()
	c, err := Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func hexSum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func TestRegisterGetListRemove(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	ctx := context.Background()

	a, err := c.Register(ctx, "vmlinuz", "6.1", KindKernel, write(t, "kernel"))
	require.NoError(t, err)
	require.Equal(t, hexSum("kernel"), a.SHA256)
	require.EqualValues(t, 6, a.Size)
	ref := write(t, "image")
	_, err = c.Reference(ctx, "cvm.img", "2", KindCVM, ref)
	require.NoError(t, err)

	again := open(t, dir) // what another process sees
	list, err := again.List()
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, []string{"cvm.img", "vmlinuz"}, []string{list[0].Name, list[1].Name})
	require.Equal(t, ref, list[0].File)
	got, err := again.Get("vmlinuz")
	require.NoError(t, err)
	require.Equal(t, a, got)

	require.NoError(t, c.Remove("vmlinuz"))
	require.ErrorIs(t, c.Remove("vmlinuz"), ErrNotFound)
	_, err = again.Get("vmlinuz")
	require.ErrorIs(t, err, ErrNotFound, "a reader notices the other's change")
	require.NoFileExists(t, filepath.Join(dir, a.File))
	require.NoError(t, c.Remove("cvm.img"))
	require.FileExists(t, ref, "a referenced file is not ours to delete")
}

func TestReplaceKeepsSharedContent(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	ctx := context.Background()
	first, err := c.Register(ctx, "a", "1", KindImage, write(t, "same"))
	require.NoError(t, err)
	_, err = c.Register(ctx, "b", "1", KindImage, write(t, "same"))
	require.NoError(t, err)
	f, _, err := c.OpenFile("a")
	require.NoError(t, err)
	defer f.Close()

	_, err = c.Register(ctx, "a", "2", KindImage, write(t, "other"))
	require.NoError(t, err)
	b, err := c.Get("b")
	require.NoError(t, err)
	require.Empty(t, b.Broken, "b has the same bytes and still needs them")
	require.NoError(t, c.Remove("b"))
	require.NoFileExists(t, filepath.Join(dir, first.File))
	var buf bytes.Buffer
	_, err = buf.ReadFrom(f)
	require.NoError(t, err)
	require.Equal(t, "same", buf.String(), "a reader under way keeps the old bytes")
}

func TestNames(t *testing.T) {
	c := open(t, t.TempDir())
	src := write(t, "x")
	long := strings.Repeat("a", 128)
	for _, ok := range []string{"a", "0", "A.b-c_d", "initrd.img", long} {
		_, err := c.Register(context.Background(), ok, "", KindImage, src)
		require.NoError(t, err, ok)
	}
	for _, bad := range []string{"", ".", "..", ".hidden", "-x", "_x", "a/b", "../a", "a\\b", "a b", "a\n", "ä", "a%2f", long + "a", "a\x00"} {
		_, err := c.Register(context.Background(), bad, "", KindImage, src)
		require.ErrorIs(t, err, ErrName, "%q", bad)
	}
}

func TestRegisterRefuses(t *testing.T) {
	c := open(t, t.TempDir())
	_, err := c.Register(context.Background(), "dir", "", KindImage, t.TempDir())
	require.ErrorIs(t, err, ErrFile)
	_, err = c.Register(context.Background(), "none", "", KindImage, filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, ErrFile)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = c.Register(ctx, "late", "", KindImage, write(t, "x"))
	require.ErrorIs(t, err, context.Canceled)
	list, err := c.List()
	require.NoError(t, err)
	require.Empty(t, list)
	left, err := os.ReadDir(filepath.Join(c.dir, filesDir))
	require.NoError(t, err)
	require.Empty(t, left, "no half copy stays")
}

func TestBroken(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	ctx := context.Background()
	cut, err := c.Register(ctx, "cut", "", KindImage, write(t, "0123456789"))
	require.NoError(t, err)
	gone, err := c.Register(ctx, "gone", "", KindImage, write(t, "gone"))
	require.NoError(t, err)
	ref := write(t, "same size")
	_, err = c.Reference(ctx, "touched", "", KindImage, ref)
	require.NoError(t, err)

	require.NoError(t, os.Truncate(filepath.Join(dir, cut.File), 3))
	require.NoError(t, os.Remove(filepath.Join(dir, gone.File)))
	require.NoError(t, os.WriteFile(ref, []byte("SAME SIZE"), 0o600))
	require.NoError(t, os.Chtimes(ref, time.Time{}, time.Now().Add(time.Hour)))

	want := map[string]string{"cut": "3 bytes", "gone": "missing", "touched": "modified"}
	list, err := c.List()
	require.NoError(t, err)
	require.Len(t, list, 3)
	for _, a := range list {
		require.Contains(t, a.Broken, want[a.Name])
		_, _, err := c.OpenFile(a.Name)
		require.ErrorIs(t, err, ErrBroken)
	}
}

func TestCopiesCannotLeadOut(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	a, err := c.Register(context.Background(), "a", "", KindImage, write(t, "root:x:0:0"))
	require.NoError(t, err)
	outside := write(t, "root:x:0:0")
	require.NoError(t, os.Remove(filepath.Join(dir, a.File)))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, a.File)))
	_, _, err = c.OpenFile("a")
	require.ErrorIs(t, err, ErrBroken)
}

func TestIndexIsNeverGuessed(t *testing.T) {
	for name, content := range map[string]string{
		"cut":  `{"artifacts": [`,
		"name": `{"artifacts": [{"name":"../x","sha256":"` + hexSum("") + `","file":"f"}]}`,
		"sum":  `{"artifacts": [{"name":"x","sha256":"abc","file":"f"}]}`,
		"file": `{"artifacts": [{"name":"x","sha256":"` + hexSum("") + `"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, indexName), []byte(content), 0o644))
			_, err := Open(dir)
			require.Error(t, err)
			kept, err := os.ReadFile(filepath.Join(dir, indexName))
			require.NoError(t, err)
			require.Equal(t, content, string(kept))
		})
	}
}

func TestLeftOversAreSwept(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	for name, age := range map[string]time.Duration{"old": 2 * tempAge, "fresh": time.Minute} {
		p := filepath.Join(dir, filesDir, tempPrefix+name)
		require.NoError(t, os.WriteFile(p, nil, 0o644))
		require.NoError(t, os.Chtimes(p, time.Time{}, time.Now().Add(-age)))
	}
	open(t, dir)
	require.NoFileExists(t, filepath.Join(dir, filesDir, tempPrefix+"old"))
	require.FileExists(t, filepath.Join(dir, filesDir, tempPrefix+"fresh"), "another process may be writing it")
}

// TestConcurrent has several catalogues on one directory, as several processes
// would, register, read and remove; no update may be lost and the index must
// always be whole.
func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	src := write(t, "shared bytes")
	const catalogues, names = 3, 8
	var wg sync.WaitGroup
	fail := make(chan error, catalogues*names)
	for i := range catalogues {
		c := open(t, dir)
		for j := range names {
			wg.Go(func() {
				name := fmt.Sprintf("a-%d-%d", i, j)
				_, err := c.Register(context.Background(), name, "", KindImage, src)
				if err == nil && j%2 == 1 {
					err = c.Remove(name)
				}
				_, listErr := c.List()
				fail <- errors.Join(err, listErr)
			})
		}
	}
	wg.Wait()
	close(fail)
	for err := range fail {
		require.NoError(t, err)
	}
	list, err := open(t, dir).List()
	require.NoError(t, err)
	require.Len(t, list, catalogues*names/2)
	for _, a := range list {
		require.Empty(t, a.Broken)
	}
	var idx index
	data, err := os.ReadFile(filepath.Join(dir, indexName))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &idx))
	require.Len(t, idx.Artifacts, len(list))
}
