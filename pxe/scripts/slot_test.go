package scripts

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// slots answers the questions for a download slot, one after the other; the
// last answer stays.
type slots struct {
	mu      sync.Mutex
	answers []slotAnswer
	bodies  []string
	tokens  []string
	images  int // images asked for before the last answer
}

type slotAnswer struct {
	status int // 0 drops the connection
	line   string
}

func (s *slots) serve(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != "/boot/downloads" {
		return false
	}
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || r.Method != http.MethodPost {
		http.Error(w, "a POST with a body, please", http.StatusTeapot)
		return true
	}
	s.bodies = append(s.bodies, string(body))
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	a := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	if a.status == 0 {
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_ = conn.Close()
		}
		return true
	}
	if a.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.line+"\n")
	return true
}

func (s *slots) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.bodies)
}

func queued(n int) slotAnswer {
	return slotAnswer{http.StatusTooManyRequests, fmt.Sprintf("waiting for a download slot: %d before this machine, 8 downloading", n)}
}

func slotRun(t *testing.T, env environment, answers ...slotAnswer) (*slipwayd, *machine, *slots) {
	t.Helper()
	d, m := typicalRun(t, env)
	s := &slots{answers: answers}
	d.boot = s.serve
	d.image = func(int, http.ResponseWriter, *http.Request, []byte) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.answers) > 1 {
			s.images++
		}
		return false
	}
	return d, m, s
}

var anyClient = []environment{dash, busybox, dashWget, busyboxOnly}

func imageReports(d *slipwayd) (out []string) {
	for _, r := range d.accepted() {
		if r.report.Phase == "image_download" {
			out = append(out, r.line())
		}
	}
	return out
}

func TestDownloadWaitsForASlot(t *testing.T) {
	each(t, anyClient, func(t *testing.T, env environment) {
		d, m, s := slotRun(t, env, queued(3), queued(3), queued(1), slotAnswer{200, "admitted"})
		r := m.install(t, d)
		if r.code != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d", r.code)
		}
		if s.images != 0 || s.asked() != 4 {
			t.Errorf("%d questions, want 4; %d images were fetched before the slot was given", s.asked(), s.images)
		}
		size := len(d.images["installer.sh"]) + len(d.images["hypervisor.img"])
		for i, body := range s.bodies {
			if body != fmt.Sprintf("bytes=%d", size) || s.tokens[i] != "Bearer "+testToken {
				t.Errorf("question %d: body %q, token %q", i, body, s.tokens[i])
			}
		}
		for _, n := range []int{3, 1} {
			if c := strings.Count(r.stdout, queued(n).line); c < 1 {
				t.Errorf("the console does not show place %d:\n%s", n, r.stdout)
			}
		}
		golden(t, "slot.reports", strings.Join(imageReports(d), "\n")+"\n")
		checkInstaller(t, m, d)
		checkSecrecy(t, m, r)
	})
}

// TestPlaceIsReportedSeldom: the interval is a minute, so of the places only the
// first is reported; without one, every change is.
func TestPlaceIsReportedSeldom(t *testing.T) {
	for interval, want := range map[string][]int{"60": {9}, "0": {9, 8, 7}} {
		t.Run("interval "+interval, func(t *testing.T) {
			each(t, both, func(t *testing.T, env environment) {
				d, m, _ := slotRun(t, env, queued(9), queued(8), queued(8), queued(7), slotAnswer{200, "admitted"})
				m.vars["SLIPWAY_POSITION_INTERVAL"] = interval
				if r := m.install(t, d); r.code != 0 {
					m.explain(t, d, r)
					t.Fatalf("exit %d", r.code)
				}
				var got []string
				for _, line := range imageReports(d) {
					if strings.Contains(line, "waiting for a download slot") {
						got = append(got, line)
					}
				}
				var lines []string
				for _, n := range want {
					lines = append(lines, "image_download in_progress 0%: "+queued(n).line)
				}
				if !slices.Equal(got, lines) {
					t.Errorf("got %q, want %q", got, lines)
				}
			})
		})
	}
}

func TestSlotOfAServerThatIsAway(t *testing.T) {
	each(t, anyClient, func(t *testing.T, env environment) {
		d, m, s := slotRun(t, env, slotAnswer{}, slotAnswer{503, "starting"}, slotAnswer{409, "error out_of_order: report image_download first"}, slotAnswer{200, "admitted"})
		if r := m.install(t, d); r.code != 0 || s.asked() != 4 || s.images != 0 {
			m.explain(t, d, r)
			t.Fatalf("exit %d, %d questions", r.code, s.asked())
		}
	})
}

func TestServerWithoutSlots(t *testing.T) {
	tests := map[string]struct {
		answer   slotAnswer
		patience string
		want     string
	}{
		"an old one":             {slotAnswer{404, "404 page not found"}, "10", "this server gives no download slots (HTTP 404): downloading without one"},
		"one that never answers": {slotAnswer{}, "0", "downloading without one"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, anyClient, func(t *testing.T, env environment) {
				d, m, _ := slotRun(t, env, tt.answer)
				m.vars["SLIPWAY_CONFIG_PATIENCE"] = tt.patience
				r := m.install(t, d)
				if r.code != 0 || !strings.Contains(r.stdout, tt.want) {
					m.explain(t, d, r)
					t.Fatalf("exit %d", r.code)
				}
				golden(t, "install.reports", d.lines())
			})
		})
	}
}

func TestNobodyWaitsForAMachineInTheQueue(t *testing.T) {
	tests := map[string]struct {
		answer slotAnswer
		code   int
	}{
		"the deployment has ended": {slotAnswer{409, "error deployment_ended: the deployment is canceled"}, 6},
		"the token was withdrawn":  {slotAnswer{401, "error unauthenticated: this token is not valid"}, 5},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, anyClient, func(t *testing.T, env environment) {
				d, m, s := slotRun(t, env, queued(2), tt.answer)
				r := m.install(t, d)
				if r.code != tt.code || s.images != 0 {
					m.explain(t, d, r)
					t.Fatalf("exit %d, want %d", r.code, tt.code)
				}
				for _, got := range d.all() {
					if got.report.Status == "failed" {
						t.Errorf("it still reported %s", got.line())
					}
				}
			})
		})
	}
}
