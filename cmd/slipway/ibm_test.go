package main

import (
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/provider/ibmvpc"
)

// The flags of the provider, and the environment, become its settings.
func TestIBMFlags(t *testing.T) {
	parse := func(args ...string) ibmvpc.Config {
		var c struct {
			IBM ibmFlags `embed:"" prefix:"ibm-"`
		}
		parser, err := kong.New(&c)
		require.NoError(t, err)
		_, err = parser.Parse(args)
		require.NoError(t, err)
		config, err := c.IBM.config()
		require.NoError(t, err)
		return config
	}
	plain := parse()
	require.Equal(t, ibmvpc.GuestsAuto, plain.GuestAddresses)
	require.Equal(t, 25, plain.ServerQuota)
	require.Empty(t, plain.ManagementRange+plain.AHVRange+plain.CVMRange)

	t.Setenv("SLIPWAY_IBM_CVM_RANGE", "10.0.0.61-10.0.0.90,10.1.0.61-10.1.0.90")
	set := parse("--ibm-management-range=10.0.0.4-10.0.0.30", "--ibm-ahv-range=10.0.0.31-10.0.0.60", "--ibm-guest-addresses=on", "--ibm-server-quota=-1")
	require.Equal(t, "10.0.0.4-10.0.0.30", set.ManagementRange)
	require.Equal(t, "10.0.0.31-10.0.0.60", set.AHVRange)
	require.Equal(t, "10.0.0.61-10.0.0.90,10.1.0.61-10.1.0.90", set.CVMRange)
	require.Equal(t, ibmvpc.GuestsOn, set.GuestAddresses)
	require.Equal(t, -1, set.ServerQuota)
}
