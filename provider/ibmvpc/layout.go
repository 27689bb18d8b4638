package ibmvpc

import "strings"

// Layout is which disks a server profile has, as IBM documents them: a RAID 1
// pair to boot from, which shows as one device, and local NVMe data disks.
type Layout struct {
	BootGB   int64 // size of the boot device, in gigabytes of 1000^3 bytes
	DataGB   int64 // size of each data disk
	DataDisk int   // number of data disks
}

// LayoutOf gives a profile's disks; ok is false for a profile without local
// data disks, or one that is not in IBM's naming scheme (family, x, generation,
// d or de, size). Source: IBM Cloud docs, "x86-64 bare metal server profiles".
func LayoutOf(profile string) (l Layout, ok bool) {
	family, size, found := strings.Cut(profile, "-metal-")
	if !found || len(family) < 4 || family[1] != 'x' {
		return Layout{}, false
	}
	generation, kind := family[2], family[3:]
	switch {
	case generation == '2' && kind == "d":
		return Layout{BootGB: 960, DataGB: 3200, DataDisk: 8}, true
	case generation == '3' && kind == "d":
		l = Layout{BootGB: 480, DataGB: 7680, DataDisk: 4}
		switch size {
		case "192x1024", "96x1024", "128x1024":
			l.DataDisk = 8
		}
		return l, true
	case generation == '3' && kind == "de":
		return Layout{BootGB: 480, DataGB: 15360, DataDisk: 16}, true
	}
	return Layout{}, false
}

// Layouts gives the layout of every profile that LayoutOf can be asked for and
// that IBM offers with local data disks.
func Layouts() map[string]Layout {
	out := map[string]Layout{}
	for _, name := range []string{
		"bx2d-metal-96x384", "cx2d-metal-96x192", "mx2d-metal-96x768",
		"bx3d-metal-48x256", "bx3d-metal-64x256", "bx3d-metal-192x1024", "cx3d-metal-48x128", "cx3d-metal-64x128",
		"mx3d-metal-16x128", "mx3d-metal-48x512", "mx3d-metal-64x512", "mx3d-metal-96x1024", "mx3d-metal-128x1024",
		"mx3de-metal-48x512", "mx3de-metal-64x512", "vx3d-metal-16x256", "ux3d-metal-16x512", "ux3de-metal-16x512",
	} {
		if l, ok := LayoutOf(name); ok {
			out[name] = l
		}
	}
	return out
}
