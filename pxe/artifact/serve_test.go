package artifact

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const body = "0123456789abcdef"

func serve(t testing.TB) (*Catalogue, *httptest.Server) {
	t.Helper()
	c := open(t, t.TempDir())
	_, err := c.Register(context.Background(), "disk.img", "1", KindImage, write(t, body))
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/boot/images/{name}", c)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return c, srv
}

func do(t testing.TB, method, target string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, target, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(b)
}

func TestServe(t *testing.T) {
	_, srv := serve(t)
	etag := `"` + hexSum(body) + `"`
	res, _ := do(t, http.MethodGet, srv.URL+"/boot/images/disk.img")
	modified := res.Header.Get("Last-Modified")
	require.NotEmpty(t, modified)
	for _, tc := range []struct {
		name, method string
		header       []string
		status       int
		body         string
		contentRange string
	}{
		{"whole", "GET", nil, 200, body, ""},
		{"head", "HEAD", nil, 200, "", ""},
		{"range", "GET", []string{"Range", "bytes=4-7"}, 206, "4567", "bytes 4-7/16"},
		{"resume", "GET", []string{"Range", "bytes=10-"}, 206, "abcdef", "bytes 10-15/16"},
		{"suffix", "GET", []string{"Range", "bytes=-2"}, 206, "ef", "bytes 14-15/16"},
		{"behind the end", "GET", []string{"Range", "bytes=16-"}, 416, "", "bytes */16"},
		{"if-range same", "GET", []string{"Range", "bytes=0-0", "If-Range", etag}, 206, "0", "bytes 0-0/16"},
		{"if-range other", "GET", []string{"Range", "bytes=0-0", "If-Range", `"other"`}, 200, body, ""},
		{"if-none-match same", "GET", []string{"If-None-Match", etag}, 304, "", ""},
		{"if-none-match other", "GET", []string{"If-None-Match", `"other"`}, 200, body, ""},
		{"if-match other", "GET", []string{"If-Match", `"other"`}, 412, "", ""},
		{"if-modified-since", "GET", []string{"If-Modified-Since", modified}, 304, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, got := do(t, tc.method, srv.URL+"/boot/images/disk.img", tc.header...)
			require.Equal(t, tc.status, res.StatusCode)
			require.Equal(t, tc.contentRange, res.Header.Get("Content-Range"))
			if tc.status != 416 {
				require.Equal(t, tc.body, got)
				require.Equal(t, etag, res.Header.Get("ETag"))
				require.Equal(t, hexSum(body), res.Header.Get("X-Checksum-Sha256"))
			}
			if tc.status == 200 {
				require.EqualValues(t, len(body), res.ContentLength)
				require.Equal(t, "bytes", res.Header.Get("Accept-Ranges"))
			}
		})
	}
}

func TestServeRefuses(t *testing.T) {
	c, srv := serve(t)
	a, err := c.Register(context.Background(), "broken", "", KindImage, write(t, "soon gone"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(c.dir, a.File)))
	for _, tc := range []struct {
		method, name string
		status       int
		code         string
	}{
		{"GET", "nothing", 404, "not_found"},
		{"GET", "broken", 404, "not_found"},
		{"GET", ".hidden", 404, "not_found"},
		{"GET", "..%2findex.json", 404, "not_found"},
		{"GET", "index.json", 404, "not_found"},
		{"POST", "disk.img", 405, "invalid"},
		{"DELETE", "disk.img", 405, "invalid"},
	} {
		res, got := do(t, tc.method, srv.URL+"/boot/images/"+tc.name)
		require.Equal(t, tc.status, res.StatusCode, tc.name)
		require.Equal(t, "application/json", res.Header.Get("Content-Type"))
		var e struct{ Error, Code string }
		require.NoError(t, json.Unmarshal([]byte(got), &e), got)
		require.Equal(t, tc.code, e.Code)
		require.NotEmpty(t, e.Error)
		require.Empty(t, res.Header.Get("ETag"))
	}
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, indexName), []byte("{"), 0o644))
	res, _ := do(t, http.MethodGet, srv.URL+"/boot/images/disk.img")
	require.Equal(t, 503, res.StatusCode)
}

// readerFromSpy stands between the handler and net/http and notes what is given
// to ReadFrom: only an *os.File (below the limit reader of a known length)
// becomes a sendfile call.
type readerFromSpy struct {
	http.ResponseWriter
	file *bool
}

func (s readerFromSpy) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		_, *s.file = l.R.(*os.File)
	}
	return s.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
}

func TestSendfileIsPreserved(t *testing.T) {
	c, _ := serve(t)
	var file, plain bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, plain = w.(io.ReaderFrom)
		c.ServeHTTP(readerFromSpy{w, &file}, r)
	}))
	defer srv.Close()
	for _, header := range [][]string{nil, {"Range", "bytes=2-5"}} {
		file = false
		res, _ := do(t, http.MethodGet, srv.URL+"/boot/images/disk.img", header...)
		require.Less(t, res.StatusCode, 300)
		require.True(t, plain, "net/http's ResponseWriter has ReadFrom")
		require.True(t, file, "the open file itself reaches ReadFrom")
	}
}

// FuzzServe asks for anything: the answer is the one artifact under its exact
// name, or a refusal, and never a byte of a file outside the catalogue.
func FuzzServe(f *testing.F) {
	c, _ := serve(f)
	const secret = "content of a file beside the catalogue"
	require.NoError(f, os.WriteFile(filepath.Join(filepath.Dir(c.dir), "secret"), []byte(secret), 0o644))
	for _, s := range []string{"disk.img", "../secret", "..%2fsecret", "%2e%2e/secret", "disk.img/../../secret", "/etc/passwd",
		"index.json", "files/" + hexSum(body), "disk.img\x00", "disk.img/", "DISK.IMG", "..\\secret", "disk.img%00", ".", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, path := range []string{name, strings.TrimPrefix(name, "/")} {
			req := httptest.NewRequest(http.MethodGet, Prefix, nil)
			req.URL = &url.URL{Path: Prefix + path}
			rec := httptest.NewRecorder()
			c.ServeHTTP(rec, req)
			switch {
			case rec.Code == 200 && path == "disk.img" && rec.Body.String() == body:
			case rec.Code == 404 && !bytes.Contains(rec.Body.Bytes(), []byte(secret)):
			default:
				t.Fatalf("%q: %d %q", path, rec.Code, rec.Body)
			}
		}
	})
}
