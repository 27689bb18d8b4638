package machine

import (
	"context"
	"time"
)

// Pace is how long the parts of a machine's life take that cost a simulation no
// time by themselves. The zero value is as fast as it goes.
type Pace struct {
	Firmware time.Duration // from power to the boot device
	Kernel   time.Duration // from iPXE's boot to the install environment
	Restart  time.Duration // from the script's end to the firmware
	System   time.Duration // from the boot disk to the SSH server
	Retry    time.Duration // before a failed network boot is tried again; at least 100 ms
	Command  time.Duration // of each recorded system command (ip, mount, …)
	// LinkRate is the machine's network speed in bytes a second; 0 is unlimited.
	// Downloads by scripts are curl's to slow down (limit-rate), and curl looks at
	// the rate only every 100 reads, 10 MB on a fast link: an image must be larger
	// to show it.
	LinkRate int64
	// ImageBytes is the size of the stand-in hypervisor image; the other files are
	// smaller in proportion. 768 KiB if 0. See StandIns.
	ImageBytes int
	// InstallSteps is in how many parts the stand-in installer writes each image,
	// InstallStep the pause after each. See StandIns.
	InstallSteps int
	InstallStep  time.Duration
	// CVMBeat is one beat of the controller VMs (see cvmsim): a cluster of three is
	// formed in some 14 of them. 10 ms if 0.
	CVMBeat time.Duration
}

// QuickPace lets a machine go from power to its installed system in a second or
// two, with more than one step of every kind.
func QuickPace() Pace {
	return Pace{Retry: 100 * time.Millisecond, InstallSteps: 2, CVMBeat: 20 * time.Millisecond}
}

// DemoPace lets a person watch: about half a minute from power to SSH, and ten
// seconds for a cluster.
func DemoPace() Pace {
	return Pace{
		Firmware: 2 * time.Second, Kernel: 2 * time.Second, Restart: 2 * time.Second, System: 2 * time.Second,
		Retry: 2 * time.Second, Command: 150 * time.Millisecond,
		LinkRate: 4 << 20, ImageBytes: 24 << 20, InstallSteps: 10, InstallStep: 400 * time.Millisecond,
		CVMBeat: 700 * time.Millisecond,
	}
}

// slower is the pace of a machine with the fault FaultSlow.
func (p Pace) slower(factor float64) Pace {
	for _, d := range []*time.Duration{&p.Firmware, &p.Kernel, &p.Restart, &p.System, &p.Command, &p.InstallStep} {
		*d = time.Duration(float64(*d) * factor)
	}
	if p.LinkRate == 0 {
		p.LinkRate = 1 << 20
	}
	p.LinkRate = max(1, int64(float64(p.LinkRate)/factor))
	return p
}

// Clock is a machine's time. Waits inside the served scripts are real.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or less: then the error is the context's.
	Sleep(ctx context.Context, d time.Duration) error
}

// systemClock is the host's own clock.
type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
