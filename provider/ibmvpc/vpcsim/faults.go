package vpcsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// FaultKind says how the simulator misbehaves.
type FaultKind string

// Kinds of faults. Those on calls need an Operation; those on servers may have one, which then names the call that
// the server is carrying out.
const (
	// FaultFail refuses the call with Status, Code and Message without performing it.
	FaultFail FaultKind = "fail"
	// FaultDropBefore closes the connection without performing the call.
	FaultDropBefore FaultKind = "drop_before"
	// FaultDropAfter performs the call and then closes the connection instead of answering.
	FaultDropAfter FaultKind = "drop_after"
	// FaultTimeout performs the call and then says nothing: until the caller goes away, or for LatencyMS, after which the
	// connection is closed.
	FaultTimeout FaultKind = "timeout"
	// FaultLatency delays the call by LatencyMS before it is performed.
	FaultLatency FaultKind = "latency"
	// FaultNeverBoot lets a server be "running" without its hardware being powered on.
	FaultNeverBoot FaultKind = "never_boot"
	// FaultServerFailed lets a server end as "failed" with Reason instead of "running".
	FaultServerFailed FaultKind = "server_failed"
	// FaultStuck leaves a server for ever in the status it is in, until the next call on it.
	FaultStuck FaultKind = "stuck"
	// FaultSlow adds LatencyMS to a server's change of status, or to the deletion of a VNI.
	FaultSlow FaultKind = "slow"
	// FaultIgnoreSoftStop lets a soft stop never complete.
	FaultIgnoreSoftStop FaultKind = "ignore_soft_stop"
	// FaultSlowName keeps a deleted server's name taken for LatencyMS.
	FaultSlowName FaultKind = "slow_name"
	// FaultRandom strikes with any of Kinds, each time with the probability Rate, as Seed decides: the n-th call of an
	// operation on a resource of some name always meets the same fate.
	FaultRandom FaultKind = "random"
)

// AnyOperation stands for every operation in a Fault.
const AnyOperation = "*"

// Fault is one way to misbehave.
type Fault struct {
	// ID is given by the simulator.
	ID string `json:"id"`
	// Kind is required.
	Kind FaultKind `json:"kind"`
	// Operation is a method of the SDK, such as "CreateBareMetalServer", or AnyOperation.
	Operation string `json:"operation,omitempty"`
	// Target limits the fault to a resource: a name or an id, as it appears in the path, as the name in the body, or as
	// the server's. Empty means any.
	Target string `json:"target,omitempty"`
	// InStatus limits a FaultStuck or FaultSlow to changes out of this status of the server, such as "starting".
	InStatus string `json:"in_status,omitempty"`
	// Times is how often the fault strikes; 0 means until it is cleared.
	Times int `json:"times,omitempty"`
	// Used is how often it has struck.
	Used int `json:"used"`
	// Status is the HTTP status of a FaultFail; 500 if zero.
	Status int `json:"status,omitempty"`
	// Code and Message are the error of a FaultFail; fitting ones are chosen if empty.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	// RetryAfterSeconds adds a Retry-After header to a FaultFail.
	RetryAfterSeconds int `json:"retry_after_seconds,omitempty"`
	// Reason is the status reason of a FaultServerFailed; ReasonCannotStartCapacity if empty.
	Reason string `json:"reason,omitempty"`
	// LatencyMS is the delay of a FaultLatency, FaultSlow, FaultSlowName or FaultTimeout in milliseconds.
	LatencyMS int64 `json:"latency_ms,omitempty"`
	// Seed, Rate and Kinds belong to FaultRandom. Rate is 0 to 1; 0.05 if zero. Kinds are other kinds; FaultFail,
	// FaultDropBefore and FaultDropAfter if empty. A FaultFail without Status is 500, 502, 503 or 429 then.
	Seed  uint64      `json:"seed,omitempty"`
	Rate  float64     `json:"rate,omitempty"`
	Kinds []FaultKind `json:"kinds,omitempty"`
}

func (f *Fault) latency() time.Duration { return time.Duration(f.LatencyMS) * time.Millisecond }

// callFaults strike calls, the others servers.
var callFaults = []FaultKind{FaultFail, FaultDropBefore, FaultDropAfter, FaultTimeout, FaultLatency}

var serverFaults = []FaultKind{FaultNeverBoot, FaultServerFailed, FaultStuck, FaultSlow, FaultIgnoreSoftStop, FaultSlowName}

// statusCodes are the codes of failures that a fault does not name.
var statusCodes = map[int]string{
	http.StatusBadRequest: codeBadRequest, http.StatusUnauthorized: codeNotAuthorized, http.StatusForbidden: codeNotAuthorized,
	http.StatusNotFound: codeNotFound, http.StatusConflict: codeInvalidState, http.StatusTooManyRequests: codeRateLimit,
	http.StatusServiceUnavailable: "backend_service_unavailable",
}

// AddFault arms a fault and returns its id, or an error if it makes no sense.
func (s *Simulator) AddFault(f Fault) (string, error) {
	if err := s.checkFault(&f); err != nil {
		return "", err
	}
	f.ID, f.Used = uuid.NewString(), 0
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
	s.notify()
	return f.ID, nil
}

func (s *Simulator) checkFault(f *Fault) error {
	onCall := slices.Contains(callFaults, f.Kind)
	switch {
	case f.Kind == FaultRandom:
		if err := f.checkRandom(); err != nil {
			return err
		}
	case f.Seed != 0 || f.Rate != 0 || f.Kinds != nil:
		return fmt.Errorf("seed, rate and kinds belong to the kind %q", FaultRandom)
	case !onCall && !slices.Contains(serverFaults, f.Kind):
		return fmt.Errorf("fault kind %q is none of %v %v %q", f.Kind, callFaults, serverFaults, FaultRandom)
	case onCall && f.Operation == "":
		return fmt.Errorf("fault %q needs an operation", f.Kind)
	}
	switch {
	case f.Operation != "" && f.Operation != AnyOperation && s.ops[f.Operation] == nil:
		return fmt.Errorf("operation %q is none of %s", f.Operation, strings.Join(slices.Sorted(maps.Keys(s.ops)), ", "))
	case f.InStatus != "" && f.Kind != FaultStuck && f.Kind != FaultSlow:
		return fmt.Errorf("in_status belongs to the kinds %q and %q", FaultStuck, FaultSlow)
	case f.Times < 0 || f.LatencyMS < 0 || f.RetryAfterSeconds < 0:
		return fmt.Errorf("times, latency and retry-after may not be negative")
	case f.is(FaultLatency, FaultSlow, FaultSlowName) && f.LatencyMS == 0:
		return fmt.Errorf("fault %q needs a latency", f.Kind)
	}
	return f.complete()
}

// is reports whether the fault can strike with one of the kinds.
func (f *Fault) is(kinds ...FaultKind) bool {
	return slices.ContainsFunc(kinds, func(k FaultKind) bool { return f.Kind == k || slices.Contains(f.Kinds, k) })
}

// complete fills what a fault that is refused or that fails a server leaves out.
func (f *Fault) complete() error {
	if f.Kind == FaultFail {
		if f.Status == 0 {
			f.Status = http.StatusInternalServerError
		}
		setDefault(&f.Code, statusCodes[f.Status])
		setDefault(&f.Code, codeInternal)
		setDefault(&f.Message, "A fault was set for this operation.")
	}
	if f.is(FaultFail) && f.Status != 0 && (f.Status < 400 || f.Status > 599) {
		return fmt.Errorf("status %d is not that of a failure", f.Status)
	}
	if f.is(FaultServerFailed) {
		setDefault(&f.Reason, ReasonCannotStartCapacity)
		if reasonMessages[f.Reason] == "" {
			return fmt.Errorf("status reason %q is none of %s", f.Reason, strings.Join(slices.Sorted(maps.Keys(reasonMessages)), ", "))
		}
	}
	return nil
}

// Faults are the faults that are armed still, oldest first.
func (s *Simulator) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	faults := make([]Fault, 0, len(s.faults))
	for _, f := range s.faults {
		faults = append(faults, *f)
	}
	return faults
}

// ClearFaults disarms the faults with these ids, or all when none is given.
func (s *Simulator) ClearFaults(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, func(f *Fault) bool { return len(ids) == 0 || slices.Contains(ids, f.ID) })
	s.notify()
}

// takeFault finds the oldest armed fault of a kind for an operation, a server's status if it is about one, and one of
// these names, and counts it. subject is what the chance of a FaultRandom is drawn for.
func (s *Simulator) takeFault(kind FaultKind, operation, status, subject string, names func() []string) *Fault {
	for i, f := range s.faults {
		if f.InStatus != "" && f.InStatus != status || f.Operation != "" && f.Operation != AnyOperation && f.Operation != operation {
			continue
		}
		if f.Kind != kind && !slices.Contains(f.Kinds, kind) || f.Target != "" && !slices.Contains(names(), f.Target) {
			continue
		}
		strikes := f
		if f.Kind == FaultRandom {
			if strikes = s.draw(f, kind, operation, subject); strikes == nil {
				continue
			}
		}
		f.Used++
		if f.Times > 0 && f.Used >= f.Times {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		s.log.Info("fault", "kind", kind, "operation", operation, "subject", subject, "id", f.ID, "used", f.Used)
		return strikes
	}
	return nil
}

func (s *Simulator) takeServerFault(kind FaultKind, sv *server) *Fault {
	return s.takeFault(kind, sv.operation, sv.status, sv.name, func() []string { return []string{sv.name, sv.id} })
}

func (c *call) takeFault(kind FaultKind) *Fault {
	return c.s.takeFault(kind, c.op.name, "", c.subject(), c.names)
}

func (c *call) takeLatency() time.Duration {
	if f := c.takeFault(FaultLatency); f != nil {
		return f.latency()
	}
	return 0
}

// takeSlow is what a FaultSlow adds to what the call begins.
func (c *call) takeSlow() time.Duration {
	if f := c.takeFault(FaultSlow); f != nil {
		return f.latency()
	}
	return 0
}

func (c *call) takeRefusal() (drop bool, refusal error) {
	if c.takeFault(FaultDropBefore) != nil {
		return true, nil
	}
	if f := c.takeFault(FaultFail); f != nil {
		return false, &apiError{Status: f.Status, Code: f.Code, Message: f.Message, RetryAfter: f.RetryAfterSeconds}
	}
	return false, nil
}

// takeLoss tells what becomes of the answer of a call that was performed.
func (c *call) takeLoss() (ending, time.Duration) {
	if c.takeFault(FaultDropAfter) != nil {
		return dropped, 0
	}
	if f := c.takeFault(FaultTimeout); f != nil {
		return silent, f.latency()
	}
	return answered, 0
}

// names are what a fault's target is compared with: the parts of the path and the names behind them, the name (and the
// address) in the body.
func (c *call) names() []string {
	return append(strings.Split(c.r.URL.Path, "/"), c.called()...)
}

// called are the names of what a call is about, without the ids that differ from run to run.
func (c *call) called() []string {
	var names []string
	for _, part := range strings.Split(c.r.URL.Path, "/") {
		if sv := c.s.servers[part]; sv != nil {
			names = append(names, sv.name)
		}
		if v := c.s.vnis[part]; v != nil {
			names = append(names, v.name)
		}
		if ip := c.s.reservedIPs[part]; ip != nil {
			names = append(names, ip.name)
		}
		if r := c.s.records[part]; r != nil {
			names = append(names, r.name)
		}
	}
	var body struct {
		Name    string `json:"name"`
		Address string `json:"address"`
	}
	if json.Unmarshal(c.body, &body) == nil {
		names = append(names, body.Name, body.Address)
	}
	return names
}

// subject is what a call is about, the same in every run.
func (c *call) subject() string {
	return strings.Join(slices.DeleteFunc(c.called(), func(name string) bool { return name == "" }), "/")
}
