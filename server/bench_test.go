package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// BenchmarkReport measures reports over HTTP that move a phase's progress: each
// is a row on disk before its answer.
func BenchmarkReport(b *testing.B) {
	r := newRig(b, storetest.SQLite(b))
	machines := make([]machine, 64)
	for i := range machines {
		machines[i] = r.boot(fmt.Sprintf("web-%02d", i), fmt.Sprintf("10.0.0.%d", i+1))
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	var n atomic.Int64
	b.SetParallelism(64)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			m := machines[int(i)%len(machines)]
			body := fmt.Sprintf(`{"server_ip":%q,"phase":"image_download","status":"in_progress","progress":%d,"message":"part %d"}`, m.ip, i%101, i)
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, r.web.URL+"/api/status/phase", strings.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Content-Type", jsonType)
			req.Header.Set("Authorization", "Bearer "+m.token)
			res, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				b.Errorf("answered %d", res.StatusCode)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reports/s")
}
