package lifecycle

import "github.com/slipwayhq/slipway/deploy/phase"

// hintFor is the advice for a failure whose reporter gave none.
func hintFor(key string) string {
	switch key {
	case phase.Pending:
		return "No slot became free. Look at what is running, or raise the number of slots."
	case phase.ServerRequested:
		return "Look at the provider's message; check quota, profile, zone and subnet, then deploy again."
	case phase.MonitoringStart:
		return "The server never asked for its boot script. Check that it is powered on, boots from the network, and may reach this address (security groups, routes)."
	case phase.IPXEBoot:
		return "The boot script was served, but the install environment never asked for its configuration. Look at the machine's console."
	case phase.ConfigDownload:
		return "The configuration was served, but nothing was heard since. Look at the machine's console."
	case phase.NetworkConfig:
		return "Compare the node's address, gateway and VLANs with the subnet it is in."
	case phase.StorageDiscovery:
		return "Compare the disks in the inventory with the storage configuration."
	case phase.ImageDownload:
		return "Compare the artifact's checksum with its file, and check that the machine can reach this address."
	case phase.FoundationStart, phase.Installation, phase.PostInstall:
		return "Read the log's last lines; they name the script and its line."
	case phase.DNSRegistration:
		return "Check that the DNS zone is active and that its permissions allow record changes."
	case phase.HealthValidation:
		return "The node was installed but does not answer as it should. Look at its console and its SSH service."
	}
	return ""
}
