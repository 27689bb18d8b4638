package graph_test

import (
	"encoding/json"
	"fmt"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"strings"
	"testing"
	"time"
)

func TestZZ(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	try := func(name, doc string) {
		body, _ := json.Marshal(map[string]any{"query": doc})
		s := time.Now()
		a := h.send(string(body), "X-Role", "operator")
		t.Log(name, len(body), time.Since(s), a.Status, a.Raw[:min(200, len(a.Raw))])
	}
	for _, n := range []int{100, 200, 320} {
		var b strings.Builder
		b.WriteString("{viewer{...F0}}")
		for i := range n {
			fmt.Fprintf(&b, " fragment F%d on Viewer{a:role ...F%d b:role ...F%d}", i, i+1, i+1)
		}
		try(fmt.Sprint("double", n), b.String()+fmt.Sprintf(" fragment F%d on Viewer{role}", n))
	}
	for _, n := range []int{1000, 2000, 4900} {
		try(fmt.Sprint("repeat", n), "{viewer{"+strings.Repeat("role ", n)+"}}")
	}
	for _, n := range []int{1000, 1600} {
		try(fmt.Sprint("repeat obj", n), "{"+strings.Repeat("viewer{role}", n)+"}")
	}
	var b strings.Builder
	b.WriteString("{viewer{")
	for i := range 400 {
		fmt.Fprintf(&b, "...F%d ", i)
	}
	b.WriteString("}}")
	for i := range 400 {
		fmt.Fprintf(&b, "fragment F%d on Viewer{a%d:role}", i, i)
	}
	try("many fragments", b.String())
	try("aliases 1200", "{"+func() string {
		var b strings.Builder
		for i := range 1200 {
			fmt.Fprintf(&b, "a%d:__typename ", i)
		}
		return b.String()
	}()+"}")
}
