package replicas_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/tools/present"
)

// proxyConfig is what somebody writes who knows nothing about streams: nginx's
// own defaults for buffering and times. %[1]s is its folder, %[2]s where it
// listens, %[3]s the server.
const proxyConfig = `
daemon off;
master_process off;
worker_processes 1;
pid %[1]s/pid;
error_log stderr notice;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s;
    location / {
      proxy_pass http://%[3]s;
    }
  }
}
`

// nginx is Debian's nginx as a plain process.
func nginx(t *testing.T, dir, listen, target string) *process {
	t.Helper()
	path := present.Command(t, "nginx", "nginx-light")
	config := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, proxyConfig, dir, listen, target), 0o600))
	p := start(t, exec.Command(path, "-p", dir, "-c", config))
	eventually(t, "nginx listens", func() error {
		select {
		case <-p.ended:
			require.FailNow(t, "nginx has ended", p.out.tail())
		default:
		}
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listen)
		if err != nil {
			return err
		}
		return c.Close()
	})
	return p
}

func TestStreamsThroughNginx(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"))
	s.token = mint(t, s.database, "operator")
	n := s.order(1)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listen := free.Addr().String()
	require.NoError(t, free.Close())
	target, err := url.Parse(s.URL)
	require.NoError(t, err)
	begin := func() *process { return nginx(t, dir, listen, target.Host) } // until the whole test ends
	proxy := begin()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	direct := follow(ctx, t, s.token, "", func() string { return s.URL })
	through := follow(ctx, t, s.token, "", func() string { return "http://" + listen })
	// A proxy that buffers gives events away when 4 KiB of them are there, or at
	// the end. The direct stream says how long is usual on this machine.
	fastest, usual := time.Hour, time.Hour
	for i := 0; i < 20 || fastest >= usual+200*time.Millisecond && i < 100 && ctx.Err() == nil; i++ { // more on a busy machine
		text := fmt.Sprintf("proxied-%d", i)
		begun := time.Now()
		s.must(n, text)
		require.Equal(t, []string{text}, direct.until(text))
		usual = min(usual, time.Since(begun))
		require.Equal(t, []string{text}, through.until(text))
		fastest = min(fastest, time.Since(begun))
	}
	require.Less(t, fastest, usual+200*time.Millisecond)

	t.Run("a stream resumes by its last id", func(t *testing.T) {
		first, err := openSSE(ctx, "http://"+listen, "", s.token, "")
		require.NoError(t, err)
		defer first.close()
		stands, err := first.next()
		require.NoError(t, err)
		s.must(n, "one")
		s.must(n, "two")
		again, err := openSSE(ctx, "http://"+listen, "", s.token, stands.id)
		require.NoError(t, err)
		defer again.close()
		var got []string
		for len(got) < 2 {
			m, err := again.next()
			require.NoError(t, err)
			if m.event == "phase" {
				got = append(got, m.row(t).Message)
			}
		}
		require.Equal(t, []string{"one", "two"}, got)
		require.Equal(t, []string{"one", "two"}, through.until("two"))
	})
	t.Run("nginx is restarted", func(t *testing.T) {
		require.NoError(t, proxy.stop())
		s.must(n, "while it was away")
		begin()
		s.must(n, "after it came back")
		require.Equal(t, []string{"while it was away", "after it came back"}, through.until("after it came back"))
	})
	t.Run("a stream of a deployment ends", func(t *testing.T) {
		m := s.order(2)
		stream, err := openSSE(ctx, "http://"+listen, fmt.Sprintf("?deployment=%d", m.DeploymentID), s.token, "")
		require.NoError(t, err)
		defer stream.close()
		s.end(m)
		for last := ""; ; {
			event, err := stream.next()
			require.NoError(t, err)
			if event.event == "end" {
				require.Equal(t, "ended by the test", last)
				break
			}
			if event.event == "phase" {
				last = event.row(t).Message
			}
		}
	})
	t.Run("the server is gone", func(t *testing.T) {
		s.kill()
		_, err := openSSE(ctx, "http://"+listen, "", s.token, "")
		require.True(t, errors.Is(err, errRefused), "%v", err) //nolint:testifylint // the text is of use
		require.Contains(t, err.Error(), fmt.Sprint(http.StatusBadGateway))
	})
}
