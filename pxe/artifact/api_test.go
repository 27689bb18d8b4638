package artifact

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// counter serves the API of a catalogue in which artifacts can be in use.
type counter struct {
	*httptest.Server
	c    *Catalogue
	mu   sync.Mutex
	used map[string][]string
	fail error
}

func (s *counter) use(name string, nodes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = map[string][]string{name: nodes}
}

func newCounter(t *testing.T, limit int64) *counter {
	t.Helper()
	s := &counter{c: open(t, t.TempDir())}
	api := &API{Catalogue: s.c, MaxSize: limit, InUse: func(context.Context) (map[string][]string, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.used, s.fail
	}}
	mux := http.NewServeMux()
	for _, p := range []string{"GET " + APIPrefix, "PUT " + APIPrefix + "/{name}", "DELETE " + APIPrefix + "/{name}"} {
		mux.Handle(p, api)
	}
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *counter) ask(t *testing.T, method, path string, body io.Reader, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+APIPrefix+path, body)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(raw)
}

func (s *counter) list(t *testing.T) []Row {
	t.Helper()
	status, body := s.ask(t, "GET", "", nil)
	require.Equal(t, 200, status, body)
	var out struct{ Artifacts []Row }
	require.NoError(t, json.Unmarshal([]byte(body), &out))
	return out.Artifacts
}

// left are the files of the catalogue's folder.
func (s *counter) left(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.c.dir, filesDir))
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestUploadListRemove(t *testing.T) {
	s := newCounter(t, 1<<20)
	status, got := s.ask(t, "PUT", "/disk.img?kind=cvm&version=2.1", strings.NewReader(body), "X-Checksum-Sha256", strings.ToUpper(hexSum(body)))
	require.Equal(t, 201, status, got)
	var made Row
	require.NoError(t, json.Unmarshal([]byte(got), &made))
	require.Equal(t, Row{Name: "disk.img", Kind: KindCVM, Version: "2.1", Size: 16, SHA256: hexSum(body), State: "ready", Registered: made.Registered, InUseBy: []string{}}, made)
	f, _, err := s.c.OpenFile("disk.img")
	require.NoError(t, err)
	defer f.Close()
	there, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, body, string(there))

	ref := write(t, "image")
	_, err = s.c.Reference(t.Context(), "big.img", "", KindImage, ref)
	require.NoError(t, err)
	require.NoError(t, os.Remove(ref))
	s.use("disk.img", "web-01", "web-02")
	rows := s.list(t)
	require.Len(t, rows, 2)
	require.Equal(t, []any{"big.img", true, "broken", "file is missing"}, []any{rows[0].Name, rows[0].InPlace, rows[0].State, *rows[0].Problem})
	require.Equal(t, []string{"web-01", "web-02"}, rows[1].InUseBy)

	status, got = s.ask(t, "DELETE", "/disk.img", nil)
	require.Equal(t, 409, status)
	require.Contains(t, got, "the deployments of web-01, web-02 may still fetch it")
	s.use("disk.img")
	status, _ = s.ask(t, "DELETE", "/disk.img", nil)
	require.Equal(t, 204, status)
	require.Empty(t, s.left(t))
	status, _ = s.ask(t, "DELETE", "/disk.img", nil)
	require.Equal(t, 404, status)
}

// What is refused leaves nothing behind, and what is there stays as it is.
func TestUploadsThatAreRefused(t *testing.T) {
	s := newCounter(t, 16)
	_, err := s.c.Register(t.Context(), "disk.img", "1", KindImage, write(t, "old"))
	require.NoError(t, err)
	kept := s.left(t)
	for name, c := range map[string]struct {
		path, body string
		header     []string
		status     int
		says       string
	}{
		"a path":                  {"/..%2fdisk.img", body, nil, 422, "artifact name must be"},
		"no name of ours":         {"/.hidden", body, nil, 422, "artifact name must be"},
		"a kind":                  {"/disk.img?kind=CVM+x", body, nil, 422, "artifact kind must be"},
		"a version":               {"/disk.img?version=a%0ab", body, nil, 422, "artifact kind must be"},
		"another checksum":        {"/disk.img", body, []string{"X-Checksum-Sha256", hexSum("x")}, 422, "16 bytes came, with " + hexSum(body)},
		"no checksum":             {"/disk.img", body, []string{"X-Checksum-Sha256", "abc"}, 422, "not 64 lower-case hex digits"},
		"one byte too much":       {"/disk.img", body + "0", nil, 413, "at most 16 bytes"},
		"the same, not announced": {"/disk.img", body + "0", []string{"chunked", ""}, 413, "at most 16 bytes"},
	} {
		var in io.Reader = strings.NewReader(c.body)
		if len(c.header) > 0 && c.header[0] == "chunked" {
			in, c.header = io.MultiReader(in), nil
		}
		status, got := s.ask(t, "PUT", c.path, in, c.header...)
		require.Equal(t, c.status, status, "%s: %s", name, got)
		require.Contains(t, got, c.says, name)
		require.Equal(t, kept, s.left(t), name)
	}
	a, err := s.c.Get("disk.img")
	require.NoError(t, err)
	require.Equal(t, hexSum("old"), a.SHA256)

	s.mu.Lock()
	s.fail = errors.New("the database is away")
	s.mu.Unlock()
	status, got := s.ask(t, "PUT", "/disk.img", strings.NewReader(body))
	require.Equal(t, 503, status, got)
	require.NotContains(t, got, "database")
	status, _ = s.ask(t, "DELETE", "/disk.img", nil)
	require.Equal(t, 503, status)
	require.Equal(t, kept, s.left(t))
}

// While machines may fetch it, an artifact keeps its bytes; giving it the same
// ones is no change, and mends it.
func TestReplacingWhatIsInUse(t *testing.T) {
	s := newCounter(t, 1<<20)
	sum := []string{"X-Checksum-Sha256", hexSum(body)}
	status, _ := s.ask(t, "PUT", "/disk.img", strings.NewReader(body), sum...)
	require.Equal(t, 201, status)
	s.use("disk.img", "a", "b", "c", "d", "e", "f", "g")
	status, got := s.ask(t, "PUT", "/disk.img", strings.NewReader("other"))
	require.Equal(t, 409, status)
	require.Contains(t, got, "a, b, c, d, e and 2 more")
	status, got = s.ask(t, "PUT", "/disk.img", errReader{}, append(sum, "Expect", "100-continue")...)
	require.Equal(t, 200, status, "nothing is sent: it is there already. %s", got)
	status, got = s.ask(t, "PUT", "/disk.img?version=2", strings.NewReader(body), sum...)
	require.Equal(t, 200, status, got)

	a, err := s.c.Get("disk.img")
	require.NoError(t, err)
	require.NoError(t, os.Truncate(filepath.Join(s.c.dir, a.File), 1))
	status, got = s.ask(t, "PUT", "/disk.img?version=2", strings.NewReader(body), sum...)
	require.Equal(t, 200, status, got)
	require.Equal(t, "ready", s.list(t)[0].State)

	s.use("disk.img")
	status, got = s.ask(t, "PUT", "/disk.img", strings.NewReader("other"))
	require.Equal(t, 200, status, got)
	require.Equal(t, []string{hexSum("other")}, s.left(t), "the old bytes are gone")
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("the body was read") }

// An upload that ends in the middle changes nothing; the machines that fetch
// meanwhile get what was there, whole.
func TestAnUploadThatIsCutOff(t *testing.T) {
	s := newCounter(t, 64<<20)
	_, err := s.c.Register(t.Context(), "disk.img", "1", KindImage, write(t, "old"))
	require.NoError(t, err)
	kept := s.left(t)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(conn, "PUT "+APIPrefix+"/disk.img HTTP/1.1\r\nHost: x\r\nContent-Length: 33554432\r\n\r\n")
	require.NoError(t, err)
	half := make([]byte, 16<<20)
	_, _ = rand.Read(half)
	_, err = conn.Write(half)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Contains(t, string(answer), " 400 ")
	require.Contains(t, string(answer), "cut off")
	require.Equal(t, kept, s.left(t))
	f, a, err := s.c.OpenFile("disk.img")
	require.NoError(t, err)
	defer f.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(f)
	require.NoError(t, err)
	require.Equal(t, []string{"old", hexSum("old")}, []string{b.String(), a.SHA256})
}
