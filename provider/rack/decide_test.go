package rack

import (
	"errors"
	"testing"
	"time"

	"github.com/stmcginnis/gofish/redfish"
	"pgregory.net/rapid"

	"github.com/slipwayhq/slipway/deploy"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	recent, long := noon.Add(-time.Second), noon.Add(-time.Hour)
	for name, c := range map[string]struct {
		b       booting
		v       view
		stage   stage
		do      command
		waits   bool
		refused deploy.Code
		done    bool
	}{
		"on: off first":                       {booting{Stage: stageOff}, view{power: powerOn}, stageOff, switchOff, false, "", false},
		"on its way on: off as well":          {booting{Stage: stageOff}, view{power: powerPoweringOn}, stageOff, switchOff, false, "", false},
		"no stage is the first":               {booting{}, view{power: powerOn}, stageOff, switchOff, false, "", false},
		"power not told":                      {booting{Stage: stageOff}, view{}, stageOff, switchOff, false, "", false},
		"on its way off":                      {booting{Stage: stageOff, Asked: asked{1, &recent}}, view{power: powerPoweringOff}, stageOff, nothing, true, "", false},
		"asked just now":                      {booting{Stage: stageOff, Asked: asked{1, &recent}}, view{power: powerOn}, stageOff, nothing, true, "", false},
		"asked long ago":                      {booting{Stage: stageOff, Asked: asked{1, &long}}, view{power: powerOn}, stageOff, switchOff, false, "", false},
		"asked too often":                     {booting{Stage: stageOff, Asked: asked{asksMax, &long}}, view{power: powerOn}, stageOff, nothing, false, deploy.CodeUpstreamUnavailable, false},
		"off: override":                       {booting{Stage: stageOff, Asked: asked{2, &recent}}, view{power: powerOff}, stageOverride, setOverride, false, "", false},
		"off, and still set":                  {booting{Stage: stageOff}, view{power: powerOff, override: true}, stageOn, switchOn, false, "", false},
		"override asked":                      {booting{Stage: stageOverride, Asked: asked{1, &recent}}, view{power: powerOff}, stageOverride, nothing, true, "", false},
		"override ignored":                    {booting{Stage: stageOverride, Asked: asked{asksMax, &long}}, view{power: powerOff}, stageOverride, nothing, false, deploy.CodeUpstreamUnavailable, false},
		"override set":                        {booting{Stage: stageOverride, Asked: asked{1, &recent}}, view{power: powerOff, override: true}, stageOn, switchOn, false, "", false},
		"somebody switched it on in between":  {booting{Stage: stageOverride}, view{power: powerOn}, stageOff, switchOff, false, "", false},
		"somebody does so again and again":    {booting{Stage: stageOverride, Rounds: roundsMax}, view{power: powerOn}, stageOverride, nothing, false, deploy.CodeConflict, false},
		"on asked":                            {booting{Stage: stageOn, Asked: asked{1, &recent}}, view{power: powerOff}, stageOn, nothing, true, "", false},
		"on its way on":                       {booting{Stage: stageOn, Asked: asked{1, &recent}}, view{power: powerPoweringOn}, stageOn, nothing, true, "", false},
		"on":                                  {booting{Stage: stageOn, Asked: asked{1, &recent}}, view{power: powerOn}, stageOn, nothing, false, "", true},
		"on, though the answer was not heard": {booting{Stage: stageOn}, view{power: powerOn}, stageOn, nothing, false, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, do, err := decide(c.b, c.v, noon)
			var e *deploy.ProviderError
			errors.As(err, &e)
			waits, refused := e != nil && e.Temporary, deploy.Code("")
			if e != nil && !e.Temporary {
				refused = e.Code
			}
			if got.Stage != c.stage || do != c.do || waits != c.waits || refused != c.refused || (got.DoneAt != nil) != c.done {
				t.Fatalf("%+v, %q, %v", got, do, err)
			}
			if do != nothing && (got.Asked.Asks == 0 || !got.Asked.At.Equal(noon)) {
				t.Errorf("the command is not recorded: %+v", got.Asked)
			}
		})
	}
}

// Whatever a controller shows, in whatever order, a machine is only said to
// have booted after it was seen off, then with its override set, then on; and
// there is an end to commands.
func TestDecideOnlyBelievesWhatItSaw(t *testing.T) {
	states := []redfish.PowerState{powerOff, powerOn, powerPoweringOff, powerPoweringOn, "", "Paused"}
	rapid.Check(t, func(t *rapid.T) {
		b, now := booting{Stage: stageOff}, noon
		off, set, commands := false, false, 0
		for range 200 {
			v := view{power: rapid.SampledFrom(states).Draw(t, "power"), override: rapid.Bool().Draw(t, "override")}
			now = now.Add(rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.IntRange(0, 60).Draw(t, "s")) * time.Second }).Draw(t, "passes"))
			if v.power == powerOff {
				off = true
			}
			if off && v.power != powerOn && v.power != powerPoweringOn && v.override {
				set = true
			}
			next, do, err := decide(b, v, now)
			if do != nothing {
				commands++
			}
			if next.DoneAt != nil {
				if !off || !set || v.power != powerOn {
					t.Fatalf("done: off %v, override %v, %+v", off, set, v)
				}
				return
			}
			var e *deploy.ProviderError
			if errors.As(err, &e) && !e.Temporary {
				return
			}
			if do == nothing && err == nil {
				t.Fatal("nothing is asked, nothing is waited for, and it is not the end")
			}
			b = next
		}
		if limit := 3 * asksMax * (roundsMax + 1); commands > limit {
			t.Fatalf("%d commands", commands)
		}
	})
}
