package bootbench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/slipwayhq/slipway/tools/present"
)

const (
	imageMB = 256
	// Many clients fetch a range each, as downloads that go on do, so that an
	// operation stays short.
	rangeMB = 64
)

// BenchmarkImages is so many clients that fetch an image at once from the page
// cache, from the whole server (middleware, metrics and all) and from nginx with
// sendfile and as many workers as there are processors.
func BenchmarkImages(b *testing.B) {
	dir := b.TempDir()
	image := filepath.Join(dir, "image")
	file(b, image, imageMB<<20)
	for _, s := range []struct {
		*daemon
		path string
	}{{slipway(b, image), "/boot/images/image"}, {nginx(b, dir), "/image"}} {
		url := "http://" + s.addr + s.path
		require.Eventually(b, func() bool { return get(b.Context(), url, 1) == nil }, 30*time.Second, 50*time.Millisecond, s.name)
		for _, clients := range []int{1, 8, 64} {
			size := int64(imageMB) << 20
			if clients > 8 {
				size = rangeMB << 20
			}
			b.Run(fmt.Sprintf("%s/clients=%d", s.name, clients), func(b *testing.B) {
				measure(b, s.daemon, int64(clients)*size, func() error {
					all, ctx := errgroup.WithContext(b.Context())
					for range clients {
						all.Go(func() error { return get(ctx, url, size) })
					}
					return all.Wait()
				})
			})
		}
	}
}

// get reads the first bytes of a file and counts them.
func get(ctx context.Context, url string, size int64) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Range", "bytes=0-"+strconv.FormatInt(size-1, 10))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusPartialContent {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, make([]byte, 256<<10))
	if err == nil && n != size {
		err = fmt.Errorf("%s: %d bytes of %d", url, n, size)
	}
	return err
}

// slipway is the real program with the image in its catalogue: $SLIPWAY_BINARY,
// or built now.
func slipway(b *testing.B, image string) *daemon {
	b.Helper()
	binary := os.Getenv("SLIPWAY_BINARY")
	if binary == "" {
		binary = filepath.Join(b.TempDir(), "slipway")
		out, err := exec.Command("go", "build", "-o", binary, "../../cmd/slipway").CombinedOutput()
		require.NoError(b, err, string(out))
	}
	data := filepath.Join(b.TempDir(), "data")
	require.NoError(b, os.Mkdir(data, 0o750))
	out, err := exec.Command(binary, "artifacts", "add", "--data-dir", data, "--in-place", "image", image).CombinedOutput()
	require.NoError(b, err, string(out))
	addr := address("127.0.0.1", free(b))
	d := start(b, "slipway", b.Output(), exec.Command(binary, "--log-level=warn", "serve", "--data-dir", data, "--listen", addr))
	d.addr = addr
	return d
}

func nginx(b *testing.B, dir string) *daemon {
	b.Helper()
	path := present.Command(b, "nginx", "nginx-light")
	addr := address("127.0.0.1", free(b))
	conf := filepath.Join(b.TempDir(), "nginx.conf")
	user := "" // of the workers; only root may choose, and only to root is a test's directory open
	if os.Geteuid() == 0 {
		user = "user root; "
	}
	require.NoError(b, os.WriteFile(conf, []byte(fmt.Sprintf(user+`
daemon off; pid %[1]s.pid; error_log stderr; worker_processes auto;
events { worker_connections 1024; }
http { sendfile on; tcp_nopush on; access_log off; server { listen %[2]s; root %[3]s; } }
`, conf, addr, dir)), 0o600))
	d := start(b, "nginx", b.Output(), exec.Command(path, "-c", conf, "-p", filepath.Dir(conf)))
	d.addr = addr
	return d
}
