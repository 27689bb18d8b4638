package vpcsim

import (
	"testing"
	"time"

	"github.com/IBM/vpc-go-sdk/vpcv1"
	"github.com/stretchr/testify/require"
)

func zoneNamed(name string) *vpcv1.ZoneIdentity { return &vpcv1.ZoneIdentity{Name: &name} }

func TestOptionsRefused(t *testing.T) {
	subnet := func(s ...SubnetConfig) Options { return Options{Subnets: s} }
	for name, opts := range map[string]Options{
		"outside the simulated range": subnet(SubnetConfig{Name: "a", CIDR: "10.0.0.0/24"}),
		"host bits":                   subnet(SubnetConfig{Name: "a", CIDR: "127.64.0.1/24"}),
		"too small":                   subnet(SubnetConfig{Name: "a", CIDR: "127.64.0.0/30"}),
		"too large":                   subnet(SubnetConfig{Name: "a", CIDR: "127.0.0.0/8"}),
		"no network":                  subnet(SubnetConfig{Name: "a", CIDR: "x"}),
		"overlap":                     subnet(SubnetConfig{Name: "a", CIDR: "127.64.0.0/24"}, SubnetConfig{Name: "b", CIDR: "127.64.0.128/25"}),
		"unknown zone":                subnet(SubnetConfig{Name: "a", CIDR: "127.64.0.0/24", Zone: "z"}),
		"unknown VPC":                 subnet(SubnetConfig{Name: "a", CIDR: "127.64.0.0/24", VPC: "v"}),
		"bad key":                     {SSHKeys: []KeyConfig{{Name: "a", PublicKey: "x"}}},
	} {
		_, err := New(opts)
		require.Error(t, err, name)
	}
}

// Ids of configured things are the same in every run, so that they can be written in a configuration.
func TestConfiguredIDsAreStable(t *testing.T) {
	a, b := newEnv(t, Options{}), newEnv(t, Options{})
	require.Equal(t, a.subnetID(DefaultManagementSubnet), b.subnetID(DefaultManagementSubnet))
	require.Equal(t, a.vpcID(DefaultVPC), b.vpcID(DefaultVPC))
	require.Equal(t, a.zoneID(), b.zoneID())
	require.Equal(t, a.imageID(IPXEImage), b.imageID(IPXEImage))
	require.NotEqual(t, *a.mustServer("node").ID, *b.mustServer("node").ID)
}

func TestAnotherRegionAndZones(t *testing.T) {
	e := newEnv(t, Options{
		Region: "eu-de", Zones: []string{"eu-de-1", "eu-de-2"},
		Subnets: []SubnetConfig{
			{Name: DefaultManagementSubnet, CIDR: "127.64.0.0/24", Zone: "eu-de-2"}, {Name: "other", CIDR: "127.64.1.0/24", Zone: "eu-de-1"},
		},
	})
	zones, _, err := e.vpc.ListRegionZones(e.vpc.NewListRegionZonesOptions("eu-de"))
	require.NoError(t, err)
	require.Len(t, zones.Zones, 2)
	subnets, _, err := e.vpc.ListSubnets(e.vpc.NewListSubnetsOptions().SetZoneName("eu-de-2"))
	require.NoError(t, err)
	require.Len(t, subnets.Subnets, 1)
	_, resp, err := e.server("node", *e.mustVNI("node").ID, func(p *serverProto) { p.Zone = zoneNamed("eu-de-1") })
	refused(t, 400, codeZoneInconsistency, resp, err)
	_, _, err = e.vpc.GetRegion(e.vpc.NewGetRegionOptions("us-south"))
	require.ErrorContains(t, err, "not found")
	_, _, err = e.server("node", *e.mustVNI("again").ID, func(p *serverProto) { p.Zone = zoneNamed("eu-de-2") })
	require.NoError(t, err)
}

func TestProfilesAreIBMs(t *testing.T) {
	e := newEnv(t, Options{})
	for name, want := range map[string][]profileDisk{
		"bx2-metal-96x384":   {{1, 960, DiskInterfaceSATA}},
		"bx2d-metal-96x384":  {{1, 960, DiskInterfaceSATA}, {8, 3200, DiskInterfaceNVMe}},
		"cx3d-metal-48x128":  {{1, 480, DiskInterfaceNVMe}, {4, 7680, DiskInterfaceNVMe}},
		"mx3d-metal-96x1024": {{1, 480, DiskInterfaceNVMe}, {8, 7680, DiskInterfaceNVMe}},
		"mx3de-metal-64x512": {{1, 480, DiskInterfaceNVMe}, {16, 15360, DiskInterfaceNVMe}},
	} {
		p := e.sim.catalogue.profiles[name]
		require.NotNil(t, p, name)
		require.Equal(t, want, p.disks, name)
	}
	require.Nil(t, e.sim.catalogue.profiles["bx2d-metal-48x192"], "a profile that IBM does not have")
}

func TestManualClock(t *testing.T) {
	c := NewManualClock(testNow)
	var order []string
	c.AfterFunc(2*time.Second, func() { order = append(order, "two") })
	c.AfterFunc(time.Second, func() {
		order = append(order, "one at "+c.Now().Sub(testNow).String())
		c.AfterFunc(500*time.Millisecond, func() { order = append(order, "nested") })
	})
	stop := c.AfterFunc(time.Second, func() { order = append(order, "stopped") })
	require.True(t, stop())
	require.False(t, stop())
	c.Advance(3 * time.Second)
	require.Equal(t, []string{"one at 1s", "nested", "two"}, order)
	require.Equal(t, testNow.Add(3*time.Second), c.Now())
}
