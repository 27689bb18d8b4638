package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRackFlags(t *testing.T) {
	c, err := rackFlags{ControllerNetworks: []string{"10.0.9.7/24", "fd00::/64"}, Networks: []string{"10.0.8.0/24=10.0.8.1", "10.0.7.0/25"}}.config(dataFlags{DataDir: "/d"}, nil)
	require.NoError(t, err)
	require.Equal(t, "10.0.9.0/24", c.Controllers[0].String())
	require.Equal(t, "10.0.8.1", c.Networks[0].Gateway.String())
	require.False(t, c.Networks[1].Gateway.IsValid())
	for _, bad := range []rackFlags{{ControllerNetworks: []string{"10.0.9.7"}}, {Networks: []string{"x"}}, {Networks: []string{"fd00::/64"}}, {Networks: []string{"10.0.8.0/24=10.0.9.1"}}, {Networks: []string{"10.0.8.0/24="}}} {
		_, err := bad.config(dataFlags{}, nil)
		require.ErrorContains(t, err, "--rack-")
	}
}
