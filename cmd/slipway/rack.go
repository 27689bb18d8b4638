package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/rack"
)

// rackFlags are the settings of machines of one's own.
type rackFlags struct {
	ControllerNetworks []string `help:"Networks (CIDR) that board management controllers may be in; none: machines are switched by people." env:"SLIPWAY_RACK_CONTROLLER_NETWORKS"`
	SecretsDir         string   `help:"Directory with the passwords of controllers, a file each (mode 600), and their certificates; default: secrets in the data directory." env:"SLIPWAY_RACK_SECRETS_DIR" type:"path"`
	Networks           []string `help:"Networks of the machines, CIDR or CIDR=GATEWAY: netmask and gateway of orders that give none." env:"SLIPWAY_RACK_NETWORKS"`
}

// config is the provider's, without its journal.
func (f rackFlags) config(data dataFlags, now func() time.Time) (rack.Config, error) {
	out := rack.Config{Now: now}
	for _, s := range f.ControllerNetworks {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return out, fmt.Errorf("--rack-controller-networks: %q is no network in CIDR notation", s)
		}
		out.Controllers = append(out.Controllers, p.Masked())
	}
	dir := f.SecretsDir
	if dir == "" {
		dir = filepath.Join(data.DataDir, "secrets")
	}
	out.Secrets = rack.SecretFiles{Dir: dir}
	var err error
	out.Networks, err = f.subnets()
	return out, err
}

func (f rackFlags) subnets() ([]deploy.Subnet, error) {
	var out []deploy.Subnet
	for _, s := range f.Networks {
		cidr, gateway, given := strings.Cut(s, "=")
		p, err := netip.ParsePrefix(cidr)
		if err != nil || !p.Addr().Is4() {
			return nil, fmt.Errorf("--rack-networks: %q is no IPv4 network in CIDR notation", cidr)
		}
		subnet := deploy.Subnet{Prefix: p.Masked()}
		if given {
			if subnet.Gateway, err = netip.ParseAddr(gateway); err != nil || !subnet.Prefix.Contains(subnet.Gateway) {
				return nil, fmt.Errorf("--rack-networks: the gateway %q is not in %s", gateway, subnet.Prefix)
			}
		}
		out = append(out, subnet)
	}
	return out, nil
}
