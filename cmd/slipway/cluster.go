package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slipwayhq/slipway/client"
)

type clusterCmd struct {
	Deploy  clusterDeployCmd  `cmd:"" help:"Ask for a cluster, or for more nodes in one."`
	Plan    clusterPlanCmd    `cmd:"" help:"Show what would become of it, and do nothing."`
	List    clusterListCmd    `cmd:"" help:"List clusters, the newest first."`
	Show    clusterShowCmd    `cmd:"" help:"Show a cluster: its nodes, what is waited for, its formation and health."`
	Watch   clusterWatchCmd   `cmd:"" help:"Follow a cluster until it is deployed, or somebody has to decide."`
	Without clusterWithoutCmd `cmd:"" help:"Have it go on without a node, which joins when it is ready; for good, if it was left out before and has ended."`
	Replace clusterReplaceCmd `cmd:"" help:"Put another node into the place of one whose deployment ended."`
	Cancel  clusterCancelCmd  `cmd:"" help:"End the deployments of its nodes; what was made for them stays."`
	Cleanup clusterCleanupCmd `cmd:"" help:"Release everything that its nodes hold; the cluster and its data are lost."`
	Health  clusterHealthCmd  `cmd:"" help:"Make every check of a formed cluster now."`
}

// jsonFlag has an answer printed as it came.
type jsonFlag struct {
	JSON bool `name:"json" help:"Print the server's answer as JSON."`
}

// print prints an answer as it came, if that is wanted.
func (f jsonFlag) print(out io.Writer, raw json.RawMessage) bool {
	if f.JSON {
		fmt.Fprintln(out, string(raw))
	}
	return f.JSON
}

type clusterTarget struct {
	serverFlags `embed:""`
	Cluster     string `arg:"" help:"Name or id (clu_...)."`
	jsonFlag    `embed:""`
}

// clusterFlags say what a cluster is to be: a file, or flags.
type clusterFlags struct {
	serverFlags      `embed:""`
	Name             string   `arg:"" optional:"" help:"Name of the cluster."`
	File             string   `short:"f" help:"File with the cluster (JSON, as POST /api/config/clusters takes it); - reads standard input. Instead of all of the following."`
	Node             []string `help:"Nodes, the one that creates the cluster first: names or ids of deployed ones; with --profile, names of new ones." placeholder:"NAME,..."`
	Join             bool     `help:"The cluster is there, and the nodes join it."`
	Address          string   `help:"The cluster's own address."`
	DNSServers       []string `name:"dns-servers" help:"DNS servers of the controller VMs."`
	NTPServers       []string `name:"ntp-servers" help:"Time servers of the controller VMs."`
	RedundancyFactor int      `help:"Copies of the data; default: 1 for a single node, otherwise 2."`
	SkipDiscovery    bool     `help:"Do not search the controller VMs by multicast."`
	Profile          string   `help:"The nodes are new servers of IBM Cloud, of this profile." group:"new nodes"`
	Zone             string   `help:"Zone; default: the server's setting." group:"new nodes"`
	ManagementSubnet string   `help:"Management subnet, name or id." group:"new nodes"`
	WorkloadSubnets  []string `help:"Workload subnets, names or ids." group:"new nodes"`
	Image            string   `help:"Image for network boot, name or id; default: the newest." group:"new nodes"`
	Keys             []string `name:"key" help:"SSH key given to the servers' initialization, name or id, may be repeated; default: the server's setting." sep:"none" group:"new nodes"`
	SecurityGroups   []string `name:"security-group" help:"Security group of every interface, name or id, may be repeated; default: the server's setting." sep:"none" group:"new nodes"`
	Installer        string   `help:"Installer artifact; default: the server's setting." group:"new nodes"`
	RackNode         []string `help:"A machine of one's own that becomes a node: its name, MAC address or serial number, management address, controller VM's address and, if it has one of its own, the hypervisor's; may be repeated. After those of --node." placeholder:"NAME,MAC|SERIAL,IP,CVM-IP[,AHV-IP]" sep:"none" group:"machines of a rack"`
	Netmask          string   `help:"Netmask of their management addresses, dotted or as a prefix length; default: the server's setting." group:"machines of a rack"`
	Gateway          string   `help:"Gateway of their management network; default: the server's setting." group:"machines of a rack"`
	jsonFlag         `embed:""`
}

// order is the request, as JSON.
func (c *clusterFlags) order(in io.Reader) ([]byte, error) {
	if c.File != "" {
		return c.ofFile(in)
	}
	var wrong []string
	if c.Name == "" {
		wrong = append(wrong, "the cluster's name is needed, or -f")
	}
	if len(c.Node)+len(c.RackNode) == 0 {
		wrong = append(wrong, "--node is needed, or --rack-node")
	}
	if c.Profile == "" && (c.Zone+c.ManagementSubnet+c.Image != "" || len(c.WorkloadSubnets)+len(c.Keys)+len(c.SecurityGroups) > 0 || c.Installer != "" && len(c.RackNode) == 0) {
		wrong = append(wrong, "--profile is needed with settings of new nodes")
	}
	if len(c.RackNode) == 0 && c.Netmask+c.Gateway != "" {
		wrong = append(wrong, "--netmask and --gateway are for --rack-node")
	}
	machines, bad := c.machines()
	wrong = append(wrong, bad...)
	if len(wrong) > 0 {
		return nil, exit{exitUsage, errors.New(strings.Join(wrong, "; "))}
	}
	o := client.ClusterOrder{Config: client.ClusterConfig{
		Name: c.Name, RedundancyFactor: c.RedundancyFactor, IP: c.Address, DNSServers: c.DNSServers, NTPServers: c.NTPServers, SkipDiscovery: c.SkipDiscovery,
	}}
	if c.Join {
		o.Config.Operation = "join_existing"
	}
	for _, name := range c.Node {
		if c.Profile == "" {
			o.Config.Nodes = append(o.Config.Nodes, name)
			continue
		}
		o.Config.Nodes = append(o.Config.Nodes, client.Order{
			Node:    client.OrderNode{Name: name, Profile: c.Profile, Provider: orderIBM, Zone: c.Zone, Installer: c.Installer, Image: c.Image, Keys: c.Keys},
			Network: client.OrderNetwork{ManagementSubnet: c.ManagementSubnet, WorkloadSubnets: c.WorkloadSubnets, SecurityGroups: c.SecurityGroups},
		})
	}
	for _, machine := range machines {
		o.Config.Nodes = append(o.Config.Nodes, machine)
	}
	return json.Marshal(o)
}

var macLike = regexp.MustCompile(`^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$`)

// machines reads the machines of a rack, and tells what is wrong with them;
// whether the values are any is for the server to say.
func (c *clusterFlags) machines() (orders []client.Order, wrong []string) {
	for _, text := range c.RackNode {
		parts := strings.Split(text, ",")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		if len(parts) < 4 || len(parts) > 5 || slices.Contains(parts, "") {
			wrong = append(wrong, fmt.Sprintf("--rack-node=%s is not NAME,MAC|SERIAL,IP,CVM-IP[,AHV-IP]", text))
			continue
		}
		o := client.Order{
			Node:    client.OrderNode{Name: parts[0], Provider: orderRack, Installer: c.Installer},
			Network: client.OrderNetwork{ManagementIP: parts[2], CVMIP: parts[3], Netmask: c.Netmask, Gateway: c.Gateway},
		}
		if macLike.MatchString(parts[1]) {
			o.Node.MAC = parts[1]
		} else {
			o.Node.Serial = parts[1]
		}
		if len(parts) == 5 {
			o.Network.AHVIP = parts[4]
		}
		orders = append(orders, o)
	}
	return orders, wrong
}

// ofFile reads the request; what stands in cluster_config may stand alone.
func (c *clusterFlags) ofFile(in io.Reader) ([]byte, error) {
	if c.Name != "" || len(c.Node)+len(c.DNSServers)+len(c.NTPServers)+len(c.WorkloadSubnets)+len(c.Keys)+len(c.SecurityGroups)+len(c.RackNode)+c.RedundancyFactor > 0 || c.Join || c.SkipDiscovery ||
		c.Address+c.Profile+c.Zone+c.ManagementSubnet+c.Image+c.Installer+c.Netmask+c.Gateway != "" {
		return nil, exit{exitUsage, errors.New("with -f everything about the cluster stands in the file")}
	}
	raw, err := inputFile(c.File).read(in)
	if err != nil {
		return nil, err
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(raw, &top); err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	if _, whole := top["cluster_config"]; whole {
		return raw, nil
	}
	return json.Marshal(map[string]json.RawMessage{"cluster_config": raw})
}

type clusterPlanCmd struct {
	clusterFlags `embed:""`
}

// Run shows what would become of a cluster.
func (c *clusterPlanCmd) Run(ctx context.Context) error { return c.run(ctx, stdConsole()) }

func (c *clusterPlanCmd) run(ctx context.Context, tty console) error {
	raw, err := c.order(tty.in)
	if err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	p, err := api.PlanCluster(ctx, raw)
	if err != nil {
		return err
	}
	if !c.print(tty.out, p.JSON) {
		printClusterPlan(tty.out, p.Value)
	}
	if !p.Value.OK {
		return exit{code: exitFailed}
	}
	return nil
}

func printClusterPlan(out io.Writer, p client.ClusterPlan) {
	lines := func(name string, checks []client.Check) {
		fmt.Fprintln(out, oneLine(name))
		width := 0
		for _, c := range checks {
			width = max(width, len(c.Label))
		}
		for _, c := range checks {
			fmt.Fprintf(out, "  %s %-*s  %s\n", mark(c), width, c.Label, oneLine(c.Message))
			if !c.Passed && c.Hint != "" {
				fmt.Fprintf(out, "    %-*s  -> %s\n", width, "", oneLine(c.Hint))
			}
		}
	}
	lines("the cluster", p.Checks)
	for _, n := range p.Nodes {
		if len(n.Checks) > 0 {
			lines(n.Name, n.Checks)
		}
	}
	if p.Command != nil {
		fmt.Fprintf(out, "The first controller VM would be told:\n  %s\n", oneLine(*p.Command))
	}
	about := ""
	if p.EstimatedSeconds != nil {
		about = fmt.Sprintf(", in about %s", (time.Duration(*p.EstimatedSeconds) * time.Second).Round(time.Second))
	}
	if p.OK {
		fmt.Fprintf(out, "It can be deployed%s. Nothing was done.\n", about)
		return
	}
	fmt.Fprintln(out, "It would be refused, or fail. Nothing was done.")
}

type clusterDeployCmd struct {
	clusterFlags   `embed:""`
	IdempotencyKey string `help:"The same key twice is one cluster."`
	DryRun         bool   `help:"Show what would become of it, and do nothing (see slipway cluster plan)."`
	Watch          bool   `short:"w" help:"Follow it to its end; the exit code tells the result."`
}

// Run asks for a cluster.
func (c *clusterDeployCmd) Run(ctx context.Context) error { return c.run(ctx, stdConsole()) }

func (c *clusterDeployCmd) run(ctx context.Context, tty console) error {
	if c.DryRun {
		return (&clusterPlanCmd{c.clusterFlags}).run(ctx, tty)
	}
	raw, err := c.order(tty.in)
	if err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	made, err := api.DeployCluster(ctx, raw, c.IdempotencyKey)
	if err != nil {
		return err
	}
	if !c.print(tty.out, made.JSON) {
		fmt.Fprintf(tty.out, "clu_%d: %s\n", made.Value.ID, oneLine(made.Value.Message))
	}
	if c.Watch {
		return watchCluster(ctx, tty.out, api, fmt.Sprintf("clu_%d", made.Value.ID), watchDeploy)
	}
	return nil
}

type clusterListCmd struct {
	serverFlags `embed:""`
	Text        string   `arg:"" optional:"" help:"Only clusters with this in their name, address, or a node's name."`
	Status      []string `help:"Only clusters in one of these: queued, installing, forming, validating, growing, deployed, blocked, canceled, cleaning_up, cleaned_up." enum:"queued,installing,forming,validating,growing,deployed,blocked,canceled,cleaning_up,cleaned_up"`
	jsonFlag    `embed:""`
}

// Run lists clusters.
func (c *clusterListCmd) Run(ctx context.Context) error { return c.run(ctx, os.Stdout) }

func (c *clusterListCmd) run(ctx context.Context, out io.Writer) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(w, "CLUSTER\tNAME\tSTATUS\tREADY\tADDRESS\tBY\tCREATED\t")
	}
	err = api.Clusters(ctx, c.Status, c.Text, func(d client.Document[client.Cluster]) error {
		if c.print(w, d.JSON) {
			return nil
		}
		v := d.Value
		_, err := fmt.Fprintf(w, "clu_%d\t%s\t%s\t%d/%d\t%s\t%s\t%s\t%s\n", v.ID, oneLine(v.Name), v.Status, v.Barrier.Ready, v.Barrier.Total, dash(value(v.IP)), oneLine(v.RequestedBy),
			v.CreatedAt.UTC().Format(time.RFC3339), oneLine(v.Message))
		return err
	})
	return errors.Join(err, w.Flush())
}

type clusterShowCmd struct {
	clusterTarget `embed:""`
}

// Run shows a cluster.
func (c *clusterShowCmd) Run(ctx context.Context) error { return c.run(ctx, os.Stdout) }

func (c *clusterShowCmd) run(ctx context.Context, out io.Writer) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	d, err := api.Cluster(ctx, c.Cluster)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Cluster, err)
	}
	if c.print(out, d.JSON) {
		return nil
	}
	return printCluster(out, d.Value)
}

// printCluster shows a cluster with everything that is known of it.
func printCluster(out io.Writer, c client.Cluster) error {
	fmt.Fprintf(out, "%s (clu_%d): %s, redundancy factor %d, address %s\n", oneLine(c.Name), c.ID, c.Status, c.RedundancyFactor, dash(value(c.IP)))
	fmt.Fprintf(out, "  %s\n", oneLine(c.Message))
	if err := printMembers(out, c); err != nil {
		return err
	}
	if c.Status == "cleaning_up" || c.Status == "cleaned_up" {
		return nil // what it was once is of no use any more
	}
	if f := c.Formation; f != nil {
		fmt.Fprintf(out, "%s by %s: %s: %s\n", f.Kind, oneLine(f.Leader), f.Status, oneLine(f.Message))
		if f.Command != nil {
			fmt.Fprintf(out, "  $ %s\n", oneLine(*f.Command))
		}
		for _, line := range f.Evidence {
			fmt.Fprintf(out, "  | %s\n", oneLineLog(line))
		}
		if f.Hint != nil {
			fmt.Fprintf(out, "  -> %s\n", oneLine(*f.Hint))
		}
	}
	printHealth(out, c)
	return nil
}

func printMembers(out io.Writer, c client.Cluster) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "  #\tNODE\tIS\tPHASE\tPROGRESS\tCVM\tWAITS FOR\tCAN BE DONE")
	for _, m := range c.Members {
		at, done, why := "-", "-", value(m.WaitsFor)
		if m.CurrentPhase != nil {
			at = *m.CurrentPhase + " " + value(m.PhaseStatus)
		}
		if m.Progress != nil {
			done = fmt.Sprintf("%.0f%%", *m.Progress)
		}
		if why == "" && m.Note != nil {
			why = *m.Note
		}
		fmt.Fprintf(w, "  %d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Position, oneLine(m.NodeName), m.State, at, done, dash(value(m.CVMIP)), dash(why), dash(strings.Join(m.Choices, ", ")))
	}
	return w.Flush()
}

func printHealth(out io.Writer, c client.Cluster) {
	if c.Health == nil {
		return
	}
	word := "well"
	if !c.Health.OK {
		word = "not well"
	}
	fmt.Fprintf(out, "health at %s: %s\n", c.Health.At.UTC().Format(time.RFC3339), word)
	for _, k := range c.Health.Checks {
		sign := "✓"
		if !k.OK {
			sign = "✗"
		}
		fmt.Fprintf(out, "  %s %-14s %s\n", sign, k.Name, strings.TrimSpace(oneLine(k.Node+" "+k.Address+" "+k.Message)))
		if !k.OK && k.Hint != "" {
			fmt.Fprintf(out, "    -> %s\n", oneLine(k.Hint))
		}
	}
}

type clusterHealthCmd struct {
	clusterTarget `embed:""`
}

// Run makes every check of a cluster; the exit code tells whether it is well.
func (c *clusterHealthCmd) Run(ctx context.Context) error { return c.run(ctx, os.Stdout) }

func (c *clusterHealthCmd) run(ctx context.Context, out io.Writer) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	d, err := api.CheckCluster(ctx, c.Cluster)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Cluster, err)
	}
	if !c.print(out, d.JSON) {
		printHealth(out, d.Value)
	}
	if h := d.Value.Health; h == nil || !h.OK {
		return exit{code: exitFailed}
	}
	return nil
}
