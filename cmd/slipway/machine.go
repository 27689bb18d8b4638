package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/client"
)

// The providers that an order can name.
const (
	orderIBM  = "ibm_vpc"
	orderRack = "rack"
)

// machineFlags describe what is ordered, for plan and deploy alike. What is
// about a rack machine is refused for a server of IBM Cloud, and the other way
// round: a flag that has no effect would be taken for one that has.
type machineFlags struct {
	Names            []string   `arg:"" optional:"" help:"Names of the nodes."`
	File             string     `short:"f" help:"Rack: file with machines, instead of names and flags of one: a line each with name, MAC address or serial number, management IP and, if it has one, its controller's URL, apart by commas, tabs or spaces; or a JSON list of objects with name, mac, serial, management_ip, netmask, gateway, controller. - reads standard input." group:"machine"`
	Provider         string     `help:"Who owns the machine: ibm_vpc or rack." enum:"ibm_vpc,rack" default:"ibm_vpc" group:"machine"`
	Installer        string     `help:"Installer artifact; default: the server's setting." group:"machine"`
	ManagementIP     string     `name:"management-ip" help:"Management address; IBM: one is chosen without it." group:"machine"`
	DNSServers       []string   `name:"dns-servers" help:"DNS servers, at most 3; default: the network's." group:"machine"`
	Profile          string     `help:"IBM: server profile." group:"machine"`
	Zone             string     `help:"IBM: zone; default: the server's setting." group:"machine"`
	ManagementSubnet string     `help:"IBM: management subnet, name or id." group:"machine"`
	WorkloadSubnets  []string   `help:"IBM: workload subnets, names or ids." group:"machine"`
	Image            string     `help:"IBM: image for network boot, name or id; default: the newest." group:"machine"`
	Keys             []string   `name:"key" help:"IBM: SSH key given to the server's initialization, name or id, may be repeated; default: the server's setting. A network boot ignores it." group:"machine" sep:"none"`
	SecurityGroups   []string   `name:"security-group" help:"IBM: security group of every interface, name or id, may be repeated; default: the server's setting." group:"machine" sep:"none"`
	MAC              string     `name:"mac" help:"Rack: MAC address of the boot interface." group:"machine"`
	Serial           string     `help:"Rack: serial number in the firmware; with it alone the MAC address is learnt at the first boot." group:"machine"`
	Netmask          string     `help:"Rack: netmask, dotted or as a prefix length; default: the server's setting." group:"machine"`
	Gateway          string     `help:"Rack: gateway; default: the server's setting." group:"machine"`
	Power            powerFlags `embed:"" prefix:"power-" group:"machine"`
}

// powerFlags are how a rack machine is switched. A password is not among them:
// the server holds it, under a name.
type powerFlags struct {
	URL          string `name:"url" help:"Rack: Redfish controller, https://10.0.9.20; without it a person switches the machine."`
	Username     string `help:"Rack: the controller's user."`
	PasswordRef  string `help:"Rack: name of the secret on the server that is the password."`
	SystemID     string `name:"system-id" help:"Rack: which system of a controller with several."`
	CAFile       string `name:"ca-file" help:"Rack: name of a file beside the server's secrets with the controller's certificate."`
	InsecureTLS  bool   `name:"insecure-tls" help:"Rack: accept any certificate of the controller."`
	BootFrom     string `help:"Rack: what it is told to boot from: pxe (default) or http." enum:",pxe,http" default:""`
	BootMode     string `help:"Rack: firmware mode of that boot: uefi or legacy; default: as it is set." enum:",uefi,legacy" default:""`
	OffAtRelease bool   `help:"Rack: a cleanup switches the machine off."`
}

// check refuses flags that contradict each other, all at once.
func (f machineFlags) check() error {
	var wrong []string
	not := func(provider string, given map[string]bool) {
		for _, name := range slices.Sorted(maps.Keys(given)) {
			if given[name] {
				wrong = append(wrong, fmt.Sprintf("--%s is not for --provider=%s", name, provider))
			}
		}
	}
	if f.Provider == orderRack {
		not(orderRack, map[string]bool{"profile": f.Profile != "", "zone": f.Zone != "", "management-subnet": f.ManagementSubnet != "", "workload-subnets": len(f.WorkloadSubnets) > 0,
			"image": f.Image != "", "key": len(f.Keys) > 0, "security-group": len(f.SecurityGroups) > 0})
		wrong = append(wrong, f.checkRack()...)
	} else {
		if len(f.Names) == 0 {
			wrong = append(wrong, "the nodes' names are needed")
		}
		not(orderIBM, map[string]bool{"file": f.File != "", "mac": f.MAC != "", "serial": f.Serial != "", "netmask": f.Netmask != "", "gateway": f.Gateway != "", "power-…": f.Power != powerFlags{}})
		if f.Profile == "" {
			wrong = append(wrong, "--profile is needed")
		}
		if f.ManagementIP != "" && len(f.Names) > 1 {
			wrong = append(wrong, "--management-ip is one machine's")
		}
	}
	if len(wrong) > 0 {
		return exit{exitUsage, errors.New(strings.Join(wrong, "; "))}
	}
	return nil
}

// checkRack tells what is wrong with the flags of machines of a rack: they are
// about one machine, or they name a file of several.
func (f machineFlags) checkRack() (wrong []string) {
	if f.File != "" {
		if len(f.Names) > 0 || f.MAC+f.Serial+f.ManagementIP+f.Power.URL != "" {
			wrong = append(wrong, "with --file names, --mac, --serial, --management-ip and --power-url stand in the file")
		}
		return wrong
	}
	if len(f.Names) != 1 {
		wrong = append(wrong, "one name is needed; several machines of a rack, each with an address of its own, are ordered with --file")
	}
	if f.MAC == "" && f.Serial == "" {
		wrong = append(wrong, "--mac or --serial is needed")
	}
	if f.ManagementIP == "" {
		wrong = append(wrong, "--management-ip is needed")
	}
	if p := f.Power; p.URL == "" && p != (powerFlags{}) {
		wrong = append(wrong, "--power-url is needed with other settings of --power-…")
	}
	return wrong
}

// order is what plan asks about a node, the first of the flags.
func (f machineFlags) order() client.Order {
	o := client.Order{
		Node: client.OrderNode{Name: f.Names[0], Profile: f.Profile, Provider: f.Provider, Zone: f.Zone, Installer: f.Installer, Image: f.Image, Keys: f.Keys, MAC: f.MAC, Serial: f.Serial},
		Network: client.OrderNetwork{
			SecurityGroups:   f.SecurityGroups,
			ManagementSubnet: f.ManagementSubnet, WorkloadSubnets: f.WorkloadSubnets, ManagementIP: f.ManagementIP,
			Netmask: f.Netmask, Gateway: f.Gateway, DNSServers: f.DNSServers,
		},
	}
	if p := f.Power; p.URL != "" {
		o.Node.Power = &client.Power{
			Type: "redfish", URL: p.URL, Username: p.Username, PasswordRef: p.PasswordRef, SystemID: p.SystemID, CAFile: p.CAFile,
			InsecureTLS: p.InsecureTLS, BootFrom: p.BootFrom, BootMode: p.BootMode, OffAtRelease: p.OffAtRelease,
		}
	}
	return o
}

// spec is what deploy asks for.
func (f machineFlags) spec() client.DeploySpec {
	if f.Provider != orderRack {
		spec := &client.IbmVpcSpec{
			ServerProfile: f.Profile, Zone: optional(f.Zone), ManagementSubnet: optional(f.ManagementSubnet), WorkloadSubnets: f.WorkloadSubnets, Installer: optional(f.Installer),
			Image: optional(f.Image), Keys: f.Keys, SecurityGroups: f.SecurityGroups,
		}
		if f.ManagementIP != "" || len(f.DNSServers) > 0 {
			spec.Network = &client.NetworkInput{ManagementIp: optional(f.ManagementIP), DnsServers: f.DNSServers}
		}
		return client.DeploySpec{IbmVpc: spec}
	}
	spec := &client.RackSpec{
		Mac: f.MAC, Serial: f.Serial, ManagementIp: f.ManagementIP, Installer: optional(f.Installer),
		Netmask: optional(f.Netmask), Gateway: optional(f.Gateway), DnsServers: f.DNSServers,
	}
	if p := f.Power; p.URL != "" {
		spec.Power = &client.RackPowerInput{
			Type: client.RackPowerTypeRedfish, Url: &p.URL, Username: optional(p.Username), PasswordRef: optional(p.PasswordRef), SystemId: optional(p.SystemID),
			CaFile: optional(p.CAFile), InsecureTls: &p.InsecureTLS, OffAtRelease: &p.OffAtRelease,
		}
		if p.BootFrom != "" {
			from := client.RackBootFrom(strings.ToUpper(p.BootFrom))
			spec.Power.BootFrom = &from
		}
		if p.BootMode != "" {
			mode := client.RackBootMode(strings.ToUpper(p.BootMode))
			spec.Power.BootMode = &mode
		}
	}
	return client.DeploySpec{Rack: spec}
}
