package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/machine"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/qemu"
	"github.com/slipwayhq/slipway/pxe/artifact"
)

type demoCmd struct {
	Nodes        int    `help:"How many servers." default:"3"`
	Cluster      bool   `help:"The servers become one Nutanix cluster, of simulated controller VMs: 1, 3 or 4."`
	Profile      string `help:"Their server profile." default:"bx2d-metal-96x384"`
	Listen       string `help:"Address to listen on; another free port is taken if it is in use." default:"127.0.0.1:8080" env:"SLIPWAY_LISTEN"`
	ExitWhenDone bool   `help:"End when all have ended: 0 if all are deployed, else 1."`
	Pace         string `help:"demo lets one watch, quick is as fast as it goes." enum:"demo,quick" default:"demo"`
	Faults       string `help:"JSON list of machine faults, or @file, to see something fail."`
	Shell        string `help:"Shell of the install environment: dash or busybox."`
	Machines     string `help:"simulated, or qemu: virtual machines that really boot, a minute or two each; needs QEMU and make installer." enum:"simulated,qemu" default:"simulated"`
	Environment  string `help:"Directory with the install environment (vmlinuz, initrd.img), for --machines=qemu." default:".cache/installer" type:"path"`
	DataDir      string `help:"Keep the data here; default: a temporary directory that is removed." type:"path"`
}

// demoSSHPort is where simulated machines run SSH: they are unprivileged, and
// each has an address of its own.
const demoSSHPort = 2222

// demoPrismPort is where simulated controller VMs run Prism, as real ones do.
const demoPrismPort = 9440

// demo is a whole Slipway with a simulated cloud beside it.
type demo struct {
	dir  string
	keep bool
	app  *app
	sim  *simulation
}

// demoOptions are what tests change.
type demoOptions struct {
	DataDir string
	Listen  string
	Pace    machine.Pace
	Faults  []machine.Fault
	Shell   string
	// Virtual are virtual machines in the place of the simulated ones, booted
	// with the install environment in the directory Environment.
	Virtual     *qemu.Rack
	Environment string
	Install     func(*installFlags)
	Now         func() time.Time
	Logger      *slog.Logger
	// Prepare may change the artifacts before the server starts.
	Prepare func(ctx context.Context, dir string) error
}

// startDemo starts simulator, artifacts and server.
func startDemo(ctx context.Context, o demoOptions) (_ *demo, err error) {
	d := &demo{dir: o.DataDir, keep: o.DataDir != ""}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Stop())
		}
	}()
	if !d.keep {
		if d.dir, err = os.MkdirTemp("", "slipway-demo-"); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
	}
	if err := registerStandIns(ctx, d.dir, o); err != nil {
		return nil, err
	}
	if o.Prepare != nil {
		if err := o.Prepare(ctx, d.dir); err != nil {
			return nil, err
		}
	}
	if d.sim, err = startSimulation(ctx, simConfig{Listen: "127.0.0.1:0", Pace: o.Pace, Faults: o.Faults, Shell: o.Shell, Virtual: o.Virtual, CVMSSHPort: demoSSHPort, CVMPrismPort: demoPrismPort, Logger: o.Logger}); err != nil {
		return nil, err
	}
	install := demoInstall()
	if o.Install != nil {
		o.Install(&install)
	}
	cfg := appConfig{Data: dataFlags{DataDir: d.dir}, Listen: o.Listen, IBM: simulatedIBM(d.sim.URL), Install: install, Now: o.Now, Logger: o.Logger}
	if o.Virtual != nil {
		cfg.MachineHost, cfg.Dial = virtualGateway, o.Virtual.Dial
	}
	d.app, err = startApp(ctx, cfg)
	return d, err
}

// demoInstall are the install settings for simulated machines.
func demoInstall() installFlags {
	return installFlags{
		Kernel: machine.KernelName, Initrd: machine.InitrdName, KernelArgs: []string{"console=ttyS0"}, Installer: machine.InstallerName, InstallerTimeout: 10 * time.Minute,
		AccessUser: "root", SSHPort: demoSSHPort, CVMMemoryGB: 48, CVMVCPUs: 16, CVMSSHPort: demoSSHPort, CVMPrismPort: demoPrismPort, Domain: "demo.slipway.test",
		Heartbeat: 5 * time.Second, Slots: 25, ObserveEvery: time.Second, ProbeEvery: time.Second, StaleAfter: 30 * time.Second,
	}
}

// registerStandIns fills the catalogue with small files that stand for a
// vendor's images.
func registerStandIns(ctx context.Context, dir string, o demoOptions) error {
	standIns := filepath.Join(dir, "standins")
	files, err := machine.StandIns(standIns, o.Pace)
	if o.Virtual != nil && err == nil {
		files, err = qemu.StandIns(ctx, standIns, o.Environment, o.Pace, demoSSHPort)
	}
	if err != nil {
		return err
	}
	catalogue, err := openArtifacts(dataFlags{DataDir: dir})
	if err != nil {
		return err
	}
	defer catalogue.Close()
	for _, f := range files {
		if _, err := catalogue.Register(ctx, f.Name, f.Version, artifact.Kind(f.Kind), f.Path); err != nil {
			return fmt.Errorf("registering %s: %w", f.Name, err)
		}
	}
	return nil
}

// Stop ends everything and removes what was temporary.
func (d *demo) Stop() error {
	var errs []error
	if d.app != nil {
		errs = append(errs, d.app.Stop())
	}
	if d.sim != nil {
		errs = append(errs, d.sim.Stop())
	}
	if !d.keep && d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}

// client is an operator's.
func (d *demo) client(ctx context.Context) (*client.Client, error) {
	token, _, err := d.app.Access.CreateToken(ctx, access.NewToken{Name: "demo", Role: access.RoleOperator, For: 24 * time.Hour, CreatedBy: "demo"})
	if err != nil {
		return nil, err
	}
	return client.New(d.app.URL, token)
}

// orderCluster asks for a cluster of n nodes, as any client would, and gives its
// id.
func (d *demo) orderCluster(ctx context.Context, n int, profile string) (*client.Client, string, error) {
	api, err := d.client(ctx)
	if err != nil {
		return nil, "", err
	}
	order := client.ClusterOrder{Config: client.ClusterConfig{Name: "demo", NTPServers: []string{"pool.ntp.org"}}}
	for i := range n {
		order.Config.Nodes = append(order.Config.Nodes, map[string]any{"node_config": map[string]string{"node_name": fmt.Sprintf("demo-%d", i+1), "server_profile": profile}})
	}
	body, err := json.Marshal(order)
	if err != nil {
		return nil, "", err
	}
	made, err := api.DeployCluster(ctx, body, "")
	if err != nil {
		return nil, "", err
	}
	return api, fmt.Sprintf("clu_%d", made.Value.ID), nil
}

// order deploys n nodes through the API, as any client would.
func (d *demo) order(ctx context.Context, n int, profile string) (*client.Client, []client.Deployment, error) {
	api, err := d.client(ctx)
	if err != nil {
		return nil, nil, err
	}
	parallel := n
	batch := "demo"
	in := client.DeployNodesInput{MaxParallel: &parallel, BatchName: &batch}
	for i := range n {
		in.Nodes = append(in.Nodes, client.DeployNodeInput{Name: fmt.Sprintf("demo-%d", i+1), Spec: client.DeploySpec{IbmVpc: &client.IbmVpcSpec{ServerProfile: profile}}})
	}
	list, err := api.Deploy(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	for _, one := range list {
		if one.Err != nil {
			return nil, nil, fmt.Errorf("%s was refused: %w", in.Nodes[one.Index].Name, one.Err)
		}
	}
	return api, list, nil
}

// freeAddress gives addr, or one with a free port if addr is taken.
func freeAddress(ctx context.Context, addr string) (string, bool) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err == nil {
		return addr, l.Close() == nil
	}
	host, _, splitErr := net.SplitHostPort(addr)
	if splitErr != nil {
		return addr, true // startApp will say what is wrong with it
	}
	return net.JoinHostPort(host, "0"), false
}

// Run shows the whole thing.
func (c *demoCmd) Run(ctx context.Context) error {
	if c.Nodes < 1 || c.Nodes > 25 {
		return exit{exitUsage, errors.New("--nodes must be 1 to 25, the quota of servers in an account")}
	}
	if c.Cluster && c.Nodes != 1 && c.Nodes != 3 && c.Nodes != 4 {
		return exit{exitUsage, errors.New("--nodes must be 1, 3 or 4 with --cluster: Community Edition has no others")}
	}
	faults, err := parseFaults(c.Faults)
	if err != nil {
		return exit{exitUsage, err}
	}
	listen, free := freeAddress(ctx, c.Listen)
	if !free {
		fmt.Printf("%s is in use; another port is taken\n", c.Listen)
	}
	logFile := filepath.Join(os.TempDir(), fmt.Sprintf("slipway-demo-%d.log", os.Getpid()))
	logger, closeLog, err := fileLogger(logFile)
	if err != nil {
		return err
	}
	defer closeLog()
	o := demoOptions{DataDir: c.DataDir, Listen: listen, Pace: paceOf(c.Pace), Faults: faults, Shell: c.Shell, Environment: c.Environment, Logger: logger}
	if c.Machines == "qemu" {
		if faults != nil || c.Shell != "" || c.Cluster {
			return exit{exitUsage, errors.New("--faults, --shell and --cluster are for simulated machines")}
		}
		if o.Virtual, err = qemu.New(qemu.Options{SSHPort: demoSSHPort, Logger: logger}); err != nil {
			return err
		}
	}
	d, err := startDemo(ctx, o)
	if err != nil {
		return err
	}
	err = c.show(ctx, d, logFile)
	if stopErr := d.Stop(); err == nil {
		err = stopErr
	}
	return err
}

func (c *demoCmd) show(ctx context.Context, d *demo, logFile string) error {
	link, err := signInLink(ctx, d.app.Access, d.app.URL, "demo", access.RoleOperator)
	if err != nil {
		return err
	}
	fmt.Printf("Slipway   %s (SQLite in %s)\n", d.app.URL, d.dir)
	fmt.Printf("Cloud     %s (simulated IBM Cloud VPC, with %s machines)\n", d.sim.URL, map[bool]string{true: "simulated", false: "virtual"}[d.sim.Rack != nil])
	fmt.Printf("Log       %s\n", logFile)
	fmt.Printf("App       %s\n          (signs in once, within ten minutes)\n\n", link)
	began := time.Now()
	if c.Cluster {
		err = c.formCluster(ctx, d)
	} else {
		err = c.deploy(ctx, d)
	}
	var e exit
	switch {
	case ctx.Err() != nil:
		fmt.Println("\nstopping")
		return nil
	case err == nil:
		fmt.Printf("all %d deployed in %s\n", c.Nodes, time.Since(began).Round(time.Second))
	case !errors.As(err, &e) || e.code == exitUsage:
		return err
	}
	if c.ExitWhenDone {
		if err != nil {
			return exit{code: exitFailed}
		}
		return nil
	}
	// The first link has been used, or will be too old by now.
	link, linkErr := signInLink(ctx, d.app.Access, d.app.URL, "demo", access.RoleOperator)
	if linkErr != nil {
		return linkErr
	}
	fmt.Printf("\nApp       %s\nCtrl-C ends the demonstration.\n", link)
	if err := d.app.Wait(ctx); err != nil {
		return err
	}
	fmt.Println("\nstopping")
	return nil
}

// deploy orders the nodes and shows them until all have ended.
func (c *demoCmd) deploy(ctx context.Context, d *demo) error {
	api, list, err := d.order(ctx, c.Nodes, c.Profile)
	if err != nil {
		return err
	}
	return follow(ctx, api, list, 0)
}

// formCluster orders a cluster and shows it until it is deployed, or somebody has
// to decide.
func (c *demoCmd) formCluster(ctx context.Context, d *demo) error {
	api, id, err := d.orderCluster(ctx, c.Nodes, c.Profile)
	if err != nil {
		return err
	}
	return watchCluster(ctx, os.Stdout, api, id, watchDeploy)
}

func fileLogger(path string) (*slog.Logger, func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("log file: %w", err)
	}
	return slog.New(slog.NewTextHandler(f, nil)), func() { _ = f.Close() }, nil
}
