package cvmsim

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// rig is a site whose beats the test makes, with controller VMs that have a key each.
type rig struct {
	*testing.T
	site *Site
	keys []ssh.Signer
	cvms []*CVM
}

func newRig(t *testing.T, names ...string) *rig {
	t.Helper()
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	r := &rig{T: t, site: s}
	for i, name := range names {
		key, err := newHostKey()
		if err != nil {
			t.Fatal(err)
		}
		addr := netip.AddrFrom4([4]byte{127, 77, 2, byte(i + 1)})
		c, err := s.Add(addr, Place{Name: name, Keys: []ssh.PublicKey{key.PublicKey()}})
		if err != nil {
			t.Fatal(err)
		}
		r.keys, r.cvms = append(r.keys, key), append(r.cvms, c)
	}
	return r
}

func (r *rig) ask(i int, line string) (string, error) {
	r.Helper()
	return ask(r.T, r.cvms[i], r.keys[i], "nutanix", line)
}

// form creates a cluster of all and makes beats until every service is up.
func (r *rig) form(options string) {
	r.Helper()
	var addrs []netip.Addr
	for _, c := range r.cvms {
		addrs = append(addrs, c.Addr())
	}
	command := "cluster '-s' '" + joined(addrs) + "' " + options + "create"
	start := strings.NewReplacer("%[1]s", "create", "%[2]s", "a", "%[3]s", command).Replace(startScript)
	if out, err := r.ask(0, start); err != nil || out != "slipway-begun\n" {
		r.Fatalf("%q %v", out, err)
	}
	for range 40 {
		r.site.Step()
	}
	if r.site.Working() {
		r.Fatal("it never ends")
	}
}

func (r *rig) prism(at netip.Addr, port int) bool {
	r.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 2 * time.Minute}, "tcp", netip.AddrPortFrom(at, uint16(port)).String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// What is on the disk outlives the power, and nothing else does.
func TestPower(t *testing.T) {
	r := newRig(t, "a", "b", "c")
	vip := netip.MustParseAddr("127.77.2.99")
	r.form("'--cluster_external_ip=" + vip.String() + "' ")
	port := r.cvms[0].PrismPort()
	if !r.prism(vip, port) {
		t.Fatal("Prism does not answer on the cluster's address")
	}
	before := r.cvms[0].SSHPort()
	r.cvms[0].PowerOff()
	r.cvms[0].PowerOff() // twice does nothing
	if _, err := r.ask(0, profile+"cluster status"); err == nil {
		t.Error("without power it answers")
	}
	if !r.prism(vip, port) {
		t.Error("the cluster's address went with its first member")
	}
	if out, err := r.ask(1, profile+"cluster status"); err != nil || !strings.Contains(out, "CVM: 127.77.2.1 Down") {
		t.Errorf("%q %v", out, err)
	}
	r.cvms[1].PowerOff()
	r.cvms[2].PowerOff()
	if r.prism(vip, port) {
		t.Error("Prism answers and nobody has power")
	}
	for _, c := range r.cvms {
		if err := c.PowerOn(); err != nil {
			t.Fatal(err)
		}
	}
	if r.cvms[0].SSHPort() != before {
		t.Error("another port after the power came back")
	}
	if out, err := r.ask(0, profile+"cluster status"); err != nil || !strings.Contains(out, "DOWN") || strings.Contains(out, " Down") {
		t.Errorf("services need a while to start anew: %q %v", out, err)
	}
	for range 10 {
		r.site.Step()
	}
	if out, err := r.ask(0, profile+"cluster status"); err != nil || strings.Contains(out, "DOWN") || !r.prism(vip, port) {
		t.Errorf("%q %v", out, err)
	}
	if n := r.site.Formed(); n != 1 {
		t.Errorf("formed %d times", n)
	}
}

// A destroyed controller VM's place is another one's, which belongs to nothing;
// the old cluster goes on naming the old one, and cannot be destroyed.
func TestDestroyed(t *testing.T) {
	r := newRig(t, "a", "b", "c")
	r.form("")
	old := r.cvms[2]
	old.Destroy()
	if err := old.PowerOn(); err == nil {
		t.Error("what was destroyed has power again")
	}
	c, err := r.site.Add(old.Addr(), Place{Name: "c", Keys: []ssh.PublicKey{r.keys[2].PublicKey()}})
	if err != nil {
		t.Fatal(err)
	}
	r.cvms[2] = c
	if out, err := r.ask(2, profile+"cluster status"); err == nil || !strings.Contains(out, "unconfigured") {
		t.Errorf("the new one: %q %v", out, err)
	}
	if out, err := r.ask(0, profile+"cluster status"); err != nil || !strings.Contains(out, "CVM: 127.77.2.3 Down") {
		t.Errorf("the others: %q %v", out, err)
	}
	for _, line := range []string{"echo 'I agree' | cluster stop", "echo 'Y' | cluster destroy"} {
		name := strings.Fields(line)[len(strings.Fields(line))-1]
		start := strings.NewReplacer("%[1]s", name, "%[2]s", "a", "%[3]s", line).Replace(startScript)
		if out, err := r.ask(0, start); err != nil {
			t.Fatalf("%q %v", out, err)
		}
		r.site.Step()
	}
	out, err := r.ask(0, strings.NewReplacer("%[1]s", "destroy").Replace(lookScript))
	if err != nil || !strings.Contains(out, "exit=1\n") || !strings.Contains(out, "Failed to reach SVM node 127.77.2.3") {
		t.Errorf("%q %v", out, err)
	}
}

// A job dies with its controller VM's power, without an exit status.
func TestPowerCutInAJob(t *testing.T) {
	r := newRig(t, "a")
	start := strings.NewReplacer("%[1]s", "create", "%[2]s", "a", "%[3]s", "cluster '-s' '127.77.2.1' create").Replace(startScript)
	if out, err := r.ask(0, start); err != nil {
		t.Fatalf("%q %v", out, err)
	}
	r.site.Step()
	r.cvms[0].PowerOff()
	if r.site.Working() {
		t.Error("it runs without power")
	}
	if err := r.cvms[0].PowerOn(); err != nil {
		t.Fatal(err)
	}
	if out, err := r.ask(0, strings.NewReplacer("%[1]s", "create").Replace(lookScript)); err != nil || !strings.HasPrefix(out, "slipway-job idle id=a exit=\n") {
		t.Errorf("%q %v", out, err)
	}
}

// Each lets in its own keys; a fault strikes those whose name matches, until it
// is removed.
func TestKeysAndNames(t *testing.T) {
	r := newRig(t, "web-1", "db-1")
	if _, err := ask(t, r.cvms[0], r.keys[1], "nutanix", profile+"cluster status"); err == nil {
		t.Error("the other's key is let in")
	}
	r.site.Inject(Fault{ID: "f", Kind: FaultDown, Match: "web-*"})
	answers := func(i int) bool {
		out, _ := r.ask(i, profile+"cluster status")
		return strings.Contains(out, "unconfigured")
	}
	if answers(0) || !answers(1) {
		t.Errorf("web-1 answers: %v, db-1: %v", answers(0), answers(1))
	}
	r.site.Remove("g")
	if answers(0) {
		t.Error("another fault was removed, and this one went")
	}
	r.site.Remove("f")
	if !answers(0) {
		t.Error("the fault was removed and strikes")
	}
}
