package e2e

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reply is an answer as curl saw it.
type reply struct {
	status int
	header map[string]string // names in lower case
	body   string
}

func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.body), &out), r.body)
	return out
}

// curl runs the real curl. No answer may ever be a 500.
func (s *server) curl(t testing.TB, url string, args ...string) reply {
	t.Helper()
	return s.curlWith(t, nil, url, args...)
}

// curlWith is curl with something on its standard input.
func (s *server) curlWith(t testing.TB, stdin []byte, url string, args ...string) reply {
	t.Helper()
	if strings.HasPrefix(url, "/") {
		url = s.base + url
	}
	cmd := exec.Command("curl", append([]string{"-q", "-sS", "-i", "--http1.1", "-m", "180", "-H", "Expect:"}, append(args, url)...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	require.NoError(t, cmd.Run(), "curl %v %s: %s", args, url, &stderr)
	head, body, ok := strings.Cut(out.String(), "\r\n\r\n")
	require.True(t, ok, "curl %v: %s", args, &out)
	lines := strings.Split(head, "\r\n")
	r := reply{header: map[string]string{}, body: body}
	var err error
	r.status, err = strconv.Atoi(strings.Fields(lines[0])[1])
	require.NoError(t, err)
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ": ")
		r.header[strings.ToLower(name)] = value
	}
	require.Less(t, r.status, 500, "curl %v %s: %s", args, url, body)
	return r
}
