package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// claimSubnets finds two subnets for a simulated account that no other
// simulator on this host uses: machines listen on their own addresses, so two
// simulators with the same ones would answer for each other. The claim is a
// listener on the management subnet's gateway, an address that no machine ever
// gets; the kernel gives it free when the process ends, however it ends.
func claimSubnets(ctx context.Context) ([]vpcsim.SubnetConfig, io.Closer, error) {
	for n := 0; n < 200; n += 2 {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf("127.64.%d.1:%d", n, demoSSHPort))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("addresses of simulated machines: %w", err)
		}
		return []vpcsim.SubnetConfig{
			{Name: vpcsim.DefaultManagementSubnet, CIDR: fmt.Sprintf("127.64.%d.0/24", n)},
			{Name: vpcsim.DefaultWorkloadSubnet, CIDR: fmt.Sprintf("127.64.%d.0/24", n+1)},
		}, l, nil
	}
	return nil, nil, errors.New("addresses of simulated machines: all are in use by other simulators")
}

// virtualGateway is where virtual machines see this host.
const virtualGateway = "10.64.0.1"

// virtualSubnets are the subnets of virtual machines. Each machine has a network
// of its own, so that any number of simulators may use the same addresses.
func virtualSubnets() []vpcsim.SubnetConfig {
	return []vpcsim.SubnetConfig{
		{Name: vpcsim.DefaultManagementSubnet, CIDR: "10.64.0.0/24"},
		{Name: vpcsim.DefaultWorkloadSubnet, CIDR: "10.64.1.0/24"},
	}
}
