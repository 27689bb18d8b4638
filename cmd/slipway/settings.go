package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/pxe/nodeconfig"
)

// dataFlags say where Slipway keeps what it must not lose.
type dataFlags struct {
	DataDir  string `help:"Directory for the embedded database, keys and artifacts." default:"slipway-data" env:"SLIPWAY_DATA_DIR" type:"path"`
	Database string `help:"Database: postgres://… or sqlite:PATH. Default: SQLite in the data directory." env:"SLIPWAY_DATABASE"`
}

func (d dataFlags) database() string {
	if d.Database != "" {
		return d.Database
	}
	return "sqlite:" + filepath.Join(d.DataDir, "slipway.db")
}

// ibmFlags are the settings of the IBM VPC provider.
type ibmFlags struct {
	Region           string        `help:"Region; without it the provider is off." env:"SLIPWAY_IBM_REGION"`
	Zone             string        `help:"Zone of orders that name none." env:"SLIPWAY_IBM_ZONE"`
	VPC              string        `name:"vpc" help:"VPC, name or id." env:"SLIPWAY_IBM_VPC"`
	ManagementSubnet string        `help:"Management subnet of orders that name none." env:"SLIPWAY_IBM_MANAGEMENT_SUBNET"`
	WorkloadSubnets  []string      `help:"Workload subnets of orders that name none." env:"SLIPWAY_IBM_WORKLOAD_SUBNETS"`
	ManagementRange  string        `help:"Management addresses of orders that name none, FIRST-LAST, several with commas between them; default: any of the subnet." env:"SLIPWAY_IBM_MANAGEMENT_RANGE"`
	AHVRange         string        `name:"ahv-range" help:"Hypervisor addresses, as --ibm-management-range." env:"SLIPWAY_IBM_AHV_RANGE"`
	CVMRange         string        `name:"cvm-range" help:"Controller VM addresses, as --ibm-management-range." env:"SLIPWAY_IBM_CVM_RANGE"`
	GuestAddresses   string        `help:"Hypervisor and controller VM addresses: auto makes those with a range or in the order, on makes both, off none." enum:"auto,on,off" default:"auto" env:"SLIPWAY_IBM_GUEST_ADDRESSES"`
	ServerQuota      int           `help:"Bare metal servers that the account may have; negative: not known." default:"25" env:"SLIPWAY_IBM_SERVER_QUOTA"`
	ResourceGroup    string        `help:"Resource group's id; default: the account's." env:"SLIPWAY_IBM_RESOURCE_GROUP"`
	SecurityGroups   []string      `help:"Security groups, names or ids." env:"SLIPWAY_IBM_SECURITY_GROUPS"`
	SSHKeys          []string      `name:"ssh-keys" help:"SSH keys given to the server's initialization." env:"SLIPWAY_IBM_SSH_KEYS"`
	DNSInstance      string        `name:"dns-instance" help:"DNS Services instance id." env:"SLIPWAY_IBM_DNS_INSTANCE"`
	DNSZone          string        `name:"dns-zone" help:"DNS zone, name or id." env:"SLIPWAY_IBM_DNS_ZONE"`
	Prefix           string        `help:"Begins every name made in the account." default:"slw-" env:"SLIPWAY_IBM_PREFIX"`
	Auth             string        `help:"Authentication." enum:"apikey,trusted_profile,instance,none" default:"apikey" env:"SLIPWAY_IBM_AUTH"`
	APIKey           string        `name:"api-key" help:"API key (better: --ibm-api-key-file)." env:"SLIPWAY_IBM_API_KEY"`
	APIKeyFile       string        `name:"api-key-file" help:"File with the API key." env:"SLIPWAY_IBM_API_KEY_FILE" type:"path"`
	TrustedProfile   string        `help:"Trusted profile's id." env:"SLIPWAY_IBM_TRUSTED_PROFILE"`
	VPCURL           string        `name:"vpc-url" help:"VPC service; default: IBM's for the region." env:"SLIPWAY_IBM_VPC_URL"`
	DNSURL           string        `name:"dns-url" help:"DNS service; default: IBM's." env:"SLIPWAY_IBM_DNS_URL"`
	IAMURL           string        `name:"iam-url" help:"IAM service; default: IBM's." env:"SLIPWAY_IBM_IAM_URL"`
	MetadataURL      string        `help:"Instance metadata service; default: IBM's." env:"SLIPWAY_IBM_METADATA_URL"`
	ComputeTokenFile string        `help:"Compute resource token for a trusted profile; default: the SDK's paths." env:"SLIPWAY_IBM_COMPUTE_TOKEN_FILE" type:"path"`
	APIVersion       string        `name:"api-version" help:"Date of the VPC API's behaviour, YYYY-MM-DD; default: the SDK's." env:"SLIPWAY_IBM_API_VERSION"`
	DoubtWindow      time.Duration `help:"How long a create without an answer is looked for before it is asked again." default:"60s" env:"SLIPWAY_IBM_DOUBT_WINDOW"`
}

func (f ibmFlags) config() (ibmvpc.Config, error) {
	key := f.APIKey
	if f.APIKeyFile != "" {
		raw, err := os.ReadFile(f.APIKeyFile)
		if err != nil {
			return ibmvpc.Config{}, fmt.Errorf("reading the API key: %w", err)
		}
		key = trimLine(string(raw))
	}
	return ibmvpc.Config{
		Region: f.Region, Zone: f.Zone, VPC: f.VPC, ManagementSubnet: f.ManagementSubnet, WorkloadSubnets: f.WorkloadSubnets,
		ManagementRange: f.ManagementRange, AHVRange: f.AHVRange, CVMRange: f.CVMRange, GuestAddresses: ibmvpc.Guests(f.GuestAddresses), ServerQuota: f.ServerQuota,
		ResourceGroup: f.ResourceGroup, SecurityGroups: f.SecurityGroups, SSHKeys: f.SSHKeys, DNSInstance: f.DNSInstance, DNSZone: f.DNSZone,
		Prefix: f.Prefix, Auth: ibmvpc.Auth(f.Auth), APIKey: ibmvpc.Secret(key), TrustedProfile: f.TrustedProfile,
		VPCURL: f.VPCURL, DNSURL: f.DNSURL, IAMURL: f.IAMURL, MetadataURL: f.MetadataURL,
		ComputeTokenFile: f.ComputeTokenFile, APIVersion: f.APIVersion, DoubtWindow: f.DoubtWindow,
	}, nil
}

// installFlags say how machines are installed.
type installFlags struct {
	Kernel           string            `help:"Artifact: kernel of the install environment." default:"vmlinuz" env:"SLIPWAY_KERNEL"`
	Initrd           string            `help:"Artifact: initial ramdisk of the install environment." default:"initrd.img" env:"SLIPWAY_INITRD"`
	Environment      string            `name:"install-environment" help:"Directory with an install environment as make installer builds it; it is served unless there are artifacts of one's own under its names." default:"/usr/share/slipway/installer" env:"SLIPWAY_INSTALL_ENVIRONMENT" type:"path"`
	KernelArgs       []string          `help:"More kernel arguments." default:"console=tty0,console=ttyS0" env:"SLIPWAY_KERNEL_ARGS"`
	Installer        string            `help:"Artifact: the installer of nodes that name none." default:"installer.sh" env:"SLIPWAY_INSTALLER"`
	InstallerTimeout time.Duration     `help:"Longest run of the installer." default:"55m" env:"SLIPWAY_INSTALLER_TIMEOUT"`
	Images           []string          `help:"Artifacts that every node downloads; default: all images in the catalogue." env:"SLIPWAY_IMAGES"`
	StorageFile      string            `help:"JSON file: storage configuration by server profile." env:"SLIPWAY_STORAGE_FILE" type:"path"`
	AccessUser       string            `help:"User that Slipway logs in as." default:"root" env:"SLIPWAY_ACCESS_USER"`
	AccessKeys       []string          `help:"More public keys (OpenSSH lines) to install on nodes." sep:"none" env:"SLIPWAY_ACCESS_KEYS"`
	SSHPort          int               `name:"ssh-port" help:"SSH port of installed nodes." default:"22" env:"SLIPWAY_SSH_PORT"`
	CVMMemoryGB      int               `name:"cvm-memory-gb" help:"Memory of the controller VM, GiB." default:"48" env:"SLIPWAY_CVM_MEMORY_GB"`
	CVMVCPUs         int               `name:"cvm-vcpus" help:"Processors of the controller VM." default:"16" env:"SLIPWAY_CVM_VCPUS"`
	CVMSSHPort       int               `name:"cvm-ssh-port" help:"SSH port of controller VMs." default:"22" env:"SLIPWAY_CVM_SSH_PORT"`
	CVMPrismPort     int               `name:"cvm-prism-port" help:"Port of Prism on controller VMs and on clusters' own addresses." default:"9440" env:"SLIPWAY_CVM_PRISM_PORT"`
	DNSServers       []string          `name:"dns-servers" help:"Name servers of nodes when nothing else names any." env:"SLIPWAY_DNS_SERVERS"`
	Domain           string            `help:"DNS domain of nodes." env:"SLIPWAY_DOMAIN"`
	Heartbeat        time.Duration     `help:"Signs of life from installing machines." default:"30s" env:"SLIPWAY_HEARTBEAT"`
	Slots            int               `help:"Deployments that may run at once." default:"25" env:"SLIPWAY_SLOTS"`
	DownloadSlots    int               `help:"Machines that may download their images at once; others wait in order." default:"8" env:"SLIPWAY_DOWNLOAD_SLOTS"`
	DownloadBudget   int64             `help:"Bytes of image downloads that may be under way at once; 0 is no bound." default:"0" env:"SLIPWAY_DOWNLOAD_BUDGET"`
	ObserveEvery     time.Duration     `help:"Pause between looks at a server that has not booted yet." default:"10s" env:"SLIPWAY_OBSERVE_EVERY"`
	ProbeEvery       time.Duration     `help:"Pause between attempts to log in to an installed node." default:"5s" env:"SLIPWAY_PROBE_EVERY"`
	StaleAfter       time.Duration     `help:"A machine silent for this long is stale." default:"2m" env:"SLIPWAY_STALE_AFTER"`
	Deadline         map[string]string `help:"Deadlines by phase, or by server profile and phase, for instance image_download=90m;bx2d-metal-96x384/installation=2h." env:"SLIPWAY_DEADLINE"`
}

// storage gives the disk layout of each profile: IBM's documented ones, and
// what the file says.
func (f installFlags) storage() (map[string]nodeconfig.Storage, error) {
	const gb = 1000 * 1000 * 1000
	out := map[string]nodeconfig.Storage{}
	for profile, l := range ibmvpc.Layouts() {
		out[profile] = nodeconfig.Storage{
			// RAID and formatting take a little; nothing else on the server is of about this size.
			BootDisk:   nodeconfig.Disk{MinSize: l.BootGB * gb * 9 / 10, MaxSize: l.BootGB * gb * 11 / 10},
			DataDrives: []nodeconfig.Disk{{Type: nodeconfig.DiskNVMe, MinSize: l.DataGB * gb * 9 / 10, MaxSize: l.DataGB * gb * 11 / 10, Count: l.DataDisk}},
		}
	}
	if f.StorageFile == "" {
		return out, nil
	}
	raw, err := os.ReadFile(f.StorageFile)
	if err != nil {
		return nil, fmt.Errorf("reading storage configurations: %w", err)
	}
	var more map[string]nodeconfig.Storage
	if err := json.Unmarshal(raw, &more); err != nil {
		return nil, fmt.Errorf("storage configurations in %s: %w", f.StorageFile, err)
	}
	for profile, s := range more {
		out[profile] = s
	}
	return out, nil
}

func prefixes(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxies: %q is no network such as 10.0.0.0/8", s)
		}
		out = append(out, p)
	}
	return out, nil
}
