package vpcsim

import (
	"fmt"
	"slices"
	"strings"
)

// profile is a bare metal server profile. Its parts follow from its name and generation as IBM documents them; socket
// counts and the bandwidth values of generation 3 are this simulator's, IBM documents "up to 200 Gb/s" only.
type profile struct {
	name        string
	seq         int64
	family      string
	generation  int
	vcpu        int
	memory      int // GiB
	bandwidths  []int
	disks       []profileDisk
	tpmModes    []string
	tpmDefault  string
	socketCount int
}

func (p *profile) serial() int64 { return p.seq }

type profileDisk struct {
	quantity      int
	sizeGB        int64
	interfaceType string
}

// profileNames are the names in IBM's documentation of x86 profiles.
var profileNames = []string{
	"bx2-metal-96x384", "bx2d-metal-96x384", "cx2-metal-96x192", "cx2d-metal-96x192", "mx2-metal-96x768",
	"mx2d-metal-96x768", "vx2d-metal-96x1536",
	"bx3-metal-48x256", "bx3d-metal-48x256", "bx3-metal-64x256", "bx3d-metal-64x256", "bx3d-metal-192x1024",
	"cx3d-metal-48x128", "cx3d-metal-64x128", "mx3d-metal-16x128", "mx3-metal-48x512", "mx3d-metal-48x512",
	"mx3-metal-64x512", "mx3d-metal-64x512", "mx3d-metal-96x1024", "mx3d-metal-128x1024", "mx3de-metal-48x512",
	"mx3de-metal-64x512", "vx3-metal-16x256", "vx3d-metal-16x256", "ux3-metal-16x512", "ux3d-metal-16x512",
	"ux3de-metal-16x512",
}

var profileFamilies = map[byte]string{
	'b': "balanced", 'c': "compute", 'm': "memory", 'v': "very-high-memory", 'u': "ultra-high-memory",
}

// wideProfiles have eight data disks instead of four.
var wideProfiles = []string{"192x1024", "96x1024", "128x1024"}

func (s *Simulator) fillProfiles() {
	for _, name := range profileNames {
		s.catalogue.profiles[name] = newProfile(name, s.next())
	}
}

func newProfile(name string, seq int64) *profile {
	kind, size, _ := strings.Cut(name, "-metal-")
	p := &profile{name: name, seq: seq, family: profileFamilies[kind[0]], generation: int(kind[2] - '0'), socketCount: 2}
	if _, err := fmt.Sscanf(size, "%dx%d", &p.vcpu, &p.memory); err != nil {
		panic("profile name " + name + ": " + err.Error()) // a mistake in the list above
	}
	if p.vcpu < 48 {
		p.socketCount = 1
	}
	suffix := kind[3:]
	switch p.generation {
	case 2:
		p.bandwidths = []int{100000}
		p.tpmModes, p.tpmDefault = []string{"disabled", "tpm_2"}, "disabled"
		p.disks = []profileDisk{{1, 960, DiskInterfaceSATA}} // two disks as one RAID 1 volume
		if suffix == "d" {
			p.disks = append(p.disks, profileDisk{8, 3200, DiskInterfaceNVMe})
		}
	default:
		p.bandwidths = []int{100000, 200000}
		p.tpmModes, p.tpmDefault = []string{"tpm_2"}, "tpm_2"
		p.disks = []profileDisk{{1, 480, DiskInterfaceNVMe}}
		switch {
		case suffix == "de":
			p.disks = append(p.disks, profileDisk{16, 15360, DiskInterfaceNVMe})
		case suffix == "d" && slices.Contains(wideProfiles, size):
			p.disks = append(p.disks, profileDisk{8, 7680, DiskInterfaceNVMe})
		case suffix == "d":
			p.disks = append(p.disks, profileDisk{4, 7680, DiskInterfaceNVMe})
		}
	}
	return p
}

// The profile's own little schema: every property is an object with a type.
type (
	fixedInt struct {
		Type  string `json:"type"`
		Value int64  `json:"value"`
	}
	fixedString struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	fixedBool struct {
		Type  string `json:"type"`
		Value bool   `json:"value"`
	}
	bandwidthAnswer struct {
		Type    string `json:"type"`
		Value   int    `json:"value,omitempty"`
		Default int    `json:"default,omitempty"`
		Values  []int  `json:"values,omitempty"`
	}
	enumStrings struct {
		Type   string   `json:"type"`
		Values []string `json:"values"`
	}
	enumDefault struct {
		Default string   `json:"default"`
		Type    string   `json:"type"`
		Values  []string `json:"values"`
	}
	rangeInt struct {
		Max  int    `json:"max"`
		Min  int    `json:"min"`
		Type string `json:"type"`
	}
	profileDiskAnswer struct {
		Quantity   fixedInt    `json:"quantity"`
		Size       fixedInt    `json:"size"`
		Interfaces enumDefault `json:"supported_interface_types"`
	}
	profileAnswer struct {
		Bandwidth              bandwidthAnswer     `json:"bandwidth"`
		ConsoleTypes           enumStrings         `json:"console_types"`
		CPUArchitecture        fixedString         `json:"cpu_architecture"`
		CPUCoreCount           fixedInt            `json:"cpu_core_count"`
		CPUSocketCount         fixedInt            `json:"cpu_socket_count"`
		Disks                  []profileDiskAnswer `json:"disks"`
		Family                 string              `json:"family"`
		Href                   string              `json:"href"`
		Memory                 fixedInt            `json:"memory"`
		Name                   string              `json:"name"`
		NetworkAttachmentCount rangeInt            `json:"network_attachment_count"`
		NetworkInterfaceCount  rangeInt            `json:"network_interface_count"`
		OSArchitecture         enumDefault         `json:"os_architecture"`
		ReservationTerms       enumStrings         `json:"reservation_terms"`
		ResourceType           string              `json:"resource_type"`
		TPMModes               enumDefault         `json:"supported_trusted_platform_module_modes"`
		VNISupported           fixedBool           `json:"virtual_network_interfaces_supported"`
	}
	profileReference struct {
		Href         string `json:"href"`
		Name         string `json:"name"`
		ResourceType string `json:"resource_type"`
	}
)

const profileType = "bare_metal_server_profile"

func (c *call) profileReference(p *profile) profileReference {
	return profileReference{Href: c.href("/bare_metal_server/profiles/" + p.name), Name: p.name, ResourceType: profileType}
}

func (c *call) profileAnswer(p *profile) profileAnswer {
	bandwidth := bandwidthAnswer{Type: "fixed", Value: p.bandwidths[0]}
	if len(p.bandwidths) > 1 {
		bandwidth = bandwidthAnswer{Type: "enum", Default: p.bandwidths[0], Values: p.bandwidths}
	}
	return profileAnswer{
		Bandwidth: bandwidth, ConsoleTypes: enumStrings{"enum", []string{"serial", "vnc"}},
		CPUArchitecture: fixedString{"fixed", "amd64"}, CPUCoreCount: fixedInt{"fixed", int64(p.vcpu / 2)},
		CPUSocketCount: fixedInt{"fixed", int64(p.socketCount)},
		Disks: render(p.disks, func(d profileDisk) profileDiskAnswer {
			return profileDiskAnswer{
				Quantity: fixedInt{"fixed", int64(d.quantity)}, Size: fixedInt{"fixed", d.sizeGB},
				Interfaces: enumDefault{d.interfaceType, "enum", []string{d.interfaceType}},
			}
		}),
		Family: p.family, Href: c.profileReference(p).Href, Memory: fixedInt{"fixed", int64(p.memory)}, Name: p.name,
		NetworkAttachmentCount: rangeInt{maxAttachments, 1, "range"},
		NetworkInterfaceCount:  rangeInt{maxAttachments, 1, "range"},
		OSArchitecture:         enumDefault{"amd64", "enum", []string{"amd64"}},
		ReservationTerms:       enumStrings{"enum", []string{"one_year", "three_year"}}, ResourceType: profileType,
		TPMModes: enumDefault{p.tpmDefault, "enum", p.tpmModes}, VNISupported: fixedBool{"fixed", true},
	}
}

// byProfileName orders profiles as the API does.
var byProfileName = ordering[*profile]{key: func(p *profile) string { return p.name }, seq: (*profile).serial}

func (c *call) listProfiles() (reply, error) {
	items := list(c.s.catalogue.profiles, func(*profile) bool { return true })
	items, meta, err := page(c, items, byProfileName)
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		Profiles []profileAnswer `json:"profiles"`
	}{meta, render(items, c.profileAnswer)}), nil
}

func (c *call) getProfile() (reply, error) {
	p := c.s.catalogue.profiles[c.path("name")]
	if p == nil {
		return reply{}, notFound("bare metal server profile", c.path("name"))
	}
	return ok(c.profileAnswer(p)), nil
}
