package apply

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
)

func (h *house) file(name string) string { return filepath.Join(h.work, "cluster", "nodes", name) }

// files is what is in the directory of node files.
func (h *house) files() map[string]string {
	h.t.Helper()
	out := map[string]string{}
	list, err := os.ReadDir(filepath.Join(h.work, "cluster", "nodes"))
	if errors.Is(err, os.ErrNotExist) {
		return out
	}
	require.NoError(h.t, err)
	for _, e := range list {
		b, err := os.ReadFile(h.file(e.Name()))
		require.NoError(h.t, err)
		out[e.Name()] = string(b)
	}
	return out
}

func (h *house) read(name string) string {
	b, err := os.ReadFile(filepath.Join(h.lab, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (h *house) want(name, content string) {
	h.t.Helper()
	require.NoError(h.t, os.WriteFile(filepath.Join(h.lab, name), []byte(content), 0o600))
}

// hold has the next runs of the script wait until release.
func (h *house) hold() { h.t.Helper(); h.want("held", "") }

// release lets the script that waits go on, and those that come.
func (h *house) release() {
	h.t.Helper()
	require.NoError(h.t, os.Remove(filepath.Join(h.lab, "held")))
	_, err := h.gate.WriteString("\n")
	require.NoError(h.t, err)
}

// starts lists the runs whose script was started, once for each start.
func (h *house) starts() []string {
	if text := h.read("starts"); text != "" {
		return strings.Split(text, "\n")
	}
	return nil
}

// startsOf counts how often the script of a run was started.
func (h *house) startsOf(run int64) (n int) {
	for _, line := range h.starts() {
		if strings.HasPrefix(line, fmt.Sprintf("%d ", run)) {
			n++
		}
	}
	return n
}

// mustHaveNoMarker checks that no run is in progress, as the script's own sign
// has it.
func (h *house) mustHaveNoMarker() {
	h.t.Helper()
	require.NoFileExists(h.t, h.marker())
}
