package query

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// fleetOfThree has a node whose addresses are in the journal, one that has them
// in its own row, and one that only its order gives them.
func fleetOfThree(t *testing.T, st *store.Store) (deployments [3]int64, nodes [3]int64) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, st.InTx(ctx, func(tx *sql.Tx) error {
		c := st.EntTx(tx)
		for i, config := range []string{`{}`, `{}`, `{"ahv_ip":"10.0.0.33","cvm_ip":"10.0.0.43"}`} {
			n := c.Node.Create().SetName("node-" + string(rune('a'+i))).SetProvider("ibm_vpc").SetClusterName("c").SetManagementIP("10.0.0.2" + string(rune('1'+i)))
			if i == 1 {
				n.SetAhvIP("10.0.0.32").SetCvmIP("10.0.0.42").SetWorkloadIP("10.0.1.2")
			}
			node := n.SaveX(ctx)
			d := c.Deployment.Create().SetNodeID(node.ID).SetNumber(1).SetState("running").SetPhase("pending").SetPhaseStatus("in_progress").SetProvider("ibm_vpc").
				SetConfig([]byte(config)).SetRequestedBy("t").SetRequestedByKind("token").SaveX(ctx)
			nodes[i], deployments[i] = node.ID, d.ID
		}
		for role, details := range map[string]string{
			"ahv": `{"address":"10.0.0.31","cidr":"10.0.0.0/24"}`, "cvm": `{"address":"10.0.0.41"}`, "vlan-100": `{"address":"10.0.1.9","cidr":"10.0.1.0/25"}`,
		} {
			c.Resource.Create().SetNodeID(nodes[0]).SetCreatedBy(deployments[0]).SetHeldBy(deployments[0]).SetProvider("ibm_vpc").
				SetKind("reserved_ip").SetRole(role).SetName(role).SetState(deploy.ResourcePresent).SetDetails([]byte(details)).SaveX(ctx)
		}
		return nil
	}))
	return deployments, nodes
}

func TestAddressesOfHypervisorAndControllerVM(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		deployments, _ := fleetOfThree(t, st)
		machines := NewMachines(st.Ent())
		for i, want := range [][2]string{{"10.0.0.31", "10.0.0.41"}, {"10.0.0.32", "10.0.0.42"}, {"10.0.0.33", "10.0.0.43"}} {
			m, err := machines.Machine(t.Context(), deployments[i])
			require.NoError(t, err)
			require.Equal(t, want, [2]string{m.Address("ahv").IP, m.Address("cvm").IP})
			require.Equal(t, []Peer{{"node-a", "10.0.0.21", "10.0.0.41"}, {"node-b", "10.0.0.22", "10.0.0.42"}, {"node-c", "10.0.0.23", ""}}, m.Peers)
			require.Equal(t, MachineCluster{Name: "c"}, m.Cluster)
		}
		m, err := machines.Machine(t.Context(), deployments[0])
		require.NoError(t, err)
		require.Equal(t, Address{IP: "10.0.1.9", CIDR: "10.0.1.0/25"}, m.Address("vlan-100"))
		require.Zero(t, m.Address("vlan-200"))
	})
}

func peersOf(m Machine) (all []string) {
	for _, p := range m.Peers {
		all = append(all, p.NodeName+" "+p.ManagementIP+" "+p.CVMIP)
	}
	return all
}

// A member's cluster is that of the books, whatever the node says; who was
// replaced or released is no peer, and has none there.
func TestClusterOfAMember(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		deployments, nodes := fleetOfThree(t, st)
		require.NoError(t, st.InTx(t.Context(), func(tx *sql.Tx) error {
			c := st.EntTx(tx)
			prod := c.Cluster.Create().SetIdentity("x").SetName("Prod_1").SetType("multi_node").SetRedundancyFactor(2).SetVip("10.0.0.99").
				SetRequestedByKind("token").SetRequestedBy("t").SaveX(t.Context())
			for i, state := range []string{"member", "replaced", "late"} {
				c.ClusterMember.Create().SetClusterID(prod.ID).SetNodeID(nodes[i]).SetPosition(3 - i).SetState(state).SaveX(t.Context())
			}
			return nil
		}))
		machines := NewMachines(st.Ent())
		for i, d := range deployments {
			m, err := machines.Machine(t.Context(), d)
			require.NoError(t, err)
			if i == 1 {
				require.Equal(t, MachineCluster{Name: "c"}, m.Cluster)
				require.Len(t, m.Peers, 3, "by the name that they say")
				continue
			}
			require.NotZero(t, m.Cluster.ID)
			m.Cluster.ID = 0
			require.Equal(t, MachineCluster{Name: "Prod_1", Type: "multi_node", VIP: "10.0.0.99", RedundancyFactor: 2}, m.Cluster)
			require.Equal(t, []string{"node-c 10.0.0.23 ", "node-a 10.0.0.21 10.0.0.41"}, peersOf(m), "by position")
		}
	})
}

func TestAddressHolder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		_, nodes := fleetOfThree(t, st)
		machines := NewMachines(st.Ent())
		for address, want := range map[string]string{
			"10.0.0.21": "node-a", "10.0.0.22": "", "10.0.0.32": "", "10.0.0.23": "node-c", "10.0.0.99": "",
		} {
			holder, err := machines.AddressHolder(t.Context(), nodes[1], address)
			require.NoError(t, err)
			require.Equal(t, want, holder, address)
		}
		for _, address := range []string{"10.0.0.22", "10.0.0.32", "10.0.0.42", "10.0.1.2"} {
			holder, err := machines.AddressHolder(t.Context(), 0, address)
			require.NoError(t, err)
			require.Equal(t, "node-b", holder, address)
		}
	})
}
