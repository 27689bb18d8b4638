package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/pxe/artifact"
)

// sendfileConn is a TCP connection that remembers what files were handed to it
// whole: the kernel sends those, and no byte of them comes into this process.
type sendfileConn struct {
	*net.TCPConn
	seen *sendfileSeen
}

type sendfileSeen struct {
	mu    sync.Mutex
	files int
	bytes int64
}

// ReadFrom is what net/http calls where nothing on the way hides it.
func (c sendfileConn) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if _, file := l.R.(*os.File); file { // noted first: the client may have it all before this returns
			c.seen.mu.Lock()
			c.seen.files++
			c.seen.bytes += l.N
			c.seen.mu.Unlock()
		}
	}
	return c.TCPConn.ReadFrom(r)
}

func (s *sendfileSeen) take() (files int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files, bytes = s.files, s.bytes
	s.files, s.bytes = 0, 0
	return files, bytes
}

type sendfileListener struct {
	*net.TCPListener
	seen *sendfileSeen
}

func (l sendfileListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return sendfileConn{c, l.seen}, nil
}

// sniffed is what net/http may read of an answer itself, before the rest goes
// its own way.
const sniffed = 512

// TestNothingOnTheWayHidesSendfile: through the whole router and all of its
// middleware, an artifact reaches the connection as a file.
func TestNothingOnTheWayHidesSendfile(t *testing.T) {
	w := wire(t, appConfig{Data: dataFlags{DataDir: t.TempDir()}})
	defer w.stop()
	content := make([]byte, 3<<20)
	_, _ = rand.Read(content)
	sum := sha256.Sum256(content)
	source := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(source, content, 0o600))
	_, err := w.artifacts.Register(t.Context(), "disk.img", "", artifact.KindImage, source)
	require.NoError(t, err)
	_, err = w.artifacts.Reference(t.Context(), "in-place.img", "", artifact.KindImage, source)
	require.NoError(t, err)

	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	seen, done := &sendfileSeen{}, make(chan error, 1)
	go func() { done <- w.http.Serve(sendfileListener{tcp, seen}) }()
	defer func() {
		require.NoError(t, tcp.Close())
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			require.ErrorIs(t, err, http.ErrServerClosed)
		}
	}()

	get := func(name string, header ...string) (*http.Response, []byte) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+tcp.Addr().String()+"/boot/images/"+name, nil)
		require.NoError(t, err)
		req.Header.Set("Accept-Encoding", "gzip")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res, b
	}
	for _, name := range []string{"disk.img", "in-place.img"} {
		res, b := get(name)
		require.Equal(t, 200, res.StatusCode)
		require.Equal(t, content, b, name)
		require.Equal(t, []string{`"` + hex.EncodeToString(sum[:]) + `"`, hex.EncodeToString(sum[:])}, []string{res.Header.Get("ETag"), res.Header.Get("X-Checksum-Sha256")})
		files, bytes := seen.take()
		require.Equal(t, 1, files, "%s was copied through this process", name)
		require.GreaterOrEqual(t, bytes, int64(len(content)-sniffed))

		res, b = get(name, "Range", "bytes=1048576-2097151", "If-Range", res.Header.Get("ETag"))
		require.Equal(t, 206, res.StatusCode)
		require.Equal(t, content[1<<20:2<<20], b)
		files, bytes = seen.take()
		require.Equal(t, 1, files, "a range of %s was copied through this process", name)
		require.GreaterOrEqual(t, bytes, int64(1<<20-sniffed))
	}
	_, b := get("nobody.img")
	require.NotEmpty(t, b)
	files, _ := seen.take()
	require.Zero(t, files, "an error is no file")
}

// TestArtifactsOfARunningServer uploads, lists and removes by the command line,
// and removes nothing that a node may still fetch.
func TestArtifactsOfARunningServer(t *testing.T) {
	w := wire(t, appConfig{Data: dataFlags{DataDir: t.TempDir()}, Artifacts: artifactFlags{MaxUploadGiB: 1}})
	defer w.stop()
	ctx, cancel := context.WithTimeout(t.Context(), showLimit)
	defer cancel()
	run := func(role access.Role, args ...string) (int, string) {
		token, _, err := w.Access.CreateToken(t.Context(), access.NewToken{Name: "t", Role: role, CreatedBy: "test"})
		require.NoError(t, err)
		p := runSlipway(t, t.TempDir(), append([]string{"artifacts", args[0], "--server=" + w.URL, "--token=" + token}, args[1:]...)...)
		code := p.end(ctx)
		out := p.stderr.String()
		for _, line := range p.said() {
			out += line + "\n"
		}
		return code, out
	}
	file := func(content string) (path, sum string) {
		path = filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		s := sha256.Sum256([]byte(content))
		return path, hex.EncodeToString(s[:])
	}
	image, sum := file("an image")
	code, out := run(access.RoleOperator, "upload", "cvm.img", image)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "this needs the role admin")
	code, out = run(access.RoleAdmin, "upload", "cvm.img", image, "--kind=cvm", "--version=7.0")
	require.Equal(t, exitOK, code, out)
	require.Equal(t, sum+"  cvm.img  8 bytes\n", out)
	code, out = run(access.RoleAdmin, "upload", "../x", image)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "artifact name must be")

	d := w.install("rack-01", 1)
	code, out = run(access.RoleViewer, "served")
	require.Equal(t, exitOK, code, out)
	require.Regexp(t, `cvm\.img +cvm +7\.0 +8 +`+sum+` +ready +rack-01\n`, out)
	code, out = run(access.RoleAdmin, "remove", "cvm.img")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "the deployments of rack-01 may still fetch it")
	other, _ := file("another image")
	code, out = run(access.RoleAdmin, "upload", "cvm.img", other, "--kind=cvm", "--version=7.0")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "the deployments of rack-01 may still fetch it")
	code, out = run(access.RoleAdmin, "upload", "cvm.img", image, "--kind=cvm", "--version=7.0")
	require.Equal(t, exitOK, code, "the same bytes: %s", out)

	here := runSlipway(t, t.TempDir(), "artifacts", "--data-dir="+t.TempDir())
	require.Equal(t, exitOK, here.end(ctx), "the list of this host is what is asked for without a word")
	require.Contains(t, here.said()[0], "SHA256")

	list := w.query(`{artifacts{name kind version size sha256 state problem inPlace inUseBy registeredAt}}`)["artifacts"].([]any)
	require.Len(t, list, 1)
	one := list[0].(map[string]any)
	require.Equal(t, fmt.Sprint([]any{"cvm.img", "cvm", "7.0", 8, sum, "READY", nil, false, []any{"rack-01"}}),
		fmt.Sprint([]any{one["name"], one["kind"], one["version"], one["size"], one["sha256"], one["state"], one["problem"], one["inPlace"], one["inUseBy"]}))

	w.say(d, phase.PostInstall, phase.Success)
	code, out = run(access.RoleAdmin, "remove", "cvm.img")
	require.Equal(t, exitOK, code, "its install is over: %s", out)
	require.Equal(t, "removed cvm.img\n", out)
	require.Empty(t, w.query(`{artifacts{name}}`)["artifacts"])
}
