package server

import "github.com/prometheus/client_golang/prometheus"

// SocketFigures are what the websockets of the GraphQL API do.
type SocketFigures struct {
	Sockets    int // open
	Operations int // running on them
	Queued     int // frames that wait to be written
	Groups     int // subscriptions that are executed once for all who ask the same
	Members    int // operations that are served by these
	Messages   int64
	Delivered  int64
	Detached   int64
	Replays    int64
}

// WatchSockets adds the figures of the websockets; read is asked whenever
// somebody looks.
func (m *Metrics) WatchSockets(read func() SocketFigures) { m.Registry.MustRegister(sockets{read}) }

// sockets collects the figures of one moment.
type sockets struct{ read func() SocketFigures }

// socketFigure is one figure as Prometheus has it.
type socketFigure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(SocketFigures) float64
}

var socketFigures = func() []socketFigure {
	figure := func(name, help string, kind prometheus.ValueType, of func(SocketFigures) float64) socketFigure {
		return socketFigure{prometheus.NewDesc(name, help, nil, nil), kind, of}
	}
	return []socketFigure{
		figure("slipway_websockets", "Open websockets.", prometheus.GaugeValue,
			func(f SocketFigures) float64 { return float64(f.Sockets) }),
		figure("slipway_websocket_operations", "GraphQL operations that run on websockets.", prometheus.GaugeValue,
			func(f SocketFigures) float64 { return float64(f.Operations) }),
		figure("slipway_websocket_queued_frames", "Frames that wait to be written to websockets.", prometheus.GaugeValue,
			func(f SocketFigures) float64 { return float64(f.Queued) }),
		figure("slipway_shared_executions", "Subscriptions that are executed once for all clients that ask the same.", prometheus.GaugeValue,
			func(f SocketFigures) float64 { return float64(f.Groups) }),
		figure("slipway_shared_members", "Operations of clients that are served by shared executions.", prometheus.GaugeValue,
			func(f SocketFigures) float64 { return float64(f.Members) }),
		figure("slipway_shared_messages_total", "Messages made by shared executions.", prometheus.CounterValue,
			func(f SocketFigures) float64 { return float64(f.Messages) }),
		figure("slipway_shared_deliveries_total", "Messages of shared executions handed to websockets.", prometheus.CounterValue,
			func(f SocketFigures) float64 { return float64(f.Delivered) }),
		figure("slipway_shared_detached_total", "How often a client did not keep up with a shared execution and went on alone.", prometheus.CounterValue,
			func(f SocketFigures) float64 { return float64(f.Detached) }),
		figure("slipway_shared_replays_total", "Executions for one client, which bring it to where a shared one is.", prometheus.CounterValue,
			func(f SocketFigures) float64 { return float64(f.Replays) }),
	}
}()

// Describe names the figures.
func (c sockets) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range socketFigures {
		ch <- f.desc
	}
}

// Collect gives the figures of one moment.
func (c sockets) Collect(ch chan<- prometheus.Metric) {
	now := c.read()
	for _, f := range socketFigures {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.of(now))
	}
}
