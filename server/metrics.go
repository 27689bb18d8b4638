package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/slipwayhq/slipway/deploy"
)

// Metrics are the process's Prometheus metrics. It is made before the rest, so
// that the writer can tell it what becomes of reports.
type Metrics struct {
	// Registry takes further collectors.
	Registry *prometheus.Registry
	reports  *prometheus.CounterVec
	requests *prometheus.HistogramVec
}

// NewMetrics makes the registry with Go's and the process's own metrics.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_reports_total", Help: "Reports by what became of them; code is that of a refusal.",
		}, []string{"outcome", "code"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "slipway_http_request_duration_seconds", Help: "Duration of HTTP requests; streams and downloads count to their end.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60},
		}, []string{"method", "route", "status"}),
	}
	m.Registry.MustRegister(m.reports, m.requests, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Report counts what became of a report; it is the writer's OnOutcome.
func (m *Metrics) Report(outcome string, code deploy.Code) {
	m.reports.WithLabelValues(outcome, string(code)).Inc()
}

func (m *Metrics) request(method, route string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other" // whatever a caller invents must not become a label
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status/100)+"xx").Observe(took.Seconds())
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{})
}

// watch adds what is read from the server's parts when somebody looks.
func (m *Metrics) watch(s *Server) {
	if s.Strangers != nil {
		m.Registry.MustRegister(strangers{s})
	}
	if s.Feed == nil {
		return
	}
	gauge := func(name, help string, f func() float64) {
		m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	gauge("slipway_feed_streams", "Open event and node streams of this process.", func() float64 { return float64(s.Feed.Streams()) })
	gauge("slipway_feed_position", "Newest stream position that this process has read.", func() float64 { return float64(s.Feed.Head().Position) })
	gauge("slipway_feed_stale_seconds", "For how long the feed could not read the database; 0 = it can.", func() float64 {
		since, stale := s.Feed.StaleSince()
		if !stale {
			return 0
		}
		return time.Since(since).Seconds()
	})
}

// strangers collects what came from those without a right to send it.
type strangers struct{ s *Server }

var strangersDesc = prometheus.NewDesc("slipway_strangers_total", "Requests without a valid secret or of unknown machines, by code.", []string{"code"}, nil)

func (c strangers) Describe(ch chan<- *prometheus.Desc) { ch <- strangersDesc }

func (c strangers) Collect(ch chan<- prometheus.Metric) {
	for code, n := range c.s.Strangers.Counts() {
		ch <- prometheus.MustNewConstMetric(strangersDesc, prometheus.CounterValue, float64(n), code)
	}
}
