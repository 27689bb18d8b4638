package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
)

// However often the server says that it no longer has what came after a
// cursor, a deployment is followed to its end, and the gaps are told.
func TestFollowingGoesOnAfterAnyNumberOfResets(t *testing.T) {
	const reset = "id: v1:e:9\nevent: reset\ndata: {\"reason\":\"slow_consumer\"}\n\n"
	event := func(text string) string {
		return fmt.Sprintf("id: v1:e:1\nevent: phase\ndata: {\"phase\":\"installation\",\"status\":\"in_progress\",\"message\":%q,\"state\":\"running\"}\n\n", text)
	}
	script := []string{event("one") + reset, reset, event("two") + reset, reset, event("three") + "event: end\ndata: {}\n\n"}
	var mu sync.Mutex
	var after []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if len(after) == len(script) {
			w.WriteHeader(http.StatusGone)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, script[len(after)])
		after = append(after, r.Header.Get("Last-Event-ID"))
	}))
	defer web.Close()
	api, err := client.New(web.URL, "slw_x")
	require.NoError(t, err)
	var out, complaints bytes.Buffer
	show := &lines{out: &out, complaints: &complaints}
	list := []client.Deployment{{ID: "dep_1", NodeName: "n1", Cursor: "v1:e:0"}}
	require.NoError(t, followAll(t.Context(), api, list, 0, show))
	require.Equal(t, []string{"v1:e:0", "", "", "", ""}, after, "from the cursor, then from now on")
	for _, text := range []string{"one", "two", "three"} {
		require.Contains(t, out.String(), text)
	}
	require.NotContains(t, out.String(), "missing")
	require.Equal(t, 4, bytes.Count(complaints.Bytes(), []byte("n1: some events are missing here")))
}
