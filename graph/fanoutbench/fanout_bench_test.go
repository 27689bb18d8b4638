package fanoutbench

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

var (
	transports = []string{"shared", "gqlgen"}
	sizes      = []int{100, 1000, 5000}
)

// window is how long each measurement lasts.
const window = 3 * time.Second

// ready opens a crowd and waits until each subscriber has had its first event.
func ready(b *testing.B, path string, n int) (*process, *crowd) {
	b.Helper()
	p := start(b)
	c := gather(b, p, "/"+path, n, max(1, n/50), nil)
	// Subscriptions are known to run once they have delivered.
	for made := int64(1); ; made++ {
		p.do(order{Cmd: "produce", N: 1})
		pause(200 * time.Millisecond)
		if least, _, _ := c.least(); least > 0 {
			break
		}
		if made > 100 {
			b.Fatal("not every subscription runs")
		}
	}
	settle(b, c)
	for _, s := range c.subs {
		s.events.Store(0)
		s.messages.Store(0)
	}
	return p, c
}

// settle waits until nothing more is delivered.
func settle(b *testing.B, c *crowd) {
	b.Helper()
	_, last, _ := c.least()
	for quiet := 0; quiet < 5; quiet++ {
		pause(50 * time.Millisecond)
		if _, now, _ := c.least(); now != last {
			quiet, last = 0, now
		}
	}
}

// tell reports what a measurement cost.
func tell(b *testing.B, before, after state, c *crowd, took time.Duration) {
	_, events, messages := c.least()
	cpu := after.CPU - before.CPU
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(cpu.Nanoseconds())/1e3/float64(events), "cpu-µs/delivery")
	b.ReportMetric(float64(cpu.Nanoseconds())/1e3/float64(messages), "cpu-µs/message")
	b.ReportMetric(float64(events)/took.Seconds(), "deliveries/s")
	b.ReportMetric(cpu.Seconds()/took.Seconds(), "server-cpus")
}

// latencies reports the time from commit to the client's socket.
func latencies(b *testing.B, p *process, c *crowd, first int) {
	b.Helper()
	commits := p.do(order{Cmd: "log"}).Commits
	var all []time.Duration
	for _, s := range c.subs {
		for _, m := range s.samples {
			if m.report >= first && m.report < len(commits) {
				all = append(all, time.Duration(m.at-commits[m.report]))
			}
		}
	}
	if len(all) == 0 {
		b.Fatal("no times were taken")
	}
	slices.Sort(all)
	at := func(q float64) float64 { return float64(all[int(q*float64(len(all)-1))].Microseconds()) / 1e3 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
}

// BenchmarkPaced has events come at a rate. A delivery is one event at one
// subscriber; a message may carry several. One subscriber shows what it costs
// to make an event and commit it; all figures include that.
func BenchmarkPaced(b *testing.B) {
	for _, n := range append([]int{1}, sizes...) {
		for _, rate := range []int{5, 20, 200} {
			for _, path := range transports {
				if path == "gqlgen" && n*rate > 200_000 {
					continue // it would be minutes behind
				}
				b.Run(fmt.Sprintf("%s/n=%d/rate=%d", path, n, rate), func(b *testing.B) {
					p, c := ready(b, path, n)
					for b.Loop() {
						before := p.do(order{Cmd: "usage"})
						began := time.Now()
						paced := p.do(order{Cmd: "pace", Rate: rate, Seconds: window.Seconds()})
						want := int64(rate) * int64(window/time.Second)
						lag := c.await(want, 2*time.Minute)
						took := time.Since(began)
						_ = paced
						after := p.do(order{Cmd: "usage"})
						tell(b, before, after, c, took)
						b.ReportMetric(float64(lag.Milliseconds()), "behind-ms")
						latencies(b, p, c, before.Made)
						again(c)
					}
				})
			}
		}
	}
}

func again(c *crowd) {
	for _, s := range c.subs {
		s.events.Store(0)
		s.messages.Store(0)
	}
}

// ahead is how many events may be under way when the writer goes flat out:
// nothing is dropped, so the slowest subscriber sets the pace.
const ahead = 512

// BenchmarkFlatOut has events come as fast as the slowest subscriber gets them.
// With one subscriber it shows what it costs to make an event and commit it;
// all figures include that.
func BenchmarkFlatOut(b *testing.B) {
	for _, n := range append([]int{1}, sizes...) {
		for _, path := range transports {
			b.Run(fmt.Sprintf("%s/n=%d", path, n), func(b *testing.B) {
				p, c := ready(b, path, n)
				for b.Loop() {
					before := p.do(order{Cmd: "usage"})
					began := time.Now()
					issued := int64(0)
					for time.Since(began) < window {
						if least, _, _ := c.least(); issued-least <= ahead-64 {
							p.do(order{Cmd: "produce", N: 64})
							issued += 64
							continue
						}
						pause(time.Millisecond)
					}
					c.await(issued, 2*time.Minute)
					took := time.Since(began)
					after := p.do(order{Cmd: "usage"})
					tell(b, before, after, c, took)
					b.ReportMetric(float64(issued)/took.Seconds(), "events/s")
					latencies(b, p, c, before.Made)
					again(c)
				}
			})
		}
	}
}

// BenchmarkIdle measures the memory of subscribers to whom nothing happens.
func BenchmarkIdle(b *testing.B) {
	for _, path := range transports {
		for _, n := range []int{1000, 5000} {
			b.Run(fmt.Sprintf("%s/n=%d", path, n), func(b *testing.B) {
				for b.Loop() {
					p := start(b)
					warm := gather(b, p, "/"+path, 50, 0, nil)
					warm.leave()
					// What the first subscribers made the server load stays out of it.
					pause(300 * time.Millisecond)
					p.do(order{Cmd: "free"})
					before := p.do(order{Cmd: "free"})
					c := gather(b, p, "/"+path, n, 0, nil)
					pause(time.Second)
					p.do(order{Cmd: "free"})
					after := p.do(order{Cmd: "free"})
					per := func(x, y int64) float64 { return float64(y-x) / 1024 / float64(n) }
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(per(before.RSS, after.RSS), "rss-KiB/subscriber")
					b.ReportMetric(per(before.Heap, after.Heap), "heap+stack-KiB/subscriber")
					b.ReportMetric(float64(after.Goroutines-before.Goroutines)/float64(n), "goroutines/subscriber")
					c.leave()
				}
			})
		}
	}
}

// BenchmarkReconnect has a thousand clients come back at once, each with a
// cursor of its own, while events go on. It measures until all of them are
// served by the shared execution again; none may have lost an event or got one
// twice.
func BenchmarkReconnect(b *testing.B) {
	const n, rate = 1000, 100
	for b.Loop() {
		p := start(b)
		p.do(order{Cmd: "produce", N: n})
		for p.do(order{Cmd: "usage"}).Made < n {
			pause(10 * time.Millisecond)
		}
		cursors := p.do(order{Cmd: "log"}).Cursors
		slices.Reverse(cursors)
		// One who never left keeps the group alive, as it is when a part of the
		// clients lose their connections.
		stays := gather(b, p, "/shared", 1, 0, nil)
		for p.do(order{Cmd: "usage"}).Sharing.Members < 1 {
			pause(time.Millisecond)
		}
		before := p.do(order{Cmd: "usage"})
		began := time.Now()
		issued := n
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() { // events go on while the clients come
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Second / rate):
					p.do(order{Cmd: "produce", N: 1})
					issued++
				}
			}
		}()
		c := gather(b, p, "/shared", n, 0, cursors)
		dialled := time.Since(began)
		close(stop)
		<-stopped
		for {
			s := p.do(order{Cmd: "produce", N: 1})
			issued++
			if s.Sharing.Members == n+1 {
				break
			}
			if time.Since(began) > time.Minute {
				b.Fatalf("only %d of %d are back", s.Sharing.Members, n)
			}
			pause(time.Second / rate)
		}
		took := time.Since(began)
		after := p.do(order{Cmd: "usage"})
		stays.await(int64(issued-n), 20*time.Second)
		settle(b, c)
		for i, s := range c.subs {
			// The client with the cursor of report k gets all after it.
			if want := int64(issued - 1 - (n - 1 - i)); s.events.Load() != want {
				b.Fatalf("client %d has %d events, not %d", i, s.events.Load(), want)
			}
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(took.Seconds(), "s-to-shared")
		b.ReportMetric(dialled.Seconds(), "s-dialling")
		b.ReportMetric((after.CPU - before.CPU).Seconds(), "server-cpu-s")
		b.ReportMetric(float64(after.Sharing.Replays-before.Sharing.Replays), "replays")
		c.leave()
		stays.leave()
	}
}
