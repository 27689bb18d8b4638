package ibmvpc

import (
	"fmt"

	"github.com/IBM/vpc-go-sdk/vpcv1"
)

// disks is what a profile has, as the API says.
type disks struct {
	profile string
	bootGB  int64 // size of the boot device
	data    int   // number of local data disks
	dataGB  int64 // size of each
}

// disksOf reads a profile's disks. The boot device is the smallest: a RAID 1
// pair shows as one. All others are data disks.
func disksOf(p vpcv1.BareMetalServerProfile) disks {
	d := disks{profile: value(p.Name)}
	boot := -1
	for i, disk := range p.Disks {
		if _, size := measure(disk); boot < 0 || size < d.bootGB {
			boot, d.bootGB = i, size
		}
	}
	for i, disk := range p.Disks {
		if i == boot {
			continue
		}
		quantity, size := measure(disk)
		d.data += int(quantity)
		d.dataGB = max(d.dataGB, size)
	}
	return d
}

func measure(disk vpcv1.BareMetalServerProfileDisk) (quantity, size int64) {
	if q, ok := disk.Quantity.(*vpcv1.BareMetalServerProfileDiskQuantity); ok && q != nil {
		quantity = either(q.Value, q.Default)
	}
	if s, ok := disk.Size.(*vpcv1.BareMetalServerProfileDiskSize); ok && s != nil {
		size = either(s.Value, s.Default)
	}
	return quantity, size
}

// either is a fixed value, or the default of one that may be chosen.
func either(fixed, def *int64) int64 {
	if fixed != nil {
		return *fixed
	}
	return value(def)
}

// String tells the disks.
func (d disks) String() string {
	if d.data == 0 {
		return fmt.Sprintf("%s has a boot disk of %d GB and no data disks", d.profile, d.bootGB)
	}
	return fmt.Sprintf("%s has a boot disk of %d GB and %d data disks of %d GB", d.profile, d.bootGB, d.data, d.dataGB)
}

// why tells what keeps an installation from using the profile, empty if
// nothing does. own says that the order names its disks itself.
func (d disks) why(own bool) string {
	layout, known := LayoutOf(d.profile)
	switch {
	case d.data == 0:
		return d.String() + ": the installation needs local data disks"
	case own:
		return ""
	case !known:
		return d.String() + ", but Slipway does not know this profile: it cannot tell which of them to use"
	case layout.BootGB != d.bootGB || layout.DataDisk != d.data || layout.DataGB != d.dataGB:
		return fmt.Sprintf("%s, but Slipway expects a boot disk of %d GB and %d data disks of %d GB", d, layout.BootGB, layout.DataDisk, layout.DataGB)
	}
	return ""
}
