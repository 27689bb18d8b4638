package vpcsim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Formats of user data (Image.user_data_format).
const (
	FormatCloudInit     = "cloud_init"
	FormatESXiKickstart = "esxi_kickstart"
	FormatIPXE          = "ipxe"
)

// Statuses of images that the simulated catalogue has.
const (
	imageAvailable  = "available"
	imageDeprecated = "deprecated"
	imageObsolete   = "obsolete"
)

// IPXEImage is the name of the newest simulated stock image for network boot, the one that IBM had in 2024. Names and
// ids change over time and by region: look for user_data_format instead.
const IPXEImage = "ibm-ipxe-20240326-amd64-1"

type operatingSystem struct {
	name    string
	seq     int64
	display string
	family  string
	vendor  string
	version string
	format  string
}

func (o *operatingSystem) serial() int64 { return o.seq }

type image struct {
	base
	name      string
	system    *operatingSystem
	status    string
	bareMetal bool // allowed_use.bare_metal_server
	sizeGB    int
}

// systemSeries is one line of operating systems, from which images are made as IBM names its own.
type systemSeries struct {
	vendor, family, prefix string
	versions               []string
	format                 string
	bareMetal              bool
}

// stockSeries is a catalogue of the size that matters: several pages, the network boot images not on the first.
var stockSeries = []systemSeries{
	{"CentOS", "CentOS", "centos-stream", []string{"8", "9", "10"}, FormatCloudInit, true},
	{"Debian", "Debian GNU/Linux", "debian", []string{"11", "12", "13"}, FormatCloudInit, true},
	{"Fedora", "Fedora CoreOS", "fedora-coreos", []string{"39", "40", "41"}, FormatCloudInit, false},
	{"Red Hat", "Red Hat Enterprise Linux", "red", []string{"8-8", "8-10", "9-2", "9-4", "9-6", "10-0"}, FormatCloudInit, true},
	{"Rocky Linux", "Rocky Linux", "rocky-linux", []string{"8-10", "9-4", "9-6"}, FormatCloudInit, true},
	{"SUSE", "SLES", "sles", []string{"12-5", "15-5", "15-6", "15-7"}, FormatCloudInit, true},
	{"Canonical", "Ubuntu Linux", "ubuntu", []string{"20-04", "22-04", "24-04"}, FormatCloudInit, true},
	{"Microsoft", "Windows Server", "windows-server", []string{"2016", "2019", "2022", "2025"}, FormatCloudInit, true},
	{"VMware", "VMware ESXi", "esxi", []string{"7", "8"}, FormatESXiKickstart, true},
}

func (s *Simulator) fillImages() {
	for _, series := range stockSeries {
		for _, version := range series.versions {
			system := s.addSystem(series, version)
			for revision := 1; revision <= 3; revision++ {
				status := imageDeprecated
				if revision == 3 {
					status = imageAvailable
				}
				name := fmt.Sprintf("ibm-%s-amd64-%d", strings.TrimSuffix(system.name, "-amd64"), revision)
				s.addImage(name, "", system, status, series.bareMetal, date(2023+revision, time.March, 1))
			}
		}
	}
	// IBM's family string for this system is not documented; this one is the simulator's.
	system := s.addSystem(systemSeries{vendor: "iPXE", family: "iPXE", prefix: "ipxe", format: FormatIPXE}, "20240326")
	s.addImage("ibm-ipxe-20230927-amd64-1", "", system, imageObsolete, true, date(2023, time.September, 27))
	s.addImage("ibm-ipxe-20231204-amd64-1", "", system, imageDeprecated, true, date(2023, time.December, 4))
	id := ""
	if s.opts.Region == DefaultRegion {
		id = "r006-bfef819d-11af-4252-9bd3-bae1d9dd8e1d" // seen in us-south
	}
	s.addImage(IPXEImage, id, system, imageAvailable, true, date(2024, time.March, 26))
	for i, name := range s.opts.BootImages {
		s.addImage(name, "", system, imageAvailable, true, date(2024, time.March, 25-i))
	}
}

func (s *Simulator) addSystem(series systemSeries, version string) *operatingSystem {
	system := &operatingSystem{
		name: series.prefix + "-" + version + "-amd64", seq: s.next(),
		display: series.family + " " + version + " (amd64)", family: series.family, vendor: series.vendor,
		version: strings.ReplaceAll(version, "-", "."), format: series.format,
	}
	s.catalogue.systems[system.name] = system
	return system
}

func (s *Simulator) addImage(name, id string, system *operatingSystem, status string, bareMetal bool, made timestamp) {
	if id == "" {
		id = s.fixedID(s.regionPrefix(), "image", name)
	}
	img := &image{base: s.newBase(id), name: name, system: system, status: status, bareMetal: bareMetal, sizeGB: 1}
	img.created = made
	s.catalogue.images[id] = img
}

type operatingSystemAnswer struct {
	AllowUserImageCreation bool   `json:"allow_user_image_creation"`
	Architecture           string `json:"architecture"`
	DedicatedHostOnly      bool   `json:"dedicated_host_only"`
	DisplayName            string `json:"display_name"`
	Family                 string `json:"family"`
	Href                   string `json:"href"`
	Name                   string `json:"name"`
	UserDataFormat         string `json:"user_data_format"`
	Vendor                 string `json:"vendor"`
	Version                string `json:"version"`
}

func (c *call) systemAnswer(o *operatingSystem) operatingSystemAnswer {
	return operatingSystemAnswer{
		AllowUserImageCreation: o.format != FormatIPXE, Architecture: "amd64", DisplayName: o.display, Family: o.family,
		Href: c.href("/operating_systems/" + o.name), Name: o.name, UserDataFormat: o.format, Vendor: o.vendor,
		Version: o.version,
	}
}

func (c *call) listSystems() (reply, error) {
	items := list(c.s.catalogue.systems, func(*operatingSystem) bool { return true })
	items, meta, err := page(c, items, bySeq[*operatingSystem]())
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		Systems []operatingSystemAnswer `json:"operating_systems"`
	}{meta, render(items, c.systemAnswer)}), nil
}

func (c *call) getSystem() (reply, error) {
	o := c.s.catalogue.systems[c.path("name")]
	if o == nil {
		return reply{}, notFound("operating system", c.path("name"))
	}
	return ok(c.systemAnswer(o)), nil
}

type imageAnswer struct {
	AllowedUse      allowedUse             `json:"allowed_use"`
	CatalogOffering catalogOffering        `json:"catalog_offering"`
	CreatedAt       timestamp              `json:"created_at"`
	CRN             string                 `json:"crn"`
	Encryption      string                 `json:"encryption"`
	File            imageFile              `json:"file"`
	Href            string                 `json:"href"`
	ID              string                 `json:"id"`
	MinimumSize     int                    `json:"minimum_provisioned_size"`
	Name            string                 `json:"name"`
	OperatingSystem operatingSystemAnswer  `json:"operating_system"`
	ResourceGroup   resourceGroupReference `json:"resource_group"`
	ResourceType    string                 `json:"resource_type"`
	Status          string                 `json:"status"`
	StatusReasons   []struct{}             `json:"status_reasons"`
	UserDataFormat  string                 `json:"user_data_format"`
	Visibility      string                 `json:"visibility"`
	Zones           []zoneReference        `json:"zones"`
}

// allowedUse holds expressions over the properties of what uses the image; the simulated ones are constants.
type allowedUse struct {
	APIVersion      string `json:"api_version"`
	BareMetalServer string `json:"bare_metal_server"`
	Instance        string `json:"instance"`
}

type catalogOffering struct {
	Managed bool `json:"managed"`
}

type imageFile struct {
	Checksums struct {
		SHA256 string `json:"sha256"`
	} `json:"checksums"`
	Size int `json:"size"`
}

const publicVisibility = "public"

func (c *call) imageReference(img *image) reference {
	return reference{
		CRN: crn(c.s.opts.Region, "image", img.id), Href: c.href("/images/" + img.id), ID: img.id, Name: img.name,
		ResourceType: "image",
	}
}

func (c *call) imageAnswer(img *image) imageAnswer {
	ref := c.imageReference(img)
	sum := sha256.Sum256([]byte(img.name)) // there is no file behind a simulated image, only a stable checksum
	file := imageFile{Size: img.sizeGB}
	file.Checksums.SHA256 = hex.EncodeToString(sum[:])
	return imageAnswer{
		AllowedUse: allowedUse{
			APIVersion: "true", BareMetalServer: fmt.Sprint(img.bareMetal), Instance: fmt.Sprint(img.system.format == FormatCloudInit),
		},
		CreatedAt: img.created, CRN: ref.CRN, Encryption: "none", File: file, Href: ref.Href, ID: img.id,
		MinimumSize: 100, Name: img.name, OperatingSystem: c.systemAnswer(img.system), ResourceGroup: c.resourceGroup(),
		ResourceType: "image", Status: img.status, StatusReasons: []struct{}{}, UserDataFormat: img.system.format,
		Visibility: publicVisibility, Zones: render(c.s.opts.Zones, c.zone),
	}
}

// matchesAny applies a filter that takes several values separated by commas.
func (c *call) matchesAny(filter, value string) bool {
	want, given := c.query(filter)
	return !given || slices.Contains(strings.Split(want, ","), value)
}

func (c *call) listImages() (reply, error) {
	items := list(c.s.catalogue.images, func(img *image) bool {
		return c.matches("resource_group.id", c.s.catalogue.resourceGroup.id) && c.matches("name", img.name) &&
			c.matchesAny("status", img.status) && c.matches("visibility", publicVisibility) &&
			c.matchesAny("user_data_format", img.system.format)
	})
	items, meta, err := page(c, items, bySeq[*image]())
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		Images []imageAnswer `json:"images"`
	}{meta, render(items, c.imageAnswer)}), nil
}

func (c *call) imageByPath() (*image, error) {
	img := c.s.catalogue.images[c.path("id")]
	if img == nil {
		return nil, notFound("image", c.path("id"))
	}
	return img, nil
}

func (c *call) getImage() (reply, error) {
	img, err := c.imageByPath()
	if err != nil {
		return reply{}, err
	}
	return ok(c.imageAnswer(img)), nil
}

// listImageProfiles lists the profiles that may use the image; every simulated profile is amd64 as every image is.
func (c *call) listImageProfiles() (reply, error) {
	img, err := c.imageByPath()
	if err != nil {
		return reply{}, err
	}
	items := list(c.s.catalogue.profiles, func(*profile) bool { return img.bareMetal })
	items, meta, err := page(c, items, byProfileName)
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		Profiles []profileReference `json:"bare_metal_server_profiles"`
	}{meta, render(items, c.profileReference)}), nil
}
