package nodeconfig

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestExampleValidates(t *testing.T) {
	if err := example().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestValidateNamesEachField(t *testing.T) {
	tests := []struct {
		path  string
		spoil func(*Config)
	}{
		{"node_config.node_id", func(c *Config) { c.NodeConfig.NodeID = "" }},
		{"node_config.node_name", func(c *Config) { c.NodeConfig.NodeName = "Metal" }},
		{"node_config.node_name", func(c *Config) { c.NodeConfig.NodeName = "123" }},
		{"node_config.node_name", func(c *Config) { c.NodeConfig.NodeName = strings.Repeat("a", 41) }},
		{"node_config.node_name", func(c *Config) { c.NodeConfig.NodeName = "a-" }},
		{"node_config.mgmt_ip", func(c *Config) { c.NodeConfig.MgmtIP = "10.0.0" }},
		{"node_config.mgmt_ip", func(c *Config) { c.NodeConfig.MgmtIP = "fd00::1" }},
		{"node_config.ahv_ip", func(c *Config) { c.NodeConfig.AHVIP = "x" }},
		{"node_config.cvm_ip", func(c *Config) { c.NodeConfig.CVMIP = "x" }},
		{"network.address", func(c *Config) { c.Network.Address = "" }},
		{"network.netmask", func(c *Config) { c.Network.Netmask = "255.0.255.0" }},
		{"network.netmask", func(c *Config) { c.Network.Netmask = "33" }},
		{"network.netmask", func(c *Config) { c.Network.Netmask = "024" }},
		{"network.gateway", func(c *Config) { c.Network.Gateway = "10.241.0.1" }},
		{"network.gateway", func(c *Config) { c.Network.Gateway = c.Network.Address }},
		{"network.dns_servers[1]", func(c *Config) { c.Network.DNSServers[1] = "dns" }},
		{"network.domain", func(c *Config) { c.Network.Domain = "a..b" }},
		{"network.mac", func(c *Config) { c.Network.MAC = "02:00" }},
		{"network.mtu", func(c *Config) { c.Network.MTU = 10 }},
		{"network.vlans[1].id", func(c *Config) { c.Network.VLANs[1].ID = 4095 }},
		{"network.vlans[1].id", func(c *Config) { c.Network.VLANs[1].ID = 100 }},
		{"network.vlans[0].netmask", func(c *Config) { c.Network.VLANs[0].Netmask = "" }},
		{"storage_config.boot_disk", func(c *Config) { c.Storage.BootDisk = Disk{} }},
		{"storage_config.boot_disk.count", func(c *Config) { c.Storage.BootDisk = Disk{Type: DiskSSD, Count: 2} }},
		{"storage_config.data_drives[0].type", func(c *Config) { c.Storage.DataDrives[0].Type = "tape" }},
		{"storage_config.data_drives[0].max_size", func(c *Config) { c.Storage.DataDrives[0].MaxSize = 1 }},
		{"storage_config.data_drives[0].count", func(c *Config) { c.Storage.DataDrives[0].Count = -1 }},
		{"storage_config.data_drives[1].count", func(c *Config) { c.Storage.DataDrives[1].Count = 2 }},
		{"storage_config.data_drives[1].size", func(c *Config) { c.Storage.DataDrives[1].Size = -1 }},
		{"resources.cvm_memory_gb", func(c *Config) { c.Resources.CVMMemoryGB = -1 }},
		{"resources.cvm_vcpus", func(c *Config) { c.Resources.CVMVCPUs = -1 }},
		{"cluster.nodes[0].node_name", func(c *Config) { c.Cluster.Nodes[0].NodeName = "_" }},
		{"cluster.nodes[0].mgmt_ip", func(c *Config) { c.Cluster.Nodes[0].MgmtIP = "" }},
		{"cluster.vip", func(c *Config) { c.Cluster.VIP = "fd00::1" }},
		{"cluster.redundancy_factor", func(c *Config) { c.Cluster.RedundancyFactor = -1 }},
		{"cluster.name", func(c *Config) { c.Cluster.Name = "a\x00" }},
		{"artifacts[0].name", func(c *Config) {
			c.Artifacts[1].Name = "../../etc/passwd"
			c.Artifacts[0].Name = "a/b"
			c.Installer.Artifact = "a/b"
		}},
		{"artifacts[1].name", func(c *Config) { c.Artifacts[1].Name = c.Artifacts[0].Name }},
		{"artifacts[0].url", func(c *Config) { c.Artifacts[0].URL = "file:///etc/passwd" }},
		{"artifacts[0].sha256", func(c *Config) { c.Artifacts[0].SHA256 = strings.Repeat("A1", 32) }},
		{"artifacts[0].sha256", func(c *Config) { c.Artifacts[0].SHA256 = "abcd" }},
		{"artifacts[0].size", func(c *Config) { c.Artifacts[0].Size = -1 }},
		{"installer.artifact", func(c *Config) { c.Installer.Artifact = "other.sh" }},
		{"installer.artifact", func(c *Config) { c.Installer.Artifact = "" }},
		{"installer.args[0]", func(c *Config) { c.Installer.Args[0] = "\x00" }},
		{"installer.timeout", func(c *Config) { c.Installer.Timeout = -1 }},
		{"access.user", func(c *Config) { c.Access.User = "../root" }},
		{"access.authorized_keys", func(c *Config) { c.Access.AuthorizedKeys = nil }},
		{"access.authorized_keys[0]", func(c *Config) { c.Access.AuthorizedKeys[0] = "ssh-rsa A\nssh-rsa B" }},
		{"access.ssh_port", func(c *Config) { c.Access.SSHPort = 0 }},
		{"scripts.report.sh.sha256", func(c *Config) { c.Scripts["report.sh"] = Script{URL: "http://a/b"} }},
		{"scripts.a b", func(c *Config) { c.Scripts["a b"] = c.Scripts["report.sh"] }},
		{"report.url", func(c *Config) { c.Report.URL = "" }},
		{"report.token", func(c *Config) { c.Report.Token = "a b" }},
		{"report.heartbeat", func(c *Config) { c.Report.Heartbeat = -1 }},
	}
	for _, tt := range tests {
		c := example()
		tt.spoil(&c)
		var errs FieldErrors
		if err := c.Validate(); !errors.As(err, &errs) {
			t.Errorf("%s: got %v, want FieldErrors", tt.path, err)
		} else if !slices.ContainsFunc(errs, func(e FieldError) bool { return e.Path == tt.path }) {
			t.Errorf("%s: not among %v", tt.path, errs)
		}
	}
}

func TestValidateListsAllAtOnceAndHidesTheToken(t *testing.T) {
	c := example()
	c.NodeConfig.NodeName, c.Network.Netmask, c.Report.Token, c.Access.SSHPort = "", "x", "slr_secret secret", 0
	err := c.Validate()
	var errs FieldErrors
	if !errors.As(err, &errs) || len(errs) != 4 {
		t.Fatalf("got %v, want four errors", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the token is in the message: %v", err)
	}
	var one FieldError
	if !errors.As(err, &one) || one.Path != "node_config.node_name" {
		t.Errorf("errors.As gives %+v", one)
	}
}
